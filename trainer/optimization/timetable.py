"""Which steps a run has, which of them end an update of the parameters, and which are followed by an evaluation.

All of it follows from a step's number, so a run that is resumed does what it would have done.
"""

from dataclasses import dataclass
from typing import Any, Self

from trainer.optimization.settings import Optimization


@dataclass(frozen=True)
class Timetable:
    """The course of a run. Steps and updates are counted from 0.

    Args:
        steps_per_epoch: Batches of an epoch.
        steps: Of the whole run.
        accumulate: Steps of an update; the last of an epoch takes what is left.
        eval_every: Steps between evaluations.
    """

    steps_per_epoch: int
    steps: int
    accumulate: int
    eval_every: int

    @classmethod
    def of(cls, optimization: Optimization, steps_per_epoch: int) -> Self:
        """That of a run whose epochs have so many steps."""
        return cls(
            steps_per_epoch,
            optimization.steps or optimization.epochs * steps_per_epoch,
            optimization.accumulate,
            optimization.eval_every or steps_per_epoch,
        )

    @property
    def epochs(self) -> int:
        """How many epochs are begun."""
        return -(-self.steps // self.steps_per_epoch)

    @property
    def updates(self) -> int:
        """How many updates are begun."""
        return int(self.update(*divmod(self.steps - 1, self.steps_per_epoch))) + 1

    def update(self, epoch: Any, step: Any) -> Any:
        """The update that a step of an epoch belongs to; integers or arrays."""
        return epoch * -(-self.steps_per_epoch // self.accumulate) + step // self.accumulate

    def ends_update(self, step: Any) -> Any:
        """Whether a step of an epoch is the last of its update; integers or arrays."""
        return ((step + 1) % self.accumulate == 0) | (step + 1 == self.steps_per_epoch)

    def evaluation(self, done: int) -> int | None:
        """Which evaluation, counted from 1, follows when `done` steps of the run are done; None if none does."""
        if done and (done % self.eval_every == 0 or done == self.steps):
            return -(-done // self.eval_every)
        return None
