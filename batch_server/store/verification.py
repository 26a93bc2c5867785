"""Reads a whole dataset and lists what is rotten.

The file is read, not mapped: memory stays bounded however large it is, and a sector that the disk cannot read is a
finding, where a map would kill the process. What nothing reads when batches are made (LMDB's own pages, the padding
between values) is not looked at.
"""

import errno
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Generic, NamedTuple, TypeVar

import numpy as np

from batch_server.store.columns import BLOCK_VALUES
from batch_server.store.errors import UnreadableDataset
from batch_server.store.fingerprint import Fingerprint
from batch_server.store.kinds import KINDS
from batch_server.store.pages import PAGE_RECORDS, rotten_slots
from batch_server.store.reader import Dataset
from batch_server.store.schema import LISTS, RECORDS, SEAL_BYTES, is_sealed

MOST_LISTED = 1000

_KEY_ID = "key_id"
_KEY_ID_BYTES = 8

Finding = TypeVar("Finding")


class RottenRecord(NamedTuple):
    """A record that does not match its checksum, or is not well-formed.

    Attributes:
        sample: Its index, from 0.
        key_id: Of the sample; None where the key ids are rotten as well.
    """

    sample: int
    key_id: int | None


class RottenBlock(NamedTuple):
    """A block of a column that does not match its checksum.

    Attributes:
        column: Name of the column.
        block: Its number, from 0; block b holds the values of the samples from 65,536 b on.
    """

    column: str
    block: int


@dataclass
class Findings(Generic[Finding]):
    """Findings of one sort: how many there are, and the first 1,000."""

    count: int = 0
    first: list[Finding] = field(default_factory=list)

    def add(self, count: int, findings: Iterable[Finding]) -> None:
        """Adds findings; of the iterable no more is taken than can be listed."""
        self.count += count
        self.first += islice(findings, MOST_LISTED - len(self.first))


@dataclass
class Verification:
    """What a whole dataset was found to be.

    Attributes:
        fingerprint: Of what is in the file now.
        read_bytes: How much was read.
        records: Rotten records.
        columns: Rotten blocks of columns.
        structure: What else is wrong, each in words.
    """

    fingerprint: str = ""
    read_bytes: int = 0
    records: Findings[RottenRecord] = field(default_factory=Findings)
    columns: Findings[RottenBlock] = field(default_factory=Findings)
    structure: Findings[str] = field(default_factory=Findings)

    @property
    def sound(self) -> bool:
        """Whether nothing is rotten."""
        return not (self.records.count or self.columns.count or self.structure.count)


def verify(path: Path, progress: Callable[[int, int], None]) -> Verification:
    """Reads every record, column and list of a dataset, and makes its fingerprint again.

    Args:
        path: Of the dataset.
        progress: Called with the bytes read so far and in all, after each value (some 100 KB).

    Raises:
        UnreadableDataset: The file is not there, cut short, unfinished, changed, of another schema, or its manifest or
            index is rotten, without which nothing else is found.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            dataset = Dataset.open(path)
            if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                raise UnreadableDataset(path, "was replaced while it was opened: verify it again")
            return _Reading(dataset, file, progress).verify()
    except FileNotFoundError:
        raise UnreadableDataset(path, "does not exist") from None
    except IsADirectoryError:
        raise UnreadableDataset(path, "is a folder: name one .lmdb file in it") from None


class _Reading:
    """Reads the values of a dataset one by one."""

    def __init__(self, dataset: Dataset, file: BinaryIO, progress: Callable[[int, int], None]):
        self._dataset, self._file, self._progress = dataset, file, progress
        self._kind = KINDS[dataset.kind]
        self._total_bytes = sum(int(places[:, 1].sum()) for places in dataset.places.values())
        self._found = Verification()
        self._digest = Fingerprint(self._kind)

    def verify(self) -> Verification:
        for name in self._dataset.columns:  # before the records, which are named by their key ids
            for block in range(len(self._dataset.places[name])):
                self._verify_block(name, block)
        for page in range(len(self._dataset.places[RECORDS])):
            self._verify_page(page)
        for name in LISTS:
            for part in range(len(self._dataset.places[name])):
                if not is_sealed(self._read(name, part)):
                    self._fault(f"the list of {name}, part {part}, does not match its checksum")
        self._compare()
        return self._found

    def _verify_block(self, name: str, block: int) -> None:
        value = self._read(name, block)
        self._digest.add(name, value)
        if not is_sealed(value):
            self._found.columns.add(1, [RottenBlock(name, block)])

    def _verify_page(self, page: int) -> None:
        value = self._read(RECORDS, page)
        self._digest.add(RECORDS, value)
        first = page * PAGE_RECORDS
        records = min(PAGE_RECORDS, self._dataset.samples - first)
        rotten = first + np.flatnonzero(rotten_slots(np.frombuffer(value, np.uint8), first, records, self._kind))
        self._found.records.add(len(rotten), (RottenRecord(int(i), self._key_id(int(i))) for i in rotten))

    def _compare(self) -> None:
        """What is found only by looking at everything."""
        dataset = self._dataset
        self._found.fingerprint = self._digest.hexdigest(dataset.classes, dataset.samples)
        if self._found.fingerprint != dataset.fingerprint:
            self._fault(
                f"the manifest has fingerprint {dataset.fingerprint}, what is in the file {self._found.fingerprint}"
            )
        size_bytes = os.fstat(self._file.fileno()).st_size
        if size_bytes != dataset.used_bytes:
            self._fault(f"the file has {size_bytes:,} bytes, the dataset in it {dataset.used_bytes:,}")

    def _read(self, name: str, number: int) -> bytes:
        """A value as it is in the file."""
        start, length = map(int, self._dataset.places[name][number])
        value = self._read_bytes(start, length)
        self._found.read_bytes += length
        self._progress(self._found.read_bytes, self._total_bytes)
        return value

    def _read_bytes(self, start: int, length: int) -> bytes:
        """Bytes of the file, cut off where it ends or the disk cannot read it."""
        value = b""
        try:
            while len(value) < length and (more := os.pread(self._file.fileno(), length - len(value), start)):
                value, start = value + more, start + len(more)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._fault(f"the disk cannot read byte {start:,}")
        return value

    def _key_id(self, sample: int) -> int | None:
        block, at = divmod(sample, BLOCK_VALUES)
        if RottenBlock(_KEY_ID, block) in self._found.columns.first:
            return None
        start = int(self._dataset.places[_KEY_ID][block, 0]) + SEAL_BYTES + at * _KEY_ID_BYTES
        return int.from_bytes(self._read_bytes(start, _KEY_ID_BYTES), "little")

    def _fault(self, text: str) -> None:
        self._found.structure.add(1, [text])
