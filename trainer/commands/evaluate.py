"""`trainer evaluate`: measure a trained model."""

import argparse
import json
from pathlib import Path
from typing import Any

from inkstream.command_line import Subcommands, UsageError, leaving_at_once
from trainer.commands import arguments
from trainer.commands.checking import naming_options

EXAMPLES = """\
examples:
  trainer evaluate runs/first --server localhost:50051 --dataset doodles --report report
  trainer evaluate runs/first runs/second --server localhost:50051 --dataset doodles --tta 4

The report is a folder: classes.csv with a row per class, confusion.csv and confusion.png, and mistakes.png with the
wrong guesses that the model was most sure of.
"""


def add(subcommands: Subcommands) -> None:
    """Declares the subcommand."""
    parser = subcommands.add_parser(
        "evaluate",
        help="measure trained models",
        description="Measures a trained model on a dataset, or several whose probabilities are averaged:\n"
        "top-1, top-3, MAP@3, the accuracy of each class and their mean.",
        epilog=EXAMPLES,
    )
    arguments.add_models(parser)
    arguments.add_server(parser)
    arguments.add_split(parser, "validation")
    arguments.add_classes(parser, otherwise="those of the run")
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="also write tables and pictures there")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.set_defaults(run=run)


@naming_options()
def run(options: argparse.Namespace) -> None:
    """Prints the figures.

    Raises:
        UsageError: The report cannot be written where it is asked for.
    """
    views, report = arguments.views(options), options.report
    if report is not None and ((report.exists() and not report.is_dir()) or not report.parent.is_dir()):
        raise UsageError(f"--report must be a folder in one that exists, got {report}: create {report.parent} first")
    with leaving_at_once():
        from trainer.prediction.evaluate import EvaluateRequest, evaluate  # JAX takes seconds to import

    figures = evaluate(
        EvaluateRequest(
            run_folders=options.run_folders,
            checkpoints=options.checkpoint,
            views=views,
            service=arguments.service(options),
            dataset=options.dataset,
            split=options.split,
            classes=options.classes,
            batch_size=options.batch_size,
            devices=options.devices,
            report=report,
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
        f"{_models(figures['models'])}, {figures['samples']:,} samples, loss {figures['loss']:.4f}",
        f"top-1 {figures['top1']:.4f}, top-3 {figures['top3']:.4f}, MAP@3 {figures['map3']:.4f}, "
        f"mean of the classes' top-1 {figures['class_mean']:.4f}",
    ]
    return "\n".join(lines)


def _models(models: list[dict[str, Any]]) -> str:
    if len(models) == 1:
        return f"checkpoint {models[0]['checkpoint']}"
    named = ", ".join(f"{model['run']}: {model['checkpoint']}" for model in models)
    return f"mean of {len(models)} models ({named})"
