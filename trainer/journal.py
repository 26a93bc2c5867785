"""What a run writes down as it goes: a row for each step and each epoch, and words for the person who watches."""

import time
from collections import deque
from typing import Any, NamedTuple

import jax
import numpy as np

from trainer.folder import RunFolder, best_step
from trainer.input import DeviceBatch
from trainer.logs import EPOCH_COLUMNS, STEP_COLUMNS, Table, read_rows
from trainer.progress import ProgressLine

VALIDATION_FIGURES = ("loss", "top1", "top3", "map3", "class_mean")


class _Step(NamedTuple):
    """A step that may still be under way."""

    step: int
    batch: DeviceBatch
    figures: dict[str, jax.Array]


class Journal:
    """Keeps the logs of a run.

    Args:
        folder: Of the run.
        progress: Where people are told.
        step: Steps done so far; logs that go further are cut back to it.
        steps_ahead: How many steps may be under way unrecorded, so that devices need not wait for the log.
    """

    def __init__(self, folder: RunFolder, progress: ProgressLine, step: int, steps_ahead: int):
        self._folder = folder
        self._steps, self._epochs = Table(folder.steps, STEP_COLUMNS), Table(folder.epochs, EPOCH_COLUMNS)
        self._steps.cut(step)
        self._epochs.cut(step)
        self._progress = progress
        self._steps_ahead = steps_ahead
        self._under_way: deque[_Step] = deque()
        self._recorded_at = time.perf_counter()
        self.epochs_ended = sum(1 for _ in read_rows(folder.epochs))
        self._timed: list[dict[str, Any]] = []
        self._compiling = True
        self._epoch_rows = [row for row in read_rows(folder.steps) if row["epoch"] == self.epochs_ended]

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *error: object) -> None:
        self._steps.close()
        self._epochs.close()

    def add_step(self, step: int, batch: DeviceBatch, figures: dict[str, jax.Array]) -> None:
        """Notes a step that was started; `step` counts it."""
        self._under_way.append(_Step(step, batch, figures))
        while len(self._under_way) > self._steps_ahead:
            self._record(self._under_way.popleft())

    def catch_up(self) -> None:
        """Waits for the steps under way and writes their rows."""
        while self._under_way:
            self._record(self._under_way.popleft())

    def end_epoch(self, step: int, validation: dict[str, float]) -> None:
        """Writes the row of an epoch whose steps are done.

        Args:
            step: Steps done.
            validation: What `trainer.metrics` says; empty without validation.
        """
        rows = self._epoch_rows
        samples, seconds = sum(row["samples"] for row in rows), sum(row["seconds"] for row in rows)
        row: dict[str, Any] = {
            "step": step,
            "epoch": self.epochs_ended,
            "train_loss": sum(row["loss"] * row["samples"] for row in rows) / samples,
            "train_accuracy": sum(row["accuracy"] * row["samples"] for row in rows) / samples,
            "samples_per_s": _per_second(self._timed),
            "data_wait_share": sum(row["data_wait_s"] for row in rows) / seconds,
            "seconds": seconds,
        }
        self._epochs.append(**row, **{name: validation.get(name) for name in VALIDATION_FIGURES})
        self.epochs_ended += 1
        self._epoch_rows, self._timed = [], []
        words = "epoch {epoch}: loss {train_loss:.4f}, accuracy {train_accuracy:.4f}"
        if validation:
            words += "; validation loss {loss:.4f}, top-1 {top1:.4f}, top-3 {top3:.4f}, MAP@3 {map3:.4f}"
        words += "; {samples_per_s:,.0f} samples/s, {data_wait_share:.1%} of the time waiting for data"
        self._progress.say(words.format(**row | validation | {"epoch": self.epochs_ended}))

    def best_step(self) -> int | None:
        """The checkpoint with the best validation so far; None without validation."""
        return best_step(read_rows(self._folder.epochs))

    def _record(self, started: _Step) -> None:
        figures = {name: float(np.asarray(value)) for name, value in jax.block_until_ready(started.figures).items()}
        now, batch = time.perf_counter(), started.batch
        row = {
            "step": started.step,
            "epoch": batch.host.epoch,
            "loss": figures["loss"],
            "accuracy": figures["correct"] / max(figures["samples"], 1),
            "samples": int(figures["samples"]),
            "learning_rate": figures["learning_rate"],
            "data_wait_s": batch.wait_s,
            "seconds": now - max(self._recorded_at, batch.asked_at),
        }
        self._recorded_at = now
        self._steps.append(**row)
        self._epoch_rows.append(row)
        if self._compiling:
            self._compiling = False  # the first step's time is mostly that of compiling it
        else:
            self._timed.append(row)
        rate = _per_second(self._timed)
        self._progress.update(
            started.step, f"epoch {batch.host.epoch + 1}, loss {row['loss']:.4f}, {rate:,.0f} samples/s"
        )


def _per_second(rows: list[dict[str, Any]]) -> float:
    """Samples per second of steps and their waits; 0 where nothing was timed."""
    return sum(row["samples"] for row in rows) / sum(row["seconds"] for row in rows) if rows else 0.0
