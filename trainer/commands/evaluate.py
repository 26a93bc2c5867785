"""`trainer evaluate`: measure a trained model."""

import argparse
import json
from typing import Any

from inkstream.command_line import Subcommands, leaving_at_once
from trainer.commands import arguments

EXAMPLES = """\
example:
  trainer evaluate runs/first --server localhost:50051 --dataset doodles
"""


def add(subcommands: Subcommands) -> None:
    """Declares the subcommand."""
    parser = subcommands.add_parser(
        "evaluate",
        help="measure a trained model",
        description="Measures a trained model on a dataset: top-1, top-3, MAP@3, and the accuracy of each class.",
        epilog=EXAMPLES,
    )
    arguments.add_run(parser)
    arguments.add_server(parser)
    arguments.add_split(parser, "validation")
    arguments.add_classes(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints the figures."""
    with leaving_at_once():
        from trainer.evaluate import EvaluateRequest, evaluate  # JAX takes seconds to import

    figures = evaluate(
        EvaluateRequest(
            run_folder=options.run_folder,
            checkpoint=options.checkpoint,
            service=arguments.service(options),
            dataset=options.dataset,
            split=options.split,
            classes=options.classes,
            batch_size=options.batch_size,
            devices=options.devices,
        )
    )
    print(json.dumps(figures, indent=2) if options.json else _table(figures))


def _table(figures: dict[str, Any]) -> str:
    width = max(len(row["name"]) for row in figures["classes"])
    lines = [f"{'class':{width}}  samples   top-1   top-3"]
    lines += [
        f"{row['name']:{width}}  {row['samples']:7,}  {row['top1']:6.4f}  {row['top3']:6.4f}"
        for row in figures["classes"]
    ]
    lines += [
        "",
        f"checkpoint {figures['step']:,}, {figures['samples']:,} samples, loss {figures['loss']:.4f}",
        f"top-1 {figures['top1']:.4f}, top-3 {figures['top3']:.4f}, MAP@3 {figures['map3']:.4f}, "
        f"mean of the classes' top-1 {figures['class_mean']:.4f}",
    ]
    return "\n".join(lines)
