"""The command `trainer`; a subcommand is imported when it is asked for, since each needs other libraries."""

import sys
from collections.abc import Sequence

from inkstream.command_line import Command, Subcommand, run_command


def _fit() -> Subcommand:
    from trainer.commands import fit

    return fit


def _evaluate() -> Subcommand:
    from trainer.commands import evaluate

    return evaluate


def _predict() -> Subcommand:
    from trainer.commands import predict

    return predict


def _export() -> Subcommand:
    from trainer.commands import export

    return export


def _models() -> Subcommand:
    from trainer.commands import models

    return models


def _runs() -> Subcommand:
    from trainer.commands import runs

    return runs


def _average() -> Subcommand:
    from trainer.commands import average

    return average


def _find_lr() -> Subcommand:
    from trainer.commands import find_lr

    return find_lr


def _doctor() -> Subcommand:
    from trainer.commands import doctor

    return doctor


COMMAND = Command(
    name="trainer",
    description="Trains image models on batches from batch servers.",
    subcommands={
        "fit": _fit,
        "evaluate": _evaluate,
        "predict": _predict,
        "export": _export,
        "models": _models,
        "runs": _runs,
        "average": _average,
        "find-lr": _find_lr,
        "doctor": _doctor,
    },
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(COMMAND, sys.argv[1:] if arguments is None else arguments)
