"""`trainer find-lr`: the learning-rate range test."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from inkstream.command_line import Subcommands, UsageError, leaving_at_once
from trainer.commands import arguments
from trainer.commands import optimization as training
from trainer.commands.checking import checked, naming_options
from trainer.learning_rate.range_test import Rise

if TYPE_CHECKING:
    from trainer.learning_rate.find_lr import Found

_LINES = 20  # of the table

EXAMPLES = """\
It takes the options of `trainer fit` and trains on the same batches, devices and optimizer, with the rate rising by one
factor with each update. It ends when the smoothed loss is four times its lowest, and suggests a tenth of the rate at
which it was lowest, as the highest of a schedule. Options of the schedule and of the end change nothing. Nothing is
kept of the model, and nothing is written but --out.

example:
  trainer find-lr --server localhost:50051 --dataset doodles --model cnn --batch-size 256 --out rates.png
"""


def add(subcommands: Subcommands) -> None:
    """Declares the subcommand."""
    parser = subcommands.add_parser(
        "find-lr",
        help="find a learning rate",
        description="Trains at rising learning rates, shows the losses, and suggests a rate for `trainer fit`.",
        epilog=EXAMPLES,
    )
    arguments.add_server(parser)
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="draw the curve; not drawn if not given")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    group = parser.add_argument_group("range")
    group.add_argument("--min-rate", type=float, default=Rise.low, metavar="RATE", help="the first rate")
    group.add_argument("--max-rate", type=float, default=Rise.high, metavar="RATE", help="the last rate")
    group.add_argument(
        "--updates", type=int, default=Rise.updates, metavar="N", help="from the first to the last; more are smoother"
    )
    arguments.add_model(parser)
    training.add_optimization(parser)
    arguments.add_pipeline(parser)
    parser.set_defaults(run=run)


@naming_options()
def run(options: argparse.Namespace) -> None:
    """Prints the curve and the suggestion.

    Raises:
        UsageError: The picture cannot be written where it is asked for.
    """
    out: Path | None = options.out
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise UsageError(f"--out must be a file in a folder that exists, got {out}: create the folder first")
    rise = checked(lambda: Rise(options.min_rate, options.max_rate, options.updates))
    pipeline = arguments.pipeline(options)
    model, (optimization, sample_weights) = arguments.model_settings(options), training.optimization(options)
    with leaving_at_once():
        from trainer.learning_rate.find_lr import FindRequest, find_lr  # JAX takes seconds to import
        from trainer.learning_rate.picture import draw_rates

    found = find_lr(
        FindRequest(
            service=arguments.service(options),
            pipeline=pipeline,
            model=model,
            optimization=optimization,
            sample_weights=sample_weights,
            devices=options.devices,
            rise=rise,
        )
    )
    if out is not None:
        devices = f"{found.devices} device{'s' if found.devices > 1 else ''}"
        title = f"{model.name}, {optimization.optimizer}, {found.rows:,} rows an update, {devices}"
        draw_rates(out, found.points, found.suggestion, title)
    print(json.dumps(_json(found), indent=2) if options.json else _text(found))


def _json(found: "Found") -> dict[str, object]:
    parts = dataclasses.asdict(found)
    return parts | {
        "points": [point._asdict() for point in found.points],
        "suggestion": found.suggestion._asdict(),
        "options": _options(found),
    }


def _text(found: "Found") -> str:
    shown = found.points[:: -(-len(found.points) // _LINES)]
    lowest, steepest = found.suggestion.lowest, found.suggestion.steepest
    return "\n".join(
        [
            "learning rate     loss  smoothed",
            *(f"{point.rate:13.2e} {point.loss:8.4f}  {point.smoothed:8.4f}" for point in shown),
            "",
            f"The smoothed loss was lowest at {lowest:.1e}, and fell fastest at {steepest:.1e}.",
            f"A tenth of the first, for updates of {found.rows:,} rows: {_options(found)}",
        ]
    )


def _options(found: "Found") -> str:
    """For `trainer fit`; with batches of another size, --batch-rule makes another rate of it."""
    return f"--learning-rate {found.suggestion.rate:g} --reference-batch {found.rows}"
