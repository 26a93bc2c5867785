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
        """The inverse of `encode`, from an array of the stored type."""
        return stored.astype(self.dtype) - self.dtype.type(self.bias)


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
def take_stored(file, starts, item_bytes, indices, out):  # type: ignore[no-untyped-def]
    """Reads stored values of single samples.

    Args:
        file: uint8 `[bytes]`, the mapped file.
        starts: int64 `[blocks]`, where the values of each block begin in it.
        item_bytes: Size of a stored value, 1 to 8.
        indices: int64 `[n]`, each from 0 to below the number of samples, or negative: left as it is.
        out: uint64 `[n]`, filled in.
    """
    for i in range(len(indices)):
        if indices[i] < 0:
            continue
        block = indices[i] // BLOCK_VALUES
        at = starts[block] + (indices[i] - block * BLOCK_VALUES) * item_bytes
        value = np.uint64(0)
        for byte in range(item_bytes):
            value |= np.uint64(file[at + byte]) << np.uint64(8 * byte)
        out[i] = value
