"""The whole of an import, from sources to a dataset with a name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from batch_server.importing.errors import ImportFailed, ImportRefused
from batch_server.importing.plan import make_plan
from batch_server.importing.reading import Progress, read_sources
from batch_server.importing.staging import Staging, folder_of
from batch_server.importing.writing import PartsMerger, Summary
from batch_server.sources import fields
from batch_server.sources.walk import find_sources


class Display(Protocol):
    """Who is told how the import goes on."""

    def note(self, text: str) -> None:
        """Something to know."""

    def looking(self) -> None:
        """The sources are being looked at."""

    def reading(self, progress: Progress, total_bytes: int) -> None:
        """They are being read."""

    def writing(self, rows: int, total_rows: int) -> None:
        """The dataset is being written."""


def import_drawings(
    paths: Sequence[Path],
    target: Path,
    *,
    class_name: str | None,
    replace: bool,
    workers: int,
    display: Display,
) -> Summary:
    """Imports drawings into a dataset, going on where an earlier attempt was cut off.

    Args:
        paths: Files, folders and zips.
        target: The dataset, `NAME.lmdb`.
        class_name: The class of drawings that come without one.
        replace: Whether a dataset of that name may be replaced; it stays until the new one is whole.
        workers: Threads that read.
        display: Who is told how it goes on.

    Returns:
        What came of it. Without a single drawing there is no dataset.

    Raises:
        ImportRefused: A source is missing, the target exists or has no good name, or labelled and unlabelled sources
            are mixed.
        ImportFailed: Another import to the target is running, a source cannot be read, or the disk is full, say.
    """
    if target.suffix != ".lmdb" or not target.stem:
        raise ImportRefused(f"--dataset is a file name that ends in .lmdb, got {target}")
    if class_name is not None:
        try:
            fields.class_name(class_name)
        except ValueError as error:
            raise ImportRefused(f"--class: {error}") from None
    if missing := [str(path) for path in paths if not path.exists()]:
        raise ImportRefused(f"no such file or folder: {', '.join(missing)}")
    if target.exists() and not replace and not folder_of(target).exists():
        raise _exists(target)
    display.looking()
    try:
        sources = list(find_sources(paths, class_name, passed_over=(target, folder_of(target))))
    except OSError as error:
        raise ImportFailed(f"cannot read {error.filename}: {error.strerror or error}") from error
    plan = make_plan(sources, class_name)
    with Staging(target) as staging:
        earlier = staging.signature()
        if earlier == plan.signature and (finished := staging.summary()) is not None:
            # The dataset was whole when the earlier attempt was cut off.
            return _conclude(staging, Summary(**finished), replace)
        if target.exists() and not replace:
            if earlier is None:
                staging.remove()
            raise _exists(target)
        if earlier == plan.signature:
            display.note("going on with an import that was cut off")
        else:
            if earlier is not None:
                display.note("an unfinished import had other sources, sizes or options: starting anew")
            staging.empty()
            staging.record(plan.signature)
        read_sources(plan, staging, workers, lambda progress: display.reading(progress, plan.total_bytes))
        merger = PartsMerger(plan, staging)
        extra = {"sources": [str(path) for path in paths], "class": class_name}
        try:
            summary = merger.write(extra, lambda rows: display.writing(rows, merger.rows))
            staging.record(plan.signature, summary._asdict())
            return _conclude(staging, summary, replace)
        except OSError as error:
            raise ImportFailed(f"{error}; run the same command again to go on") from error


def _conclude(staging: Staging, summary: Summary, replace: bool) -> Summary:
    """Gives a whole dataset its name, if that has not been done, and cleans up."""
    if summary.samples and staging.dataset.exists():
        staging.publish(replace)
    staging.remove()
    return summary


def _exists(target: Path) -> ImportRefused:
    return ImportRefused(f"{target} exists: give --replace to replace it, or another --dataset")
