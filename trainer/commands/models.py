"""`trainer models`: what can be trained, and how large it is."""

import argparse
import json
from functools import partial

from inkstream.command_line import Subcommands, leaving_at_once
from trainer.commands import arguments
from trainer.commands.checking import checked
from trainer.settings import ModelSettings


def add(subcommands: Subcommands) -> None:
    """Declares the subcommand."""
    parser = subcommands.add_parser("models", help="list the models", description="Lists the models with their sizes.")
    parser.add_argument("--classes-count", type=int, default=1000, metavar="N", help="outputs of the last layer")
    parser.add_argument("--channels", type=int, default=3, choices=(1, 3), help="of the pictures")
    arguments.add_alpha(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints the list."""
    with leaving_at_once():
        from trainer.models import MODELS, Pictures, count_parameters, outline  # JAX takes a second to import
        from trainer.optimization.depth import depths

    rows = []
    for name, kind in MODELS.items():
        settings = checked(partial(ModelSettings, name, alpha=options.alpha))
        pictures = Pictures(kind.usual_size_px, options.channels)
        model = outline(settings, pictures, classes=options.classes_count)
        trained, total = count_parameters(model)
        rows.append(
            {
                "name": name,
                "parameters": trained,
                "parameters_with_statistics": total,
                "stages": len(depths(model.params)),
                "channels": options.channels,
                "classes": options.classes_count,
                "min_size_px": kind.min_size_px,
                "usual_size_px": kind.usual_size_px,
                "source": kind.source,
                "summary": kind.summary,
            }
        )
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(
        f"with {options.channels} channels and {options.classes_count:,} classes; any size from the least, usual last"
    )
    line = "{:18} {:>12} {:>16} {:>6} {:>9}  {:24} {}"
    print(line.format("name", "trained", "with statistics", "stages", "sides px", "as in", ""))
    for row in rows:
        sizes = f"{row['min_size_px']}.. {row['usual_size_px']}"
        counts = (f"{row[name]:,}" for name in ("parameters", "parameters_with_statistics"))
        print(line.format(row["name"], *counts, row["stages"], sizes, row["source"], row["summary"]).rstrip())
