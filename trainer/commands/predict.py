"""`trainer predict`: guess the class of every sample."""

import argparse
from pathlib import Path

from inkstream.command_line import Subcommands, UsageError, leaving_at_once
from trainer.commands import arguments
from trainer.commands.checking import naming_options

EXAMPLES = """\
examples:
  trainer predict runs/first --server localhost:50051 --dataset test --out submission.csv
  trainer predict runs/first runs/second --server localhost:50051 --dataset test --tta 4 --top 5 --out guesses.csv

The file has the columns key_id and word, the latter with three guesses separated by blanks (blanks inside a class name
are underscores), as the Quick, Draw! competition wants it; with --top N instead class_1, probability_1 and so on.
A prediction that was stopped goes on when it is run again.
"""


def add(subcommands: Subcommands) -> None:
    """Declares the subcommand."""
    parser = subcommands.add_parser(
        "predict",
        help="predict the class of every sample",
        description="Writes guesses for every sample of a dataset, which needs no labels.",
        epilog=EXAMPLES,
    )
    arguments.add_models(parser)
    arguments.add_server(parser)
    arguments.add_split(parser, "all")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.csv", help="the file to write")
    parser.add_argument(
        "--top",
        type=int,
        metavar="N",
        help="write the N likeliest classes with their probabilities instead of the competition's three guesses",
    )
    parser.add_argument(
        "--balance-classes",
        action="store_true",
        help="where all classes are known to come equally often: scale their probabilities until they do. This uses "
        "statistics of all samples that are predicted, and 4 bytes of disk for each sample and class",
    )
    parser.add_argument("--pictures", type=Path, metavar="FILE.png", help="also draw a few samples with their guesses")
    parser.set_defaults(run=run)


@naming_options()
def run(options: argparse.Namespace) -> int:
    """Predicts.

    Raises:
        UsageError: A file cannot be written where it is asked for, or a setting breaks its rule.
    """
    for option, path in (("--out", options.out), ("--pictures", options.pictures)):
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise UsageError(f"{option} must be a file in a folder that exists, got {path}: create the folder first")
    if options.top is not None and options.top < 1:
        raise UsageError(f"--top must be a whole number from 1, got {options.top}")
    views = arguments.views(options)
    with leaving_at_once():
        from trainer.prediction.predict import PredictRequest, predict  # JAX takes seconds to import

    return predict(
        PredictRequest(
            run_folders=options.run_folders,
            checkpoints=options.checkpoint,
            views=views,
            service=arguments.service(options),
            dataset=options.dataset,
            split=options.split,
            batch_size=options.batch_size,
            devices=options.devices,
            out=options.out,
            top=options.top,
            balanced=options.balance_classes,
            pictures=options.pictures,
        )
    )
