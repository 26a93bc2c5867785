"""The argument that names a dataset, and what is wrong with it before it is opened."""

from pathlib import Path

from inkstream.command_line import UsageError


def check_dataset(path: Path) -> Path:
    """The path, if a file is there; what is wrong with the file itself is a failure, and no mistake of the caller's.

    Raises:
        UsageError: There is nothing, or a folder.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name one .lmdb file in it")
    if not path.exists():
        raise UsageError(f"{path} does not exist: DATASET must be a finished .lmdb file")
    return path
