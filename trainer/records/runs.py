"""The runs below a folder, compared: how each ended, the settings in which they differ, and their best figures."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from inkstream.command_line import UsageError
from trainer.records.configuration import UNLEARNT, Configuration
from trainer.records.folder import RunFolder
from trainer.records.logs import best_step, last_row, read_rows

_SHOWN = 3  # of a long setting, such as classes, on a terminal
FIGURES = ("map3", "top1", "top3", "class_mean", "loss", "train_loss")


class Listed(NamedTuple):
    """A run.

    Args:
        name: Its folder, from the one that was asked for.
        state: `finished`; `unfinished`, where it is under way or was stopped; `not finite`; or `unreadable`.
        options: Those of its config.json; empty if that cannot be read.
        steps_done: The last that is in its log.
        best: The row of its best evaluation, by its own `--monitor`; empty without one.
        problem: What is not finite or cannot be read.
    """

    name: str
    state: str
    options: Mapping[str, Any]
    steps_done: int
    best: Mapping[str, Any]
    problem: str | None = None


def find_runs(folder: Path) -> list[Listed]:
    """All runs in a folder and those below it, by name.

    Raises:
        UsageError: There is no such folder, or none in it.
    """
    found = []
    for path, folders, files in os.walk(folder):
        folders.sort()
        if "config.json" in files:
            folders.clear()  # nothing below a run is another one
            found.append(_listed(Path(path), str(Path(path).relative_to(folder))))
    if not found:
        raise UsageError(f"DIR must be a folder with runs in it, there is none in {folder}")
    return found


def table(runs: Sequence[Listed]) -> list[dict[str, Any]]:
    """A row for each run, all with the same columns: name, state, steps, differing settings, best figures, problem."""
    names = dict.fromkeys(name for run in runs for name in run.options if name not in UNLEARNT)
    differing = [name for name in names if len({json.dumps(run.options.get(name)) for run in runs if run.options}) > 1]
    return [
        {"run": run.name, "state": run.state, "steps_done": run.steps_done}
        | {name: run.options.get(name) for name in differing}
        | {"best_step": run.best.get("step")}
        | {name: run.best.get(name) for name in FIGURES}
        | {"problem": run.problem}
        for run in runs
    ]


def as_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """A table for a terminal; columns in which nothing is known are left out."""
    rows = list(rows)
    columns = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    lines = [columns, *([_cell(row[name]) for name in columns] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _listed(path: Path, name: str) -> Listed:
    folder = RunFolder(path)
    try:
        configuration = Configuration.load(str(folder.config))
        evaluations = list(read_rows(folder.evaluations)) if folder.evaluations.exists() else []
        steps = last_row(folder.steps)["step"] if folder.steps.exists() else 0
        best = best_step(evaluations, configuration.options["monitor"])
        broken = json.loads(folder.not_finite.read_text()) if folder.not_finite.exists() else None
    except (UsageError, ValueError, KeyError, TypeError) as error:
        return Listed(name, "unreadable", {}, 0, {}, str(error))
    state = "not finite" if broken else "finished" if folder.curve.exists() else "unfinished"
    problem = f"step {broken['steps_done']}: {broken['what']}" if broken else None
    row = next((row for row in evaluations if row["step"] == best), {})
    return Listed(name, state, configuration.options, steps, row, problem)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        more = f" and {len(value) - _SHOWN} more" if len(value) > _SHOWN else ""
        return ", ".join(map(str, value[:_SHOWN])) + more
    return "-" if value is None else str(value)
