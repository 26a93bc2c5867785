"""The one place that knows LMDB.

LMDB finds values, it does not carry them: py-lmdb touches every page of a value before it returns it, so a look at all
values at each opening would read the whole file. The writer notes where in the file each value lies; a reader asks LMDB
for two values, closes it, and reads the others through a memory map of its own. So no read transaction stays open that
threads could share wrongly, and the map lives as long as an array over it does. This rests on two facts: a finished
dataset never changes, and a value in overflow pages never moves.
"""

import mmap
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import lmdb
import numpy as np
import numpy.typing as npt

from batch_server.store.errors import UnreadableDataset, UnwritableDataset
from batch_server.store.lmdb_sizes import values_fit

# py-lmdb refuses to open a file twice at a time within a process.
_OPENING = threading.Lock()

# The map grows with what is written.
_FIRST_MAP_BYTES = 16 << 20
# Room that a transaction needs beside its values: branch and leaf pages, the free list.
_SLACK_BYTES = 4 << 20
# Values that wait for a commit; as much again is being committed, and LMDB holds it once more in its dirty pages.
_COMMIT_BYTES = 8 << 20
# What is written goes to the disk after this much, or the end would have to wait for all of it.
_SYNC_BYTES = 32 << 20

_ANCHOR = b"README"
# The number of the transaction that finished the file: another one would have moved values, compaction for one.
_FINISHED = b"finished"
_ANCHOR_TEXT = b"A dataset of Inkstream; batch_server/store/schema.py says what is where."


def read_values(path: Path, keys: Sequence[bytes]) -> tuple[list[bytes], int]:
    """Reads values of the main database.

    Args:
        path: The file.
        keys: What to read.

    Returns:
        The values, and the bytes of the pages in use.

    Raises:
        UnreadableDataset: There is no file, LMDB cannot read it, it is shorter than LMDB says, it is unfinished, or
            it is not as it was finished.
    """
    if not path.is_file():
        raise UnreadableDataset(path, "is not a file" if path.exists() else "does not exist")
    if not path.stat().st_size:  # LMDB would speak of a bad file descriptor
        raise UnreadableDataset(path, "is empty: copy it again, or import again")
    try:
        with (
            _OPENING,
            lmdb.Environment(str(path), subdir=False, readonly=True, lock=False, create=False) as environment,
        ):
            size, used = path.stat().st_size, _used_bytes(environment)
            if size < used:  # touching what is not there would kill the process (SIGBUS)
                reason = f"is cut short: {size:,} of {used:,} bytes are there; copy it again, or import again"
                raise UnreadableDataset(path, reason)
            with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                if not values_fit(mapped, environment.stat()["psize"]):
                    raise UnreadableDataset(
                        path, "is damaged: it says more than it holds; copy it again, or import again"
                    )
            with environment.begin() as transaction:
                finished = transaction.get(_FINISHED)
                if finished is None:
                    raise UnreadableDataset(path, "is no finished dataset: run its import to the end")
                if int.from_bytes(finished, "little") != environment.info()["last_txnid"]:
                    reason = "was changed or compacted by another program: copy it again, or import again"
                    raise UnreadableDataset(path, reason)
                return [transaction.get(key, b"") for key in keys], used
    except lmdb.Error as error:
        raise UnreadableDataset(path, f"is no dataset, or a damaged one ({_cause(error, path)})") from error


