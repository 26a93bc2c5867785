"""What can be wrong with a dataset's file.

DatasetError (OSError)     the file, not the caller, is at fault
├── UnreadableDataset      no dataset, unfinished, cut short, of a another schema, or rotten where nothing works without
├── RottenColumn           a block of a column does not match its checksum; `.column`, `.block`
└── UnwritableDataset      the file could not be written: disk full, no permission

Mistakes of a caller (an index that is not there, columns of unequal lengths) are ValueError. A rotten record is no
error here: `Records.rotten` marks it, since one of them must not stop a run.
"""

from pathlib import Path


class DatasetError(OSError):
    """A dataset's file cannot be used; the message names it and says what to do."""


class UnreadableDataset(DatasetError):
    """The file is not a whole dataset of a known schema."""

    def __init__(self, path: Path, reason: str):
        self.path = path
        super().__init__(f"{path} {reason}")


class RottenColumn(DatasetError):
    """A block of a column does not match its checksum: with wrong values, every epoch would shift."""

    def __init__(self, path: Path, column: str, block: int):
        self.path, self.column, self.block = path, column, block
        super().__init__(
            f"{path} has a rotten column: {column}, block {block}, does not match its checksum; copy the file again "
            "from a good one, or import the sources again"
        )


class UnwritableDataset(DatasetError):
    """The file could not be written."""

    def __init__(self, path: Path, reason: str):
        self.path = path
        super().__init__(f"{path} cannot be written: {reason}")
