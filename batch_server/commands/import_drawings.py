"""`batch-server import`: drawings into a dataset."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from batch_server.importing.display import ConsoleDisplay
from batch_server.importing.errors import ImportFailed, ImportRefused
from batch_server.importing.importer import import_drawings
from batch_server.importing.writing import FIRST_REJECTS, Summary
from batch_server.kernel_cache import when_compiling
from inkstream.command_line import EXIT_STOPPED, Failure, Subcommands, UsageError

EXAMPLES = """examples:
  batch-server import train_simplified.zip --dataset data/doodles.lmdb
  batch-server import ndjson/ more/cat.ndjson --dataset data/doodles.lmdb --replace
  batch-server import AF_car.jsonl --class car --dataset data/cars.lmdb

formats, found by content: the competition's CSV (training and test layout), Quick, Draw! ndjson (simplified and raw)
and .bin, JSON lines with countrycode and drawing only; any of them gzipped, or in a zip.

Interrupted or killed, the same command goes on where it was. The list of rejected rows: batch-server inspect --rejects.
"""


def add(subcommands: Subcommands) -> None:
    """Declares the subcommand."""
    parser = subcommands.add_parser(
        "import",
        help="drawings into a dataset",
        description="Imports drawings from files, folders and zips into one LMDB dataset.",
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "sources", metavar="SOURCE", nargs="+", type=_source, help="a file, a folder or a zip of drawings"
    )
    parser.add_argument("--dataset", metavar="DIR/NAME.lmdb", type=Path, required=True, help="the dataset to write")
    parser.add_argument(
        "--class",
        dest="class_name",
        metavar="NAME",
        help="the class of drawings in files that name none in their rows; without it, the file's name tells it",
    )
    parser.add_argument(
        "--replace", action="store_true", help="replace the dataset if it exists, once the new one is whole"
    )
    parser.add_argument("--workers", metavar="N", type=int, default=_cores(), help="threads that read, one per core")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Imports, and prints what came of it.

    Raises:
        UsageError: The request makes no sense.
        Failure: The import could not be finished, or there is no drawing in the sources.
    """
    if not 1 <= options.workers <= 1024:
        raise UsageError(f"--workers is a number from 1 to 1024, got {options.workers}")
    try:
        with _stopped_by_sigterm(), ConsoleDisplay() as display, when_compiling(display.note):
            summary = import_drawings(
                options.sources,
                options.dataset,
                class_name=options.class_name,
                replace=options.replace,
                workers=options.workers,
                display=display,
            )
    except ImportRefused as error:
        raise UsageError(error) from None
    except ImportFailed as error:
        raise Failure(error) from None
    except BaseException as stop:
        if isinstance(stop, KeyboardInterrupt | SystemExit):
            print("what has been read is kept: run the same command again to go on", file=sys.stderr)
        raise
    _print(summary, options.dataset)
    if not summary.samples:
        raise Failure("there is no drawing in the sources: no dataset was written")


def _print(summary: Summary, dataset: Path) -> None:
    for reject in summary.first_rejects:
        print(f"rejected: {reject}", file=sys.stderr)
    if summary.rejected > FIRST_REJECTS:
        print(f"rejected: {summary.rejected - FIRST_REJECTS:,} more", file=sys.stderr)
    if not summary.samples:
        return
    classes = f"in {_counted(summary.classes, 'class', 'classes')}" if summary.classes else "without classes"
    print(f"{dataset}: {_counted(summary.samples, 'drawing', 'drawings')} {classes}")
    print(f"rejected: {summary.rejected:,}" + _listed(summary.rejected, dataset, "--rejects"))
    print(f"duplicates: {summary.duplicates:,}" + _listed(summary.duplicates, dataset, "--duplicates"))
    print(f"fingerprint: {summary.fingerprint}")


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _listed(count: int, dataset: Path, option: str) -> str:
    return f" (batch-server inspect {dataset} {option})" if count else ""


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Lets SIGTERM end the import as orderly as Ctrl-C does."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(EXIT_STOPPED)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _source(text: str) -> Path:
    if not text:  # an unset variable in quotes, which must not mean the current folder
        raise argparse.ArgumentTypeError("a source is a file or folder, got an empty word")
    return Path(text)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
