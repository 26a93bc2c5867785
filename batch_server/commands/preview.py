"""`batch-server preview`: a contact sheet of a dataset, or of a batch that trainers got."""

import argparse
import sys
from pathlib import Path
from typing import Any

from batch_server.batches import BatchMaker
from batch_server.contact_sheet import Card, contact_sheet, png
from batch_server.preview import batch_cards, examples_by_class
from batch_server.rendering import RENDERER_VERSION
from batch_server.store.reader import Dataset
from inkstream.command_line import Failure, Subcommands, UsageError
from inkstream.errors import ServerMismatch
from inkstream.pipeline import ENCODINGS, SPLITS, STYLES, Augment, Erase, Filter, Pipeline, Render
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
_AUGMENT = Augment()
_VARIED = {
    "rotate_deg": "rotation, uniform in -X..X degrees",
    "shift": "shift per axis, uniform in -X..X of the side",
    "shear": "shear per axis, uniform in -X..X",
    "scale": "magnification of each axis for itself",
    "zoom": "magnification of both axes",
    "flip_horizontal": "probability of a mirror image left to right",
    "flip_vertical": "probability of a mirror image top to bottom",
    "stroke_dropout": "probability with which each stroke is left out",
    "jitter": "displacement of each point, uniform in -X..X of the side",
    "line_width": "factor on the width of lines",
    "crop": "share of the side that a random crop cuts away",
}


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

    how = parser.add_argument_group("how they are drawn")
    how.add_argument("--size", type=int, default=_PIPELINE.render.size, metavar="PX", help="side of a picture")
    how.add_argument(
        "--encoding", choices=ENCODINGS, default=_PIPELINE.render.encoding, help="how strokes become colours"
    )
    how.add_argument("--style", choices=STYLES, default=_PIPELINE.render.style, help="how lines are drawn")

    varied = parser.add_argument_group("how they are varied (the settings of inkstream.Augment)")
    for name, text in _VARIED.items():
        default = getattr(_AUGMENT, name)
        pair = isinstance(default, tuple)
        varied.add_argument(
            f"--{name.replace('_', '-')}",
            type=float,
            nargs=2 if pair else None,
            metavar=("LOW", "HIGH") if pair else "X",
            default=default,
            help=text,
        )
    varied.add_argument("--erase", action="store_true", help="random erasing")

    exact = parser.add_argument_group("a batch that trainers got")
    exact.add_argument("--pipeline", type=Path, metavar="FILE", help="the pipeline file in a run's folder")
    exact.add_argument("--epoch", type=int, metavar="E", help="of the batch, from 0; needs --pipeline")
    exact.add_argument("--step", type=int, metavar="S", help="of the batch, from 0; needs --pipeline")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Writes the picture and says where it is.

    Raises:
        UsageError: Options make no sense, or not together.
        InvalidPipeline: A setting breaks its rule.
        ServerMismatch: The dataset or this program cannot draw the batch of the pipeline file.
        Failure: The picture cannot be written.
    """
    _check(options)
    dataset = Dataset.open(options.dataset)
    title, subtitle, cards, columns = _batch(options, dataset) if options.pipeline else _examples(options, dataset)
    sheet = contact_sheet(title, subtitle, cards, columns)
    try:
        options.out.write_bytes(png(sheet))
    except OSError as error:
        raise Failure(f"cannot write {options.out}: {error.strerror or error}") from error
    print(f"{options.out}: {len(cards)} drawings, {sheet.shape[1]} x {sheet.shape[0]} pixels", file=sys.stderr)


def _examples(options: argparse.Namespace, dataset: Dataset) -> tuple[str, str, list[Card], int]:
    """Title, subtitle, cards and columns of examples of every class."""
    settings = {name: getattr(options, name) for name in _VARIED}
    pipeline = Pipeline(
        dataset=dataset.name,
        split=options.split,
        batch_size=_PIPELINE.batch_size,
        seed=options.seed,
        render=Render(size=options.size, encoding=options.encoding, style=options.style),
        augment=Augment(**settings, erase=Erase() if options.erase else None),
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
    render = pipeline.render
    parts = [f"{render.size} px, {render.encoding}, {render.style}", f"seed {pipeline.seed}"]
    augment = pipeline.augment or _AUGMENT
    for name in _VARIED:
        value = getattr(augment, name)
        if value != getattr(_AUGMENT, name):
            shown = f"{value[0]:g} to {value[1]:g}" if isinstance(value, tuple) else f"{value:g}"
            parts.append(f"{name} {shown}")
    if augment.erase:
        parts.append("erase")
    return " · ".join(parts)


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
    own = _own_settings(options)
    if own:
        raise UsageError(f"--pipeline decides how the batch is drawn: leave out {', '.join(own)}")


def _own_settings(options: argparse.Namespace) -> list[str]:
    """The options given that a pipeline file decides."""
    defaults: dict[str, Any] = {
        "split": "all",
        "classes": None,
        "seed": _PIPELINE.seed,
        "size": _PIPELINE.render.size,
        "encoding": _PIPELINE.render.encoding,
        "style": _PIPELINE.render.style,
        "erase": False,
        **{name: getattr(_AUGMENT, name) for name in _VARIED},
    }
    return [f"--{name.replace('_', '-')}" for name, value in defaults.items() if getattr(options, name) != value]
