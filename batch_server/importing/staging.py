"""The folder of an unfinished import, beside its target: `NAME.importing` for `NAME.lmdb`.

It holds `lock` (held while an import runs, and let go by the system when the process dies), `import.json` (the
signature of what is imported; once the dataset is whole, its summary), the parts, and the dataset being written.
"""

import fcntl
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from batch_server.importing.errors import ImportFailed
from batch_server.importing.parts import Part

STATE = "import.json"
LOCK = "lock"
DATASET = "dataset"


class Staging:
    """The folder, locked; use it as a context."""

    def __init__(self, target: Path):
        """Creates the folder where it is missing, and locks it.

        Args:
            target: The dataset to be, `NAME.lmdb`.

        Raises:
            ImportFailed: It cannot be created, or another import to the same target is running.
        """
        self.target = target
        self.folder = folder_of(target)
        self._made = [parent for parent in self.folder.parents if not parent.exists()]
        self._lock = self._locked()

    def __enter__(self) -> "Staging":
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.close()

    @property
    def dataset(self) -> Path:
        """Where the dataset is written before it gets its name."""
        return self.folder / DATASET

    def signature(self) -> str | None:
        """The signature of the import that was begun here, None if there is none."""
        return self._state().get("signature")

    def summary(self) -> dict[str, Any] | None:
        """What the import that was begun here gave, None while its dataset is not whole."""
        return self._state().get("summary")

    def record(self, signature: str, summary: dict[str, Any] | None = None) -> None:
        """Remembers what is imported and, once the dataset is whole, what came of it."""
        temporary = self.folder / f"{STATE}.tmp"
        with open(temporary, "w") as file:
            json.dump({"signature": signature, "summary": summary}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.folder / STATE)
        sync_folder(self.folder)

    def part_path(self, task: int, number: int) -> Path:
        """Where a part of a task belongs."""
        return self.folder / f"{task:06d}-{number:04d}.part"

    def parts(self, task: int) -> list[Part]:
        """The whole parts of a task, in order, without gaps.

        Those behind a gap are deleted: what fills it may end elsewhere than what was there, so they would not join.
        """
        parts: list[Part] = []
        while (path := self.part_path(task, len(parts))).exists():
            parts.append(Part(path))
        behind = sorted(self.folder.glob(f"{task:06d}-*.part"))[len(parts) :]
        for path in reversed(behind):  # so that a kill meanwhile leaves the gap
            path.unlink()
        return parts

    def empty(self) -> None:
        """Deletes everything but the lock; the state goes last, so that a kill meanwhile is seen for what it is."""
        for path in sorted(self.folder.iterdir(), key=lambda path: path.name == STATE):
            if path.name == LOCK:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def publish(self, replace: bool) -> None:
        """Gives the dataset its name, in one step.

        Raises:
            ImportFailed: There is a dataset of that name, and it is not to be replaced.
        """
        if not replace and self.target.exists():
            raise ImportFailed(f"{self.target} has been created meanwhile: give --replace to replace it")
        os.replace(self.dataset, self.target)
        sync_folder(self.target.parent)

    def remove(self) -> None:
        """Deletes the folder, and those above it that were made for it and hold nothing else."""
        self.empty()
        (self.folder / LOCK).unlink()
        self.folder.rmdir()
        self._remove_made()

    def _locked(self) -> IO[bytes]:
        while True:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                self._remove_made()
                raise ImportFailed(
                    f"cannot create the folder {self.folder}: {error.strerror}; choose another --dataset"
                ) from error
            try:
                file = open(self.folder / LOCK, "wb")
            except FileNotFoundError:  # the folder was removed by an import that ended just now
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(file.fileno()), os.stat(self.folder / LOCK)):
                    return file
            except BlockingIOError:
                file.close()
                raise ImportFailed(
                    f"another import to {self.target} is running: wait for it, or choose another --dataset"
                ) from None
            except FileNotFoundError:
                pass
            file.close()  # that lock was removed by an import that ended just now

    def _remove_made(self) -> None:
        with suppress(OSError):  # the dataset is there, or what others have put beside it
            for folder in self._made:
                if folder.exists():
                    folder.rmdir()

    def _state(self) -> dict[str, Any]:
        try:
            state = json.loads((self.folder / STATE).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}


def folder_of(target: Path) -> Path:
    """The folder of an unfinished import."""
    return target.with_suffix(".importing")


def sync_folder(folder: Path) -> None:
    """Makes renames in a folder survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
