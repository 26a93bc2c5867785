"""A full disk, told as what it is: the system's own message names no file."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inkstream.command_line import Failure

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def writing_to(path: Path, remedy: str) -> Iterator[None]:
    """While something is written to or below `path`.

    Raises:
        Failure: There is no room left; `remedy` says how to go on then.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        if not is_full(error):
            raise
        raise Failure(f"no space is left to write {path}: free some {remedy}") from error


def is_full(error: BaseException | None) -> bool:
    """Whether a full disk is the cause; checkpoints are written by a library that tells it only in words."""
    while error is not None:
        if (isinstance(error, OSError) and error.errno in _FULL) or "No space left on device" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
