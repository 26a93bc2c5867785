"""Reads a dataset: whole batches of samples, in kernels, from a map of the file."""

import json
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from batch_server.store.columns import BLOCK_VALUES, Column, Values, all_within, column, take_stored
from batch_server.store.errors import RottenColumn, UnreadableDataset
from batch_server.store.kinds import KINDS
from batch_server.store.lmdb_file import read_values
from batch_server.store.mapped_file import MappedFile
from batch_server.store.pages import PAGE_RECORDS, gather
from batch_server.store.read_ahead import ask_for_records, ask_for_values
from batch_server.store.records import Records
from batch_server.store.schema import INDEX, LISTS, MANIFEST, RECORDS, SEAL_BYTES, Manifest, is_sealed

Indices = npt.NDArray[np.int64]


class Dataset:
    """A finished dataset, open for reading; threads may share it.

    Its file may be replaced or deleted meanwhile: the map stays until nothing uses the dataset any more. It cannot be
    pickled; another process opens the file itself.
    """

    def __init__(self, path: Path, file: MappedFile, manifest: Manifest, places: dict[str, Indices], used_bytes: int):
        """Use `open`."""
        self.path = path
        self.file = file
        self.manifest = manifest
        self.used_bytes = used_bytes
        self._kind = KINDS[manifest.kind]
        self._places = places
        self._columns = {name: column(name, len(manifest.classes)) for name in self._kind.columns}
        self._starts = {name: np.ascontiguousarray(places[name][:, 0]) + SEAL_BYTES for name in self._columns}
        self._verified = {name: np.zeros(len(self._places[name]), np.bool_) for name in self._columns}

    @classmethod
    def open(cls, path: str | Path) -> "Dataset":
        """Opens a dataset. It takes time and memory for its pages, not for its samples.

        Raises:
            UnreadableDataset: The file is not there, cut short, unfinished, changed, rotten or of another schema.
        """
        path = Path(path)
        try:
            with open(path, "rb") as opened:
                (index, text), used_bytes = read_values(path, (INDEX, MANIFEST))
                if not os.path.samestat(os.fstat(opened.fileno()), path.stat()):
                    raise UnreadableDataset(path, "was replaced while it was opened: open it again")
                file = MappedFile(opened)
        except FileNotFoundError:
            raise UnreadableDataset(path, "does not exist") from None
        except IsADirectoryError:
            raise UnreadableDataset(path, "is a folder: name one .lmdb file in it") from None
        if not (is_sealed(text) and is_sealed(index)):
            raise UnreadableDataset(path, "has a rotten manifest or index: copy it again, or import again")
        manifest = Manifest.from_json(text[SEAL_BYTES:], path)
        if manifest.kind not in KINDS:
            raise UnreadableDataset(path, f"holds samples of kind {manifest.kind!r}, which this program does not know")
        places = _places(manifest, index[SEAL_BYTES:])
        if not _fit(manifest, places, len(file.data)):
            raise UnreadableDataset(path, "has an index that does not fit its manifest: import the sources again")
        return cls(path, file, manifest, places, used_bytes)

    @property
    def name(self) -> str:
        """The file name without `.lmdb`."""
        return self.path.name.removesuffix(".lmdb")

    @property
    def kind(self) -> str:
        """What a sample is: `drawing`."""
        return self.manifest.kind

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self.manifest.samples

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order; empty for a dataset without labels."""
        return self.manifest.classes

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Samples per class, in label order."""
        return self.manifest.class_counts

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self._kind.columns

    @property
    def fingerprint(self) -> str:
        """Hex digest of schema, kind, classes and, in order, every record and column."""
        return self.manifest.fingerprint

    @property
    def places(self) -> dict[str, Indices]:
        """Where the values of each database begin in the file and how long they are, int64 `[values, 2]`."""
        return self._places

    def records(self, indices: Indices) -> Records:
        """Reads the records of samples, checking each.

        Args:
            indices: int64 `[n]`, from 0 to below `samples`; -1 is padding and gives an empty record.

        Returns:
            n records; those that do not match their checksum are empty and marked as rotten.

        Raises:
            ValueError: An index is out of range.
        """
        self._check(indices)
        return gather(self.file.data, self._places[RECORDS], self.samples, self._kind, indices)

    def ask_ahead(self, indices: Indices, columns: Iterable[str]) -> None:
        """Asks the system to have samples in memory soon; it hardly ever waits for the disk.

        Args:
            indices: int64 `[n]`, from 0 to below `samples`; -1 is padding.
            columns: Names of those that will be read beside the records.

        Raises:
            ValueError: An index is out of range, or there is no such column.
        """
        self._check(indices)
        for name in columns:
            item_bytes = self._column(name).stored.itemsize
            ask_for_values(self.file, self._starts[name], item_bytes, indices)
        ask_for_records(self.file, self._places[RECORDS], self.samples, indices)

    def take(self, name: str, indices: Indices) -> Values:
        """Reads values of a column.

        Args:
            name: Of the column.
            indices: int64 `[n]`, from 0 to below `samples`; -1 is padding and gives label -1, key id 0, or unknown.

        Returns:
            `[n]` of the column's type.

        Raises:
            RottenColumn: A block that is read for the first time does not match its checksum.
            ValueError: An index is out of range, or there is no such column.
        """
        self._check(indices)
        stored = self._column(name)
        words = np.empty(len(indices), np.uint64)
        starts, verified = self._starts[name], self._verified[name]
        padding = np.uint64(stored.padding + stored.bias)
        done = 0
        while done < len(indices):
            done = take_stored(self.file.data, starts, verified, stored.stored.itemsize, padding, indices, done, words)
            if done < len(indices):
                self._block(name, int(indices[done]) // BLOCK_VALUES)
        return stored.decode(words)

    def blocks(self, name: str) -> Iterator[Values]:
        """Reads a column from its first value to its last, 65,536 at a time.

        Raises:
            RottenColumn: A block that is read for the first time does not match its checksum.
            ValueError: There is no such column.
        """
        stored = self._column(name)
        for block in range(len(self._places[name])):
            yield stored.decode(np.frombuffer(self._block(name, block), stored.stored))

    def entries(self, name: str) -> Iterator[dict[str, Any]]:
        """Reads one of the lists that the import left: `rejects`, `duplicates` or `log`, as JSON objects.

        Raises:
            UnreadableDataset: A part of the list is rotten.
            ValueError: There is no such list.
        """
        if name not in LISTS:
            raise ValueError(f"a list is one of {', '.join(LISTS)}, got {name!r}")
        for number in range(len(self._places[name])):
            value = self._value(name, number)
            if not is_sealed(value):
                raise UnreadableDataset(self.path, f"has a rotten list: {name}, part {number}")
            yield from map(json.loads, zlib.decompress(value[SEAL_BYTES:]).splitlines())

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Dataset cannot be pickled: open its file in the other process")

    def _check(self, indices: Indices) -> None:
        if not all_within(indices, self.samples):
            raise ValueError(
                f"indices must be from 0 to {self.samples - 1:,} (-1 for padding), "
                f"got {indices.min()} to {indices.max()}"
            )

    def _column(self, name: str) -> Column:
        if name not in self._columns:
            raise ValueError(f"a column is one of {', '.join(self._columns)}, got {name!r}")
        return self._columns[name]

    def _value(self, name: str, number: int) -> memoryview:
        start, length = self._places[name][number]
        return self.file.data[start : start + length].data

    def _block(self, name: str, block: int) -> memoryview:
        """The stored values of a block; their checksum is verified at the first reading."""
        value = self._value(name, block)
        if not self._verified[name][block]:
            self.file.ask(*map(int, self._places[name][block]))  # it is read whole, if not ahead
            if not is_sealed(value):
                raise RottenColumn(self.path, name, block)
            self._verified[name][block] = True
        return value[SEAL_BYTES:]


def _places(manifest: Manifest, index: bytes) -> dict[str, Indices]:
    """The part of the index of each database."""
    words = np.frombuffer(index, "<i8").astype(np.int64)
    ends = np.cumsum(list(manifest.values.values()))
    return dict(zip(manifest.values, np.split(words.reshape(-1, 2), ends[:-1]), strict=True))


def _fit(manifest: Manifest, places: dict[str, Indices], file_bytes: int) -> bool:
    """Whether every value lies in the file and there is one for every sample: kernels trust that."""
    columns = {name: column(name, len(manifest.classes)) for name in KINDS[manifest.kind].columns}
    if set(places) != {RECORDS, *columns, *LISTS} or len(places[RECORDS]) != -(-manifest.samples // PAGE_RECORDS):
        return False
    starts = np.arange(0, manifest.samples, BLOCK_VALUES)
    values = np.minimum(manifest.samples - starts, BLOCK_VALUES)
    return all(
        np.array_equal(places[name][:, 1], SEAL_BYTES + stored.stored.itemsize * values)
        for name, stored in columns.items()
    ) and all(
        len(of_name) == manifest.values[name] and (of_name >= 0).all() and (of_name.sum(axis=1) <= file_bytes).all()
        for name, of_name in places.items()
    )
