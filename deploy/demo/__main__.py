"""`make demo`, or `python -m deploy.demo [--data PATH]`: the whole path, with the commands that a user would type."""

import argparse
import json
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from deploy.demo.commands import CommandFailed, Commands
from deploy.demo.plan import Plan, make_plan
from deploy.demo.sources import labelled_parts, unlabelled_files
from deploy.sketches import SUBJECTS, write_labelled, write_unlabelled

FOLDER = Path(".demo")
SKETCHES_PER_CLASS = 500
UNLABELLED_PER_CLASS = 5
SEED = 1

DESCRIPTION = """\
Imports drawings into a dataset, starts a batch server, trains a model on its batches, measures it on drawings that were
held out, guesses drawings without labels, and shows the result. Everything is made anew in .demo/.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo; returns its exit code, as the commands' (130 after Ctrl-C)."""
    parser = argparse.ArgumentParser(prog="make demo", description=DESCRIPTION)
    parser.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="drawings in a format of `batch-server import`; else sketches are drawn",
    )
    data = parser.parse_args(arguments).data
    if data is not None and not data.exists():
        parser.error(f"there is no {data}")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        _demo(data)
    except CommandFailed as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    return 0


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _demo(data: Path | None) -> None:
    started = time.monotonic()
    commands = Commands(FOLDER)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()

    if data is None:
        data = FOLDER / "sketches"
        _say(f"Drawing {len(SUBJECTS)} x {SKETCHES_PER_CLASS} sketches into {data}")
        write_labelled(data / "labelled", SKETCHES_PER_CLASS, SEED)
        numbers = range(SKETCHES_PER_CLASS, SKETCHES_PER_CLASS + UNLABELLED_PER_CLASS)
        write_unlabelled(data / "unlabelled.csv", numbers, SEED)

    _say("Importing the drawings into a dataset")
    datasets, unlabelled = FOLDER / "datasets", unlabelled_files(data)
    datasets.mkdir()
    drawings = datasets / "drawings.lmdb"
    commands.run("batch-server", "import", *labelled_parts(data, unlabelled), "--dataset", drawings)
    if unlabelled:
        commands.run("batch-server", "import", *unlabelled, "--dataset", datasets / "unlabelled.lmdb")
    counts: dict[str, int] = json.loads(commands.output("batch-server", "inspect", drawings, "--json"))["counts"]
    plan = make_plan(counts)

    _say("Looking at some of them")
    sheet = FOLDER / "contact-sheet.png"
    commands.run("batch-server", "preview", drawings, "--out", sheet)

    _say("Starting a batch server")
    with commands.serve(datasets) as address:
        server = ("--server", address)
        figures = _train(commands, server, plan)
        guesses, pictures = FOLDER / "guesses.csv", FOLDER / "guesses.png"
        split = ("--dataset", "unlabelled") if unlabelled else ("--dataset", "drawings", "--split", "validation")
        _say("Guessing drawings without labels" if unlabelled else "Guessing the drawings that were held out")
        commands.run("trainer", "predict", FOLDER / "run", *server, *split, "--out", guesses, "--pictures", pictures)

    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    _say(f"Done in {minutes} min {seconds:02} s")
    print(
        f"accuracy on {figures['samples']:,} drawings that the model never saw, of {len(figures['classes'])} classes:"
    )
    print(f"  right at the first guess {figures['top1']:.1%}, among three guesses {figures['top3']:.1%}")
    print("look at")
    for path, what in (
        (sheet, "the drawings"),
        (FOLDER / "run" / "curve.png", "how the model learned"),
        (pictures, "a few drawings with the model's guesses"),
        (guesses, "three guesses for each of them"),
    ):
        print(f"  {path!s:26} {what}")


def _train(commands: Commands, server: tuple[str, str], plan: Plan) -> dict[str, Any]:
    """Trains and returns what `trainer evaluate` measured."""
    run = FOLDER / "run"
    _say(f"Training a model on {plan.samples:,} drawings of {plan.classes_count} classes, in {plan.epochs} epochs")
    if plan.classes:
        print(f"(the {plan.classes_count} classes with the most drawings, so that it takes minutes and not hours)")
    commands.run("trainer", "fit", *server, "--dataset", "drawings", *plan.options(), "--out", run)

    _say("Measuring it on the drawings that were held out")
    options = ("trainer", "evaluate", run, *server, "--dataset", "drawings")
    only = ("--classes", *plan.classes) if plan.classes else ()
    figures: dict[str, Any] = json.loads(commands.output(*options, *only, "--json"))
    return figures


def _say(text: str) -> None:
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
