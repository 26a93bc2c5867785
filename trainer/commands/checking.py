"""Settings that break their rules, told in the names of the options that people type."""

from collections.abc import Callable
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
    except InvalidPipeline as error:
        broken = list(error.violations)
    except ValueError as error:
        broken = [Violation(*str(error).split(" ", 1))]
    raise UsageError("; ".join(f"{_option(setting)} {rule}" for setting, rule in broken))


def _option(setting: str) -> str:
    """`--size` for `render.size`, `--erase-area low` for `augment.erase.area.low`."""
    parts = [name for part in setting.split(".") if (name := _NAMES.get(part, part))]
    end = f" {parts.pop()}" if parts[-1] in ("low", "high") else ""
    return f"--{'-'.join(parts).replace('_', '-')}{end}"
