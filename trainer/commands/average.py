"""`trainer average`: average the last checkpoints of a run."""

import argparse
from pathlib import Path

from inkstream.command_line import Subcommands, UsageError, leaving_at_once
from trainer.commands import arguments

EXAMPLES = """\
The average is often better than each of its checkpoints, most of all where the learning rate stays high until the end.
Statistics of batch normalization are measured anew on training batches. The average becomes part of the run's folder:

examples:
  trainer fit --server localhost:50051 --dataset doodles --eval-every 200 --keep-every 1 --out runs/a
  trainer average runs/a --last 5 --server localhost:50051 --dataset doodles
  trainer evaluate runs/a --checkpoint average --server localhost:50051 --dataset doodles
"""


def add(subcommands: Subcommands) -> None:
    """Declares the subcommand."""
    parser = subcommands.add_parser(
        "average",
        help="average the last checkpoints of a run",
        description="Averages the parameters of a run's last checkpoints; --checkpoint average then uses them.",
        epilog=EXAMPLES,
    )
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="the folder that `trainer fit --out` wrote")
    parser.add_argument("--last", type=int, default=5, metavar="K", help="how many checkpoints of those that are kept")
    parser.add_argument(
        "--batches", type=int, default=100, metavar="N", help="from which statistics are measured; an epoch at most"
    )
    arguments.add_server(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Averages.

    Raises:
        UsageError: A number makes no sense.
    """
    for option, value, least in (("--last", options.last, 2), ("--batches", options.batches, 1)):
        if value < least:
            raise UsageError(f"{option} must be at least {least}, got {value}")
    with leaving_at_once():
        from trainer.averaging import AverageRequest, average  # JAX takes seconds to import

    steps = average(
        AverageRequest(
            run_folder=options.run_folder,
            last=options.last,
            service=arguments.service(options),
            dataset=options.dataset,
            batches=options.batches,
            devices=options.devices,
        )
    )
    named = ", ".join(f"{step:,}" for step in steps)
    print(f"the average of checkpoints {named} is in {options.run_folder}: --checkpoint average uses it", flush=True)
