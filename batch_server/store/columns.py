"""Columns: one number for each sample, in blocks of 65,536 values."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

BLOCK_VALUES = 65_536

Values = npt.NDArray[Any]


class Column(NamedTuple):
    """What a column holds.

    Args:
        name: Of the column.
        dtype: Of its values as the reader gives them.
        stored: Type of its values on disk, little-endian.
        bias: What is added to a value before it is stored, so that an unsigned type can hold it.
        padding: The value of a row that is no sample.
    """

    name: str
    dtype: np.dtype[Any]
    stored: np.dtype[Any]
    bias: int
    padding: int

    def encode(self, values: Values) -> bytes:
        """Values as they are stored."""
        return (values + self.dtype.type(self.bias)).astype(self.stored).tobytes()

    def decode(self, stored: Values) -> Values:
        """The inverse of `encode`, from an array of the stored type or a wider one; it may be given back as it is."""
        values = stored.astype(self.dtype, copy=False)
        return values - self.dtype.type(self.bias) if self.bias else values


def column(name: str, classes: int) -> Column:
    """A column of a dataset.

    `label` is int32 (-1 unlabelled), `key_id` uint64, `country` uint16 (two ASCII bytes, the first one high; 0
    unknown), `recognized` uint8 (0 no, 1 yes, 2 unknown), `timestamp` uint32 (seconds since 1970; 0 unknown).

    Args:
        name: Of the column.
        classes: Number of classes of the dataset: labels take two bytes on disk while they fit.
    """
    dtype, padding = {
        "label": ("int32", -1),
        "key_id": ("uint64", 0),
        "country": ("uint16", 0),
        "recognized": ("uint8", 2),
        "timestamp": ("uint32", 0),
    }[name]
    if name == "label":
        stored, bias = ("<u2" if classes < (1 << 16) - 1 else "<u4"), 1
    else:
        stored, bias = np.dtype(dtype).newbyteorder("<").str, 0
    return Column(name, np.dtype(dtype), np.dtype(stored), bias, padding)


@njit(cache=True, nogil=True)
def all_within(indices, samples):  # type: ignore[no-untyped-def]
    """Whether indices, int64 `[n]`, are those of samples or -1; NumPy's reductions take four times as long."""
    for i in range(len(indices)):
        if indices[i] < -1 or indices[i] >= samples:
            return False
    return True


@njit(cache=True, nogil=True)
def take_stored(file, starts, verified, item_bytes, padding, indices, first, out):  # type: ignore[no-untyped-def]
    """Reads stored values of single samples, up to the first whose block is not verified yet.

    Args:
        file: uint8 `[bytes]`, the mapped file.
        starts: int64 `[blocks]`, where the values of each block begin in it.
        verified: bool `[blocks]`, whether a block is known to match its checksum.
        item_bytes: Size of a stored value, 1 to 8.
        padding: uint64, the stored value for an index of -1.
        indices: int64 `[n]`, each below the number of samples; -1 is padding.
        first: Where in them to begin.
        out: uint64 `[n]`, filled in.

    Returns:
        Where it stopped; n at the end.
    """
    for i in range(first, len(indices)):
        if indices[i] < 0:
            out[i] = padding
            continue
        block = indices[i] // BLOCK_VALUES
        if not verified[block]:
            return i
        at = starts[block] + (indices[i] - block * BLOCK_VALUES) * item_bytes
        value = np.uint64(0)
        for byte in range(item_bytes):
            value |= np.uint64(file[at + byte]) << np.uint64(8 * byte)
        out[i] = value
    return len(indices)
