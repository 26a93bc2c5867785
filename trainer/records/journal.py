"""What a run writes down as it goes: a row for each step and each evaluation, and words for the person who watches."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trainer.input import DeviceBatch
from trainer.progress import ProgressLine
from trainer.records.folder import RunFolder
from trainer.records.logs import EVALUATION_COLUMNS, STEP_COLUMNS, Table, best_step, read_rows
from trainer.records.not_finite import NotFinite

VALIDATION_FIGURES = ("loss", "top1", "top3", "map3", "class_mean")


@dataclass
class _Sums:
    """Of the steps since the last evaluation; the times leave out steps that were compiled first."""

    loss: float = 0.0
    correct: float = 0.0
    samples: int = 0
    timed_samples: int = 0
    timed_s: float = 0.0
    data_wait_s: float = 0.0

    def add(self, row: Mapping[str, Any], *, timed: bool) -> None:
        self.loss += row["loss"] * row["samples"]
        self.correct += row["accuracy"] * row["samples"]
        self.samples += row["samples"]
        if timed:
            self.timed_samples += row["samples"]
            self.timed_s += row["seconds"]
            self.data_wait_s += row["data_wait_s"]

    def __str__(self) -> str:
        """For the progress bar, which a terminal of 80 columns must hold, too."""
        return (
            f"loss {self.mean_loss:.4f}, acc {self.accuracy:.4f}, {self.samples_per_s:,.0f}/s, "
            f"wait {self.data_wait_share:.1%}"
        )

    @property
    def mean_loss(self) -> float:
        return self.loss / max(self.samples, 1)

    @property
    def accuracy(self) -> float:
        return self.correct / max(self.samples, 1)

    @property
    def samples_per_s(self) -> float:
        return self.timed_samples / self.timed_s if self.timed_s else 0.0

    @property
    def data_wait_share(self) -> float:
        return self.data_wait_s / self.timed_s if self.timed_s else 0.0


class Journal:
    """Keeps the logs of a run.

    Args:
        folder: Of the run.
        progress: Where people are told.
        step: Steps done so far; the log of steps is cut back to it.
        evaluated: Steps done at the last evaluation; the log of evaluations is cut back to it.
        recorded: Called with the row of each step that is done.
        tensorboard: Whether TensorBoard's event files are written, too.
    """

    def __init__(
        self,
        folder: RunFolder,
        progress: ProgressLine,
        step: int,
        evaluated: int,
        recorded: Callable[[Mapping[str, Any]], None] = lambda row: None,
        *,
        tensorboard: bool = False,
    ):
        self._folder = folder
        self._progress = progress
        self._recorded = recorded
        self._steps = Table(folder.steps, STEP_COLUMNS)
        self._evaluations = Table(folder.evaluations, EVALUATION_COLUMNS)
        self._steps.cut(step)
        self._evaluations.cut(evaluated)
        self._events = None
        if tensorboard:
            from trainer.records.tensorboard import EventLog  # its library loads PyTorch, where that is installed

            self._events = EventLog(folder.events, step, evaluated)
        self._epoch = 0  # of the last step
        self._sums = _Sums()
        for row in read_rows(folder.steps):
            self._epoch = row["epoch"]
            if row["step"] > evaluated:
                self._sums.add(row, timed=False)
        self._recorded_at = -math.inf

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *error: object) -> None:
        self._steps.close()
        self._evaluations.close()
        if self._events is not None:
            self._events.close()

    def add_step(self, step: int, batch: DeviceBatch, figures: Mapping[str, float]) -> None:
        """Writes the row of a step that is done; `step` counts it.

        Raises:
            NotFinite: Its loss.
        """
        if not math.isfinite(figures["loss"]):
            raise NotFinite(f"the loss is {figures['loss']}", step)
        now = time.perf_counter()
        row = {
            "step": step,
            "epoch": batch.host.epoch,
            "loss": figures["loss"],
            "accuracy": figures["correct"] / max(figures["samples"], 1),
            "samples": int(figures["samples"]),
            "learning_rate": figures["learning_rate"],
            "data_wait_s": batch.wait_s,
            "seconds": now - max(self._recorded_at, batch.asked_at),
        }
        first_here = self._recorded_at == -math.inf
        self._recorded_at = now
        self._epoch = batch.host.epoch
        self._steps.append(**row)
        self._recorded(row)
        if self._events is not None:
            if batch.host.step == 0:
                self._events.add_pictures(step, batch.host["image"])
            self._events.add_step(row)
        self._sums.add(row, timed=not first_here)  # most of the first one's time goes into compiling it
        self._progress.update(step, f"epoch {batch.host.epoch + 1}: {self._sums}")

    def add_evaluation(self, step: int, validation: Mapping[str, float]) -> Mapping[str, Any]:
        """Writes the row of an evaluation and returns it.

        Args:
            step: Steps done.
            validation: What `trainer.metrics` says; empty without validation.
        """
        sums = self._sums
        row: dict[str, Any] = {
            "step": step,
            "epoch": self._epoch,
            "train_loss": sums.mean_loss,
            "train_accuracy": sums.accuracy,
            "samples_per_s": sums.samples_per_s,
            "data_wait_share": sums.data_wait_share,
            **{name: validation.get(name) for name in VALIDATION_FIGURES},
        }
        self._evaluations.append(**row)
        if self._events is not None:
            self._events.add_evaluation(row)
        self._sums = _Sums()
        words = "epoch {epoch}, step {step:,}: loss {train_loss:.4f}, accuracy {train_accuracy:.4f}"
        if validation:
            words += "; validation loss {loss:.4f}, top-1 {top1:.4f}, top-3 {top3:.4f}, MAP@3 {map3:.4f}"
        words += "; {samples_per_s:,.0f} samples/s, {data_wait_share:.1%} of the time waiting for data"
        self._progress.say(words.format(**row | {"epoch": self._epoch + 1}))
        return row

    def say(self, text: str) -> None:
        """Tells the person who watches."""
        self._progress.say(text)

    def best_step(self, monitor: str) -> int | None:
        """The evaluation whose monitored figure is the best so far; None if it was never measured."""
        return best_step(read_rows(self._folder.evaluations), monitor)


class NoJournal:
    """What the other processes of a training write down, of which one keeps the logs."""

    def __enter__(self) -> "NoJournal":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def add_step(self, step: int, batch: DeviceBatch, figures: Mapping[str, float]) -> None:
        """Nothing."""

    def add_evaluation(self, step: int, validation: Mapping[str, float]) -> Mapping[str, Any]:
        """Nothing: what training figures are is known only to who keeps the logs."""
        return {}

    def say(self, text: str) -> None:
        """Nothing."""

    def best_step(self, monitor: str) -> int | None:
        """None."""
        return None
