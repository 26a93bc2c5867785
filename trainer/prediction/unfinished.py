"""A file that is written bit by bit, and gone on with where a process that was stopped left it."""

import json
import os
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self


class Unfinished:
    """`path`.part, which gets its name when it is finished.

    What was written by a process with the same identity is kept; anything else is written anew.
    """

    def __init__(self, path: Path, identity: Any, heading: bytes = b""):
        """Opens the file.

        Args:
            path: Of the finished file.
            identity: All that decides what it will hold; what JSON can hold.
            heading: What it begins with.
        """
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._identity = path.with_name(path.name + ".part.json")
        wanted = json.dumps(identity)
        known = self._identity.read_text() if self._identity.is_file() and self._part.is_file() else None
        if known != wanted:
            self._part.write_bytes(heading)  # before the identity, which vouches for it
            self._identity.write_text(wanted)
        self.file: IO[bytes] = open(self._part, "r+b")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()

    def finish(self) -> None:
        """Gives the file its name."""
        self.file.close()
        os.replace(self._part, self._path)
        self._identity.unlink()

    def discard(self) -> None:
        """Deletes the file."""
        self.file.close()
        self._part.unlink()
        self._identity.unlink()
