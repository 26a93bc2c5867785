"""`batch-server preview`: a contact sheet of a dataset, or of a batch that trainers got."""

import argparse
import sys
from pathlib import Path

from batch_server.batches import BatchMaker
from batch_server.commands.datasets import check_dataset
from batch_server.commands.pictures import (
    PICTURE_DEFAULTS,
    add_augment,
    add_render,
    augment,
    described,
    own_settings,
    render,
)
from batch_server.contact_sheet import Card, contact_sheet, png
from batch_server.preview import batch_cards, examples_by_class
from batch_server.rendering import RENDERER_VERSION
from batch_server.store.reader import Dataset
from inkstream.command_line import Failure, Subcommands, UsageError
from inkstream.errors import ServerMismatch
from inkstream.pipeline import SPLITS, Filter, Pipeline
from inkstream.pipeline_file import PipelineFile

_MOST_CARDS = 1024
_FEW_CLASSES = 12
_ROWS, _COLUMNS = 8, 8
_BATCH_COLUMNS = 16

_EXAMPLES = """examples:
  batch-server preview data/doodles.lmdb --out grid.png
  batch-server preview data/doodles.lmdb --out grid.png --split validation --classes cat dog --columns 12
  batch-server preview data/doodles.lmdb --out grid.png --encoding rainbow --rotate-deg 15 --scale 0.8 1.2 --erase
  batch-server preview data/doodles.lmdb --out grid.png --pipeline run/pipeline.json --epoch 3 --step 120
"""

# Defaults come from the pipeline's own.
_PIPELINE = Pipeline(dataset="any", batch_size=_MOST_CARDS)


