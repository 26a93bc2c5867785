"""A training that leaves nothing behind: the steps of `trainer.fit` against the clock, without logs or checkpoints."""

import time
from collections.abc import Iterator

import inkstream
from inkstream.budget import DEFAULT_BUDGET_BYTES
from inkstream.pipeline import Pipeline
from trainer.doctor.diagnosis import StepFigures
from trainer.input import DeviceBatch
from trainer.models import build
from trainer.optimization.timetable import Timetable
from trainer.optimization.updates import Updates, Weights
from trainer.parallel import Parallel
from trainer.randomness import Position
from trainer.run import Run
from trainer.steps import make_train_step
from trainer.under_way import StepsUnderWay

# Steps at the beginning that are never timed: what was computed or fetched ahead would flatter or spoil them.
_UNTIMED = 2
# What a stream may read ahead while it is measured. As much as usual would take seconds to fill, in which servers draw
# more than steps take.
_LEAD_BYTES = 64 << 20
_LEAD_BATCHES = 8


def lead_bytes(pipeline: Pipeline) -> int:
    """The `memory_bytes` of a stream that feeds steps for seconds only."""
    render = pipeline.render
    batch_bytes = pipeline.batch_size * render.size**2 * render.channels
    return min(DEFAULT_BUDGET_BYTES, max(_LEAD_BYTES, _LEAD_BATCHES * batch_bytes))


class Training:
    """A model that is trained for a while.

    Args:
        run: What `trainer fit` would train.
        parallel: On which devices.
        steps_per_epoch: Of its pipeline.
    """

    def __init__(self, run: Run, parallel: Parallel, steps_per_epoch: int):
        seed = run.pipeline.seed
        model = build(run.model, run.pictures, classes=len(run.classes), seed=seed)
        updates = Updates(run.optimization, Timetable.of(run.optimization, steps_per_epoch), run.learning_rate)
        self._state = parallel.replicate(updates.begin(Weights(model.params, model.stats)))
        self._train_step = parallel.train(
            make_train_step(model.graph, run.pixels, run.optimization, updates, seed=seed)
        )
        self._steps_ahead = parallel.steps_ahead
        self._step = 0

    def measure(self, batches: Iterator[DeviceBatch], seconds: float, settling_s: float = 0.0) -> StepFigures:
        """Trains on batches as they come.

        Args:
            batches: Without end.
            seconds: For how long steps are timed; at least one is.
            settling_s: For how long they are not, before that.
        """
        clock = _Clock(settling_s)
        under_way = StepsUnderWay(self._step, inkstream.Cursor(0, 0), self._steps_ahead, clock.record)
        for batch in batches:
            position = Position(batch.host.epoch, batch.host.step)
            self._state, figures = self._train_step(self._state, batch.arrays, position, 1.0)
            self._step += 1
            under_way.add(self._step, batch, figures)
            if clock.steps and clock.passed_s >= seconds:
                break
        under_way.catch_up()
        return clock.figures()


class _Clock:
    """Times steps from one's end to the next one's."""

    def __init__(self, settling_s: float) -> None:
        self.steps = 0
        self._settled_at = time.perf_counter() + settling_s
        self._seen = 0
        self._rows = 0
        self._wait_s = 0.0
        self._begun_at = self._last_at = 0.0

    @property
    def passed_s(self) -> float:
        return self._last_at - self._begun_at

    def record(self, step: int, batch: DeviceBatch, figures: dict[str, float]) -> None:
        self._last_at = time.perf_counter()
        self._seen += 1
        if self._seen <= _UNTIMED or (not self.steps and self._last_at < self._settled_at):
            self._begun_at = self._last_at
            return
        self.steps += 1
        self._rows += len(batch.host["label"])
        self._wait_s += batch.wait_s

    def figures(self) -> StepFigures:
        return StepFigures(self._rows / self.passed_s, self.passed_s / self.steps, self._wait_s / self.passed_s)
