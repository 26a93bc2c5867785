"""Settings that break their rules, told in the names of the options that people type."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from inkstream.command_line import UsageError
from inkstream.errors import InvalidPipeline, Violation

T = TypeVar("T")

# What a part of a setting's name is called in that of its option, where that is something else.
_NAMES = {"render": "", "augment": "", "filter": "", "probability": "", "value": "fill"}


def checked(make: Callable[[], T]) -> T:
    """What `make` returns.

    Raises:
        UsageError: It raised a ValueError, whose message must begin with a setting's name.
    """
    try:
        return make()
    except ValueError as error:
        raise UsageError(_told([Violation(*str(error).split(" ", 1))])) from None


@contextmanager
def naming_options() -> Iterator[None]:
    """For what runs a command whose options make a pipeline; as a decorator, too.

    Raises:
        UsageError: A setting of the pipeline breaks its rule, as this side or a server has found.
    """
    try:
        yield
    except InvalidPipeline as error:
        raise UsageError(_told(error.violations)) from None


def _told(violations: Sequence[Violation]) -> str:
    return "; ".join(f"{_option(setting)} {rule}" for setting, rule in violations)


def _option(setting: str) -> str:
    """`--size` for `render.size`, `--erase-area low` for `augment.erase.area.low`."""
    if " " in setting:  # `field 14`: one side knows what the other does not, and nobody can type it
        return setting
    parts = [name for part in setting.split(".") if (name := _NAMES.get(part, part))]
    end = f" {parts.pop()}" if parts[-1] in ("low", "high") else ""
    return f"--{'-'.join(parts).replace('_', '-')}{end}"