def add(subcommands: Subcommands) -> None:
    """Declares the subcommand."""
    parser = subcommands.add_parser(
        "preview",
        help="a contact sheet of drawings",
        description="Draws a contact sheet: examples of every class, plain or varied, or the batch that trainers got.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a finished .lmdb file")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the picture to write, a .png file")
    parser.add_argument("--rows", type=int, metavar="N", help=f"rows of cards; {_ROWS}, or one for each of few classes")
    parser.add_argument(
        "--columns", type=int, metavar="N", help=f"cards in a row; {_COLUMNS}, or {_BATCH_COLUMNS} of a batch"
    )

    which = parser.add_argument_group("which drawings")
    which.add_argument("--split", choices=SPLITS, default="all", help="which samples")
    which.add_argument("--classes", nargs="+", metavar="NAME", help="only these classes")
    which.add_argument("--seed", type=int, default=_PIPELINE.seed, help="chooses examples and random numbers")

    add_render(parser)
    add_augment(parser)

    exact = parser.add_argument_group("a batch that trainers got")
    exact.add_argument("--pipeline", type=Path, metavar="FILE", help="the pipeline file in a run's folder")
    exact.add_argument("--epoch", type=int, metavar="E", help="of the batch, from 0; needs --pipeline")
    exact.add_argument("--step", type=int, metavar="S", help="of the batch, from 0; needs --pipeline")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Writes the picture and says where it is.

    Raises:
        UsageError: Options make no sense, or not together, or there is no file.
        InvalidPipeline: A setting breaks its rule.
        ServerMismatch: The dataset or this program cannot draw the batch of the pipeline file.
        Failure: The picture cannot be written.
    """
    _check(options)
    dataset = Dataset.open(check_dataset(options.dataset))
    title, subtitle, cards, columns = _batch(options, dataset) if options.pipeline else _examples(options, dataset)
    sheet = contact_sheet(title, subtitle, cards, columns)
    try:
        options.out.write_bytes(png(sheet))
    except OSError as error:
        raise Failure(f"cannot write {options.out}: {error.strerror or error}") from error
    print(f"{options.out}: {len(cards)} drawings, {sheet.shape[1]} x {sheet.shape[0]} pixels", file=sys.stderr)


def _examples(options: argparse.Namespace, dataset: Dataset) -> tuple[str, str, list[Card], int]:
    """Title, subtitle, cards and columns of examples of every class."""
    pipeline = Pipeline(
        dataset=dataset.name,
        split=options.split,
        batch_size=_PIPELINE.batch_size,
        seed=options.seed,
        render=render(options),
        augment=augment(options),
        filter=Filter(classes=options.classes) if options.classes else None,
    )
    classes = len(set(options.classes)) if options.classes else len(dataset.classes)
    rows = options.rows or (classes if 0 < classes <= _FEW_CLASSES else _ROWS)
    columns = options.columns or _COLUMNS
    maker = BatchMaker(dataset, pipeline)
    subtitle = f"{maker.epoch_plan.samples:,} samples"
    if dataset.classes:
        subtitle += f", {classes:,} {'class' if classes == 1 else 'classes'}"
    subtitle += f" · {_how(pipeline)}"
    return f"{dataset.name} · split {options.split}", subtitle, examples_by_class(maker, rows, columns), columns


def _batch(options: argparse.Namespace, dataset: Dataset) -> tuple[str, str, list[Card], int]:
    """Title, subtitle, cards and columns of one batch."""
    file = PipelineFile.load(options.pipeline)
    if file.fingerprint != dataset.fingerprint:
        raise ServerMismatch(
            f"{options.pipeline} was drawn from a dataset with fingerprint {file.fingerprint}, {options.dataset} has "
            f"{dataset.fingerprint}: give the dataset of the run"
        )
    if file.renderer_version != RENDERER_VERSION:
        raise ServerMismatch(
            f"{options.pipeline} was drawn by renderer version {file.renderer_version}, this program has "
            f"{RENDERER_VERSION}: use the version of Inkstream that served the run"
        )
    maker = BatchMaker(dataset, file.pipeline)
    steps = maker.epoch_plan.steps_per_epoch
    if options.step >= steps:
        raise UsageError(f"--step must be below the {steps:,} steps of an epoch, got {options.step:,}")
    columns = options.columns or _BATCH_COLUMNS
    cards = batch_cards(maker, options.epoch, options.step, options.rows * columns if options.rows else _MOST_CARDS)
    rows = maker.epoch_plan.batch_rows(options.step)
    shown = f"{rows:,} rows" if len(cards) == rows else f"rows 0 to {len(cards) - 1:,} of {rows:,}"
    title = f"{dataset.name} · split {file.pipeline.split} · epoch {options.epoch:,}, step {options.step:,}"
    return title, f"{shown} · {_how(file.pipeline)} · digest {file.digest}", cards, columns


def _how(pipeline: Pipeline) -> str:
    """The settings that a viewer can see, without those at rest."""
    pictures, *variation = described(pipeline)
    return " · ".join([pictures, f"seed {pipeline.seed}", *variation])


def _check(options: argparse.Namespace) -> None:
    for name in ("rows", "columns"):
        value = getattr(options, name)
        if value is not None and not 1 <= value <= _MOST_CARDS:
            raise UsageError(f"--{name} must be from 1 to {_MOST_CARDS}, got {value}")
    if (options.rows or 1) * (options.columns or _COLUMNS) > _MOST_CARDS:
        raise UsageError(
            f"--rows times --columns must be at most {_MOST_CARDS}, got {options.rows} x {options.columns}"
        )
    if options.out.suffix.lower() != ".png":
        raise UsageError(f"--out must end in .png, got {options.out}")
    if options.pipeline is None:
        if options.epoch is not None or options.step is not None:
            raise UsageError("--epoch and --step name a batch of a run: give its --pipeline file too")
        return
    if not options.pipeline.is_file():
        raise UsageError(f"--pipeline must be a file, {options.pipeline} is none: it is in the run's folder")
    if options.epoch is None or options.step is None:
        raise UsageError("--pipeline needs --epoch and --step")
    if options.epoch < 0 or options.step < 0:
        raise UsageError(f"--epoch and --step count from 0, got {options.epoch} and {options.step}")
    own = own_settings(options, {"split": "all", "classes": None, "seed": _PIPELINE.seed, **PICTURE_DEFAULTS})
    if own:
        raise UsageError(f"--pipeline decides how the batch is drawn: leave out {', '.join(own)}")
