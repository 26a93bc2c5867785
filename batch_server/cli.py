"""The command `batch-server`."""

import sys
from collections.abc import Sequence

from inkstream.command_line import Command, Subcommand, run_command


def _subcommands() -> Sequence[Subcommand]:
    from batch_server.commands import doctor, import_drawings, inspect, preview, serve

    return import_drawings, inspect, preview, serve, doctor


COMMAND = Command(
    name="batch-server",
    description="Reads drawings, draws them and streams batches to trainers.",
    load=_subcommands,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(COMMAND, sys.argv[1:] if arguments is None else arguments)
