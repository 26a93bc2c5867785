"""The command `batch-server`; a subcommand is imported when it is asked for, since each needs other libraries."""

import sys
from collections.abc import Sequence

from inkstream.command_line import Command, Subcommand, run_command


def _import() -> Subcommand:
    from batch_server.commands import import_drawings

    return import_drawings


def _inspect() -> Subcommand:
    from batch_server.commands import inspect

    return inspect


def _preview() -> Subcommand:
    from batch_server.commands import preview

    return preview


def _serve() -> Subcommand:
    from batch_server.commands import serve

    return serve


def _doctor() -> Subcommand:
    from batch_server.commands import doctor

    return doctor


COMMAND = Command(
    name="batch-server",
    description="Reads drawings, draws them and streams batches to trainers.",
    subcommands={
        "import": _import,
        "inspect": _inspect,
        "preview": _preview,
        "serve": _serve,
        "doctor": _doctor,
    },
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(COMMAND, sys.argv[1:] if arguments is None else arguments)
