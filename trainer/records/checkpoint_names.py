"""Which checkpoint a name means, and names that say what is in one: best-cnn-64x64x3-epoch008-step000952-map3-0.9712.

Orbax names checkpoints by their steps. Names for people are links to those in `models/` of the run's folder.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inkstream.command_line import Failure, UsageError
from trainer.disk import is_full
from trainer.optimization.timetable import Timetable
from trainer.records.checkpoints import Checkpoints
from trainer.records.folder import RunFolder
from trainer.records.logs import best_step, read_rows
from trainer.run import Run

AVERAGE = "average"  # that of `trainer.averaging`


def checkpoint_names(
    run: Run, timetable: Timetable, steps: Sequence[int], evaluations: Iterable[Mapping[str, Any]]
) -> dict[str, int]:
    """The names of checkpoints: best-..., last-..., and of the others without that word.

    Args:
        run: With the monitored figure, which is in the name if it was measured there.
        timetable: Of the run.
        steps: Numbers of the checkpoints, rising, at least one.
        evaluations: Rows of their log.
    """
    monitor, pictures = run.optimization.monitor, run.pictures
    rows = [row for row in evaluations if row["step"] in steps]
    figures = {row["step"]: row[monitor] for row in rows if row[monitor] is not None}
    best = best_step(rows, monitor) or steps[-1]

    def name(step: int) -> str:
        sides = f"{pictures.size_px}x{pictures.size_px}x{pictures.channels}"
        epoch = -(-step // timetable.steps_per_epoch)  # counted from 1: the one that it is of
        figure = f"-{monitor}-{figures[step]:.4f}" if step in figures else ""
        return f"{run.model.name}-{sides}-epoch{epoch:03}-step{step:06}{figure}"

    others = {name(step): step for step in steps if step not in (best, steps[-1])}
    return others | {f"best-{name(best)}": best, f"last-{name(steps[-1])}": steps[-1]}


def link_checkpoints(folder: RunFolder, names: Mapping[str, int]) -> None:
    """Makes `models/` hold a link for each name and no other one."""
    folder.models.mkdir(exist_ok=True)
    for link in folder.models.iterdir():
        if link.is_symlink() and link.name not in names:
            link.unlink()
    for name, step in names.items():
        link = folder.models / name
        try:
            if not link.is_symlink():
                link.symlink_to(Path("..") / folder.checkpoints.name / str(step))
        except OSError as error:
            if is_full(error):
                raise
            return  # a file system without links: a run does not end for names


def find_checkpoint(folder: RunFolder, which: str) -> tuple[Checkpoints, int]:
    """The checkpoints of a run and the number of the one that is asked for.

    Args:
        folder: Of the run; or a checkpoint of it, by either of its names, and then `which` does not matter.
        which: `best`, `last`, `average`, a number, or a name in `models/`.

    Raises:
        UsageError: There is no such folder, or no such checkpoint.
        Failure: The run has none yet.
    """
    if not folder.path.is_dir():
        raise UsageError(f"RUN must be the folder that `trainer fit --out` wrote, {folder.path} does not exist")
    itself = folder.path.resolve()
    is_run = folder.config.is_file()  # perhaps in a folder that somebody called `checkpoints`
    if itself.parent.name == folder.checkpoints.name and not is_run:
        folder, which = RunFolder(itself.parent.parent), itself.name
    checkpoints = Checkpoints(folder.average if which == AVERAGE else folder.checkpoints)
    steps = checkpoints.steps()
    if which == AVERAGE and not steps:
        raise UsageError(f"{folder.path} holds no average of its checkpoints: make one by `trainer average`")
    if not steps:
        raise Failure(f"{folder.path} holds no checkpoint: is it the folder of a run, and had that come to one?")
    if which in ("last", AVERAGE):
        return checkpoints, steps[-1]
    if which == "best":
        monitor = Run.from_json(checkpoints.record(steps[-1])["run"]).optimization.monitor
        best = best_step((row for row in read_rows(folder.evaluations) if row["step"] in steps), monitor)
        return checkpoints, best if best is not None else steps[-1]
    named = (folder.models / which).resolve().name
    if not named.isdigit() or int(named) not in steps:
        known = ", ".join(map(str, steps))
        raise UsageError(
            f"--checkpoint must be best, last, average, a name in {folder.models} or one of {known}, got {which!r}"
        )
    return checkpoints, int(named)
