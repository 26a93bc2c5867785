"""From gradients of batches to the next parameters: accumulation, the optimizer at its learning rate, an average."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from trainer.optimization.depth import frozen_stages, parted, rate_factors, united
from trainer.optimization.optimizers import descend, make_optimizer, make_schedule
from trainer.optimization.settings import Optimization
from trainer.optimization.timetable import Timetable
from trainer.randomness import Position


class Weights(NamedTuple):
    """What a model has learnt: nested dicts of float32 arrays.

    Args:
        params: Parameters.
        stats: Running statistics of batch normalization.
    """

    params: Any
    stats: Any


class Gathered(NamedTuple):
    """Sums over rows.

    Args:
        gradients: Of the loss, like the parameters that are trained.
        weight: Of the rows, a float32 scalar.
    """

    gradients: Any
    weight: jax.Array


class TrainState(NamedTuple):
    """All that training changes.

    Args:
        weights: Those that training changes, and those that it leaves.
        slots: The optimizer's, of parameters that are trained.
        gathered: Of the steps since the last update; None where each step is one.
        average: The moving average of `weights`; None without one.
    """

    weights: Weights
    slots: Any
    gathered: Gathered | None
    average: Weights | None

    @property
    def evaluated(self) -> Weights:
        """What is evaluated and used: the average, where there is one."""
        return self.weights if self.average is None else self.average


class Updates:
    """How the state of a training changes with each batch: pure functions of what they are given."""

    def __init__(self, settings: Optimization, timetable: Timetable, rate: float):
        """For a run with these settings.

        Args:
            settings: Of the run.
            timetable: Of the run.
            rate: Its highest learning rate.
        """
        self._settings = settings
        self._timetable = timetable
        self._optimizer = make_optimizer(settings)
        self._schedule = make_schedule(settings, rate, timetable.updates)

    def begin(self, weights: Weights) -> TrainState:
        """The state before the first step.

        Raises:
            UsageError: More stages are to be frozen than there are.
        """
        _, trained = self.parts(weights.params)
        nothing = Gathered(jax.tree.map(jnp.zeros_like, trained), jnp.zeros(()))
        return TrainState(
            weights,
            self._optimizer.init(trained),
            nothing if self._settings.accumulate > 1 else None,
            jax.tree.map(jnp.copy, weights) if self._settings.ema_decay is not None else None,
        )

    def frozen(self, params: Any) -> int:
        """How many stages of a model are frozen."""
        return frozen_stages(params, self._settings.freeze)

    def parts(self, params: Any) -> tuple[Any, Any]:
        """Parameters that stay, and those that are trained (`trainer.optimization.depth.parted`)."""
        return parted(params, self.frozen(params))

    def learning_rate(self, position: Position, rate_scale: Any) -> Any:
        """Of the update that a step belongs to; `rate_scale` is what plateaus have made of it so far."""
        return rate_scale * self._schedule(self._timetable.update(position.epoch, position.step))

    def after(self, state: TrainState, batch: Gathered, stats: Any, position: Position, rate: Any) -> TrainState:
        """The state after a batch.

        Args:
            state: Before it.
            batch: Its sums over the rows of all devices.
            stats: Running statistics after it.
            position: Its.
            rate: Learning rate at which an update that ends here is made.
        """
        state = state._replace(weights=state.weights._replace(stats=stats))
        if state.gathered is None:
            return self._updated(state, batch, position, rate)
        gathered = jax.tree.map(jnp.add, state.gathered, batch)
        return jax.lax.cond(
            self._timetable.ends_update(position.step),
            lambda: self._updated(state, gathered, position, rate)._replace(
                gathered=jax.tree.map(jnp.zeros_like, gathered)
            ),
            lambda: state._replace(gathered=gathered),
        )

    def _updated(self, state: TrainState, gathered: Gathered, position: Position, rate: Any) -> TrainState:
        """The state after an update by the mean over all rows of an effective batch; without rows it stays."""
        weight = jnp.where(gathered.weight > 0, gathered.weight, 1)
        mean = jax.tree.map(lambda total: total / weight, gathered.gradients)
        stay, trained = self.parts(state.weights.params)
        directions, slots = self._optimizer.update(mean, state.slots, trained)
        factors = rate_factors(trained, self._settings.layer_decay)
        weights = state.weights._replace(params=united(stay, descend(trained, directions, rate, factors)))
        average = state.average
        if average is not None:
            average = self._averaged(average, weights, position)
        return select(gathered.weight > 0, state._replace(weights=weights, slots=slots, average=average), state)

    def _averaged(self, average: Weights, weights: Weights, position: Position) -> Weights:
        """Exponential moving average; at first a shorter one, (1 + n) / (10 + n), which forgets where it began.

        That is the rule of TensorFlow's `ExponentialMovingAverage` with the number n of updates.
        """
        assert self._settings.ema_decay is not None
        number = self._timetable.update(position.epoch, position.step)
        decay = jnp.minimum(self._settings.ema_decay, (1 + number) / (10 + number))
        # What stays as it is, stays so in the average, to the bit.
        return jax.tree.map(lambda old, new: old + (1 - decay) * (new - old), average, weights)


def select(condition: jax.Array, chosen: Any, other: Any) -> Any:
    """`chosen` where the scalar `condition` holds, array by array."""
    return jax.tree.map(lambda one, two: jnp.where(condition, one, two), chosen, other)