class LmdbFile:
    """A new LMDB file that is only added to."""

    def __init__(self, path: Path, databases: Sequence[str]):
        """Begins a file; one that is there already is replaced.

        Args:
            path: Of the file.
            databases: Names of the databases that it will have.

        Raises:
            UnwritableDataset: The file cannot be created.
        """
        self._path = path
        self._waiting: list[tuple[str, bytes | memoryview, int]] = []
        self._waiting_bytes = 0
        self._counts = dict.fromkeys(databases, 0)
        self._places: dict[str, list[tuple[int, int]]] = {name: [] for name in databases}
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._committing: Future[None] | None = None
        self._unsynced_bytes = 0
        path.unlink(missing_ok=True)
        with self._writing():
            self._environment = lmdb.Environment(
                str(path),
                subdir=False,
                lock=False,  # one writer, and readers come when it is finished
                sync=False,  # not with each transaction: an unfinished file is of no use after a crash
                mode=0o644,
                max_dbs=len(databases),
                map_size=_FIRST_MAP_BYTES,
            )
            # LMDB keeps what is longer than half a page in overflow pages; the rest of the page is for their header.
            self._least_bytes = self._environment.stat()["psize"] * 3 // 4
            self._databases = {name: self._environment.open_db(name.encode()) for name in databases}
            with self._environment.begin(write=True) as transaction:
                transaction.put(_ANCHOR, _ANCHOR_TEXT.ljust(self._least_bytes))
        self._anchor = path.read_bytes().index(_ANCHOR_TEXT)

    def add(self, database: str, value: bytes | memoryview) -> None:
        """Adds a value under the next key of a database: 0, 1, 2... as uint64, big-endian.

        A short value is padded with zeros, so that it lives in overflow pages, which never move.

        Args:
            database: Its name.
            value: Not to be changed any more: it may be written later.

        Raises:
            UnwritableDataset: The disk is full, say.
        """
        length = len(value)
        if length < self._least_bytes:
            value = bytes(value).ljust(self._least_bytes, b"\0")
        self._waiting.append((database, value, length))
        self._waiting_bytes += len(self._waiting[-1][1])
        if self._waiting_bytes >= _COMMIT_BYTES:
            self._begin_commit()

    def places(self) -> dict[str, npt.NDArray[np.int64]]:
        """Where each value of each database begins in the file and its length without padding, int64 `[values, 2]`."""
        self._commit_all()
        return {name: np.array(places, np.int64).reshape(-1, 2) for name, places in self._places.items()}

    def finish(self, values: Mapping[bytes, bytes]) -> None:
        """Writes the values of the main database, makes everything durable and closes the file.

        Raises:
            UnwritableDataset: The disk is full, say.
        """
        self._commit_all()
        with self._writing():
            self._make_room(sum(map(len, values.values())))
            with self._environment.begin(write=True) as transaction:
                for key, value in values.items():
                    transaction.put(key, value)
                transaction.put(_FINISHED, transaction.id().to_bytes(8, "little"))
            self._environment.sync(True)
        self.close()

    def close(self) -> None:
        """Closes the file; an unfinished one stays as it is, and no reader takes it."""
        self._committer.shutdown()
        self._environment.close()

    def _begin_commit(self) -> None:
        """Lets what waits be committed while the next values are made."""
        self._end_commit()
        batch, self._waiting, self._waiting_bytes = self._waiting, [], 0
        self._committing = self._committer.submit(self._commit, batch)

    def _end_commit(self) -> None:
        if self._committing is not None:
            self._committing.result()

    def _commit_all(self) -> None:
        self._begin_commit()
        self._end_commit()

    def _commit(self, batch: list[tuple[str, bytes | memoryview, int]]) -> None:
        with self._writing():
            self._make_room(sum(len(value) for _, value, _ in batch))
            added = []
            with self._environment.begin(write=True) as transaction:
                for database, value, length in batch:
                    key = self._counts[database].to_bytes(8, "big")
                    self._counts[database] += 1
                    was_last = transaction.put(key, value, append=True, db=self._databases[database])
                    assert was_last
                    added.append((database, key, length))
            with self._environment.begin(buffers=True) as transaction:
                start_of_file = _address(transaction.get(_ANCHOR, b"")) - self._anchor
                for database, key, length in added:
                    stored = transaction.get(key, b"", db=self._databases[database])
                    self._places[database].append((_address(stored) - start_of_file, length))
                    self._unsynced_bytes += length
            if self._unsynced_bytes >= _SYNC_BYTES:
                self._environment.sync(True)
                self._unsynced_bytes = 0

    def _make_room(self, value_bytes: int) -> None:
        needed = _used_bytes(self._environment) + value_bytes + value_bytes // 8 + _SLACK_BYTES
        if needed > self._environment.info()["map_size"]:
            self._environment.set_mapsize(2 * needed)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except lmdb.Error as error:
            raise UnwritableDataset(self._path, _cause(error, self._path)) from error


def _used_bytes(environment: lmdb.Environment) -> int:
    return int(environment.info()["last_pgno"] + 1) * int(environment.stat()["psize"])


def _cause(error: lmdb.Error, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")


def _address(value: bytes | memoryview) -> int:
    return int(np.frombuffer(value, np.uint8).__array_interface__["data"][0])
