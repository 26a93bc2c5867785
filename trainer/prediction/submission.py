"""Guesses as a CSV file: the competition's, or the likeliest classes with their probabilities."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainer.classification import GUESSES, guesses
from trainer.prediction.unfinished import Unfinished


class Format:
    """What a row says of a sample.

    Without a number of classes it is the competition's: `key_id,word`, three guesses separated by blanks, in which
    blanks inside a class name become underscores. With one, each class and its probability have columns of their own.
    """

    def __init__(self, classes: Sequence[str], top: int | None):
        """For a model.

        Args:
            classes: Of its outputs.
            top: How many are written with their probabilities, or None for the competition's format.
        """
        self._top = None if top is None else min(top, len(classes))
        self._cells = [name.replace(" ", "_") if top is None else name for name in classes]
        header = ["word"]
        if self._top is not None:
            header = [f"{column}_{place}" for place in range(1, self._top + 1) for column in ("class", "probability")]
        self.header = ["key_id", *header]

    def rows(self, key_ids: np.ndarray, log_probabilities: np.ndarray) -> list[list[str]]:
        """A row for each sample.

        Args:
            key_ids: uint64 `[samples]`.
            log_probabilities: float32 `[samples, classes]`.
        """
        best = guesses(log_probabilities, self._top or GUESSES)
        named = [[self._cells[output] for output in row] for row in best.tolist()]
        if self._top is None:
            cells = [[" ".join(row)] for row in named]
        else:
            likely = np.exp(np.take_along_axis(log_probabilities, best, axis=-1)).tolist()
            cells = [
                [cell for name, probability in zip(*row, strict=True) for cell in (name, f"{probability:.6g}")]
                for row in zip(named, likely, strict=True)
            ]
        return [[str(key_id), *row] for key_id, row in zip(key_ids.tolist(), cells, strict=True)]


class Submission(Unfinished):
    """A CSV file of guesses that goes on where it was stopped.

    Attributes:
        rows: How many it has.
    """

    def __init__(self, path: Path, identity: Any, format: Format):
        """Opens it.

        Args:
            path: Of the finished file.
            identity: As for `Unfinished`.
            format: Of its rows.
        """
        super().__init__(path, identity, heading=_lines([format.header]))
        self._format = format
        self.rows = max(0, sum(line.endswith(b"\n") for line in self.file) - 1)

    def keep(self, rows: int) -> None:
        """Forgets all rows after the first `rows`, and goes on behind them."""
        self.file.seek(0)
        for _ in range(rows + 1):
            self.file.readline()
        self.file.truncate()
        self.rows = rows

    def append(self, key_ids: np.ndarray, log_probabilities: np.ndarray) -> None:
        """Adds samples: key ids uint64 `[samples]` and log-probabilities float32 `[samples, classes]`."""
        self.file.write(_lines(self._format.rows(key_ids, log_probabilities)))
        self.file.flush()
        self.rows += len(key_ids)


def _lines(rows: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
