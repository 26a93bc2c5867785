"""The competition's submission file: `key_id,word`, three guesses separated by blanks, written so that it can go on."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

_HEADER = "key_id,word\n"


def words(guesses: Sequence[str]) -> str:
    """Class names as one cell: blanks inside a name become underscores."""
    return " ".join(name.replace(" ", "_") for name in guesses)


class Submission:
    """Writes `path`.part and renames it when it is finished.

    An unfinished file with the same identity is continued; any other is written anew.
    """

    def __init__(self, path: Path, identity: dict[str, Any]):
        """Opens the file.

        Args:
            path: Of the finished file.
            identity: All that decides what its rows are; what JSON can hold.
        """
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._identity = path.with_name(path.name + ".part.json")
        wanted = json.dumps(identity)
        known = self._identity.read_text() if self._identity.is_file() and self._part.is_file() else None
        if known != wanted:
            self._part.write_text(_HEADER)  # before the identity, which vouches for it
            self._identity.write_text(wanted)
        self._file = open(self._part, "r+", newline="")
        self.rows = max(0, sum(line.endswith("\n") for line in self._file) - 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def keep(self, rows: int) -> None:
        """Forgets all rows after the first `rows`."""
        self._file.seek(0)
        kept = [self._file.readline() for _ in range(rows + 1)]
        self._file.seek(0)
        self._file.writelines(kept or [_HEADER])
        self._file.truncate()
        self.rows = rows

    def append(self, key_ids: np.ndarray, cells: Sequence[str]) -> None:
        """Adds rows: key ids uint64 `[rows]` and what `words` made for each."""
        self._file.writelines(f"{key_id},{cell}\n" for key_id, cell in zip(key_ids, cells, strict=True))
        self._file.flush()
        self.rows += len(cells)

    def finish(self) -> None:
        """Gives the file its name."""
        self._file.close()
        os.replace(self._part, self._path)
        self._identity.unlink()
