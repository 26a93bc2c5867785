"""Values read from files, and read again when the files change: certificates, keys and tokens."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

_LOG = logging.getLogger(__name__)

_T = TypeVar("_T")

Contents: TypeAlias = Mapping[Path, bytes]

LOOK_EVERY_S = 1.0


class Reloaded(Generic[_T]):
    """A value that follows the files it is read from.

    Contents are compared, not times: the files are small, and a clock or a file system may be coarse. What cannot be
    read, or makes no sense, is logged once, and the value stays what it was: half of a change must not shut anyone out.

    Args:
        paths: The files.
        load: Makes the value of their contents; raises OSError or ValueError where they make no sense. The error's text
            is logged, so it must not quote a secret.
        look_every_s: For how long a look at the files counts; 0 looks each time.

    Raises:
        OSError: A file cannot be read now, or `load` raised it.
        ValueError: `load` raised it now.
    """

    def __init__(self, paths: Sequence[Path], load: Callable[[Contents], _T], look_every_s: float = LOOK_EVERY_S):
        self._paths, self._load, self._look_every_s = tuple(paths), load, look_every_s
        self._lock = threading.Lock()
        self._complaint = ""
        self._looked_at = time.monotonic()
        self._contents = self._read()
        self._value = load(self._contents)

    def current(self) -> _T:
        """The value; the same object for as long as the files stay the same."""
        with self._lock:
            if time.monotonic() - self._looked_at >= self._look_every_s:
                self._look()
            return self._value

    def latest(self) -> _T:
        """The value as the files are at this moment."""
        with self._lock:
            self._look()
            return self._value

    def _look(self) -> None:
        self._looked_at = time.monotonic()
        try:
            contents = self._read()
            if contents != self._contents:
                self._value = self._load(contents)
                self._contents = contents
                _LOG.info("read again: %s", ", ".join(map(str, self._paths)))
            self._complaint = ""
        except (OSError, ValueError) as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                _LOG.warning("%s; going on with what was read before", error)

    def _read(self) -> Contents:
        return {path: _bytes_of(path) for path in self._paths}


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OSError(f"cannot read {path}: {error.strerror}") from None
