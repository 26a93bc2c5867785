"""Finds key ids that come again, in bounded memory: rows are dealt into files by a hash of the key id, and each file is
searched alone.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

KeyIds = npt.NDArray[np.uint64]

BUCKET_ROWS = 1 << 19
# Each is an open file.
BUCKETS_LIMIT = 256
_ENTRY = np.dtype([("key_id", "<u8"), ("position", "<u8")])
# 2**64 divided by the golden ratio: multiplying by it spreads keys over the highest bits (Knuth, TAOCP 6.4).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Marks:
    """A bit for each row; 50 million take 6 MB."""

    def __init__(self, rows: int):
        self._bits = np.zeros((rows + 7) // 8, np.uint8)
        self.count = 0

    def set(self, positions: npt.NDArray[np.uint64]) -> None:
        """Marks rows that are not marked yet, each named once."""
        bytes_, bits = positions >> np.uint64(3), positions & np.uint64(7)
        np.bitwise_or.at(self._bits, bytes_, np.left_shift(1, bits).astype(np.uint8))
        self.count += len(positions)

    def take(self, start: int, stop: int) -> npt.NDArray[np.bool_]:
        """The marks of rows `start` to `stop` (exclusive)."""
        first = start // 8
        bits = np.unpackbits(self._bits[first : (stop + 7) // 8], bitorder="little")
        return bits[start - 8 * first : stop - 8 * first].astype(np.bool_)


def find_duplicates(key_ids: Iterable[KeyIds], rows: int, folder: Path) -> Marks:
    """Marks every row whose key id a row before it has.

    Args:
        key_ids: Those of all rows in order, in pieces of any size.
        rows: How many there are.
        folder: An empty or missing folder for the files.
    """
    folder.mkdir(exist_ok=True)
    bucket_bits = min((rows // BUCKET_ROWS).bit_length(), BUCKETS_LIMIT.bit_length() - 1)
    paths = [folder / f"{bucket:03d}" for bucket in range(1 << bucket_bits)]
    _deal(key_ids, paths, bucket_bits)
    marks = Marks(rows)
    for path in paths:
        _search(path, marks)
        path.unlink()
    return marks


def _deal(key_ids: Iterable[KeyIds], paths: list[Path], bucket_bits: int) -> None:
    """Writes (key id, position) of each row into the file that its key id belongs to, in order."""
    files = [open(path, "wb") for path in paths]
    try:
        position = 0
        for piece in _gathered(key_ids, BUCKET_ROWS):
            entries = np.empty(len(piece), _ENTRY)
            entries["key_id"] = piece
            entries["position"] = np.arange(position, position + len(piece), dtype=np.uint64)
            position += len(piece)
            bucket = ((piece * _GOLDEN) >> np.uint64(32)) >> np.uint64(32 - bucket_bits)
            entries = entries[np.argsort(bucket.astype(np.uint8), kind="stable")]
            ends = np.cumsum(np.bincount(bucket.astype(np.int64), minlength=len(files))).tolist()
            for file, start, end in zip(files, [0, *ends[:-1]], ends, strict=True):
                file.write(entries[start:end].data)
    finally:
        for file in files:
            file.close()


def _search(path: Path, marks: Marks) -> None:
    """Marks the duplicates of one file; a longer one than expected in pieces: all rows may share a key id."""
    seen = np.empty(0, np.uint64)
    left = path.stat().st_size // _ENTRY.itemsize
    with open(path, "rb") as file:
        while left:
            entries = np.fromfile(file, _ENTRY, min(left, 2 * BUCKET_ROWS))
            left -= len(entries)
            # Most buckets have none, and sorting bare keys is six times as fast.
            keys = np.sort(entries["key_id"])
            if len(seen) or (keys[1:] == keys[:-1]).any():
                marks.set(_again(entries, seen))
            if left:
                seen = np.union1d(seen, keys)


def _again(entries: npt.NDArray[np.void], seen: KeyIds) -> npt.NDArray[np.uint64]:
    """The positions of entries whose key id is among those seen, or that of an entry before them."""
    # A stable sort keeps rows of one key id in the order in which they came.
    entries = entries[np.argsort(entries["key_id"], kind="stable")]
    keys = entries["key_id"]
    again = np.zeros(len(keys), np.bool_)
    again[1:] = keys[1:] == keys[:-1]
    if len(seen):
        at = np.minimum(np.searchsorted(seen, keys), len(seen) - 1)
        again |= seen[at] == keys
    return entries["position"][again]


def _gathered(pieces: Iterable[KeyIds], size: int) -> Iterable[KeyIds]:
    """The same values in pieces of at least `size`, but for the last."""
    waiting: list[KeyIds] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += len(piece)
        if count >= size:
            yield np.concatenate(waiting)
            waiting, count = [], 0
    if waiting:
        yield np.concatenate(waiting)
