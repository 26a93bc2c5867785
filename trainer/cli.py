"""The command `trainer`."""

import sys
from collections.abc import Sequence

from inkstream.command_line import Command, Subcommand, run_command


def _subcommands() -> Sequence[Subcommand]:
    from trainer.commands import evaluate, fit, models, predict

    return fit, evaluate, predict, models


COMMAND = Command(
    name="trainer",
    description="Trains image models on batches from batch servers.",
    load=_subcommands,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(COMMAND, sys.argv[1:] if arguments is None else arguments)
