"""Logs of a run: each a table, written as CSV for spreadsheets and as JSON lines for programs."""

import csv
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from trainer.optimization.settings import MONITORS

STEP_COLUMNS = ("step", "epoch", "loss", "accuracy", "samples", "learning_rate", "data_wait_s", "seconds")
EVALUATION_COLUMNS = (
    "step",
    "epoch",
    "train_loss",
    "train_accuracy",
    "loss",
    "top1",
    "top3",
    "map3",
    "class_mean",
    "samples_per_s",
    "data_wait_share",
)

_TAIL_BYTES = 4096  # more than two rows


class Table:
    """Rows numbered by `step`, the count of steps done, which never falls; on disk after each row.

    Floats are written so that reading them back gives the same bits.
    """

    def __init__(self, path: Path, columns: Sequence[str]):
        """Opens `path`, a .jsonl file, and the .csv file beside it; they are created if missing."""
        assert columns[0] == "step"
        self._paths = path.with_suffix(".csv"), path
        self._columns = columns
        self._csv, self._jsonl = (open(name, "a", newline="", buffering=1) for name in self._paths)
        if self._csv.tell() == 0:
            csv.writer(self._csv).writerow(columns)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes both files."""
        self._csv.close()
        self._jsonl.close()

    def append(self, **row: Any) -> None:
        """Writes a row with a value for every column; None is an empty cell."""
        values = [row[column] for column in self._columns]
        csv.writer(self._csv).writerow(["" if value is None else value for value in values])
        self._jsonl.write(json.dumps(dict(zip(self._columns, values, strict=True))) + "\n")

    def cut(self, step: int) -> None:
        """Removes rows after `step`, and a row that was being written when the process died."""
        _truncate(self._paths[0], 1, lambda line: int(line.split(b",", 1)[0]) <= step)
        _truncate(self._paths[1], 0, lambda line: json.loads(line)["step"] <= step)


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The whole rows of a table's .jsonl file; one that is being written, or was when the process died, is left out."""
    with open(path) as lines:
        yield from (json.loads(line) for line in lines if line.endswith("\n"))


def last_row(path: Path) -> dict[str, Any]:
    """The last whole row of a table's .jsonl file, `{"step": 0}` where there is none; reads only the end of it."""
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        *whole, _ = file.read().split(b"\n")
    return json.loads(whole[-1]) if whole else {"step": 0}


def best_step(rows: Iterable[Mapping[str, Any]], monitor: str) -> int | None:
    """The step of the evaluation with the best figure (of equals: the lowest loss in validation); None without one.

    Args:
        rows: Of the log of evaluations.
        monitor: The figure, a key of `MONITORS`.
    """
    sign = 1 if MONITORS[monitor] else -1
    known = [row for row in rows if row[monitor] is not None and math.isfinite(row[monitor])]
    return max(known, key=lambda row: (sign * row[monitor], -(row["loss"] or 0)))["step"] if known else None


def _truncate(path: Path, header_lines: int, stays: Any) -> None:
    """Keeps the header and the whole lines after it for as long as they stay."""
    with open(path, "rb+") as file:
        kept = 0
        for number, line in enumerate(file):
            if not line.endswith(b"\n") or (number >= header_lines and not stays(line)):
                break
            kept += len(line)
        file.truncate(kept)
