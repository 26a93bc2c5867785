"""What a sample can be, and how the bytes of one are told from garbage."""

from typing import NamedTuple

import numpy as np
from numba import njit

from batch_server.drawing import record as drawing


class Kind(NamedTuple):
    """A kind of sample.

    Args:
        name: As in the contract's `Dataset.kind`.
        code: Its number in `is_well_formed`.
        columns: Columns that a dataset of this kind has, in order.
    """

    name: str
    code: int
    columns: tuple[str, ...]


_DRAWING = 0

KINDS = {"drawing": Kind("drawing", _DRAWING, ("label", "key_id", "country", "recognized", "timestamp"))}


@njit(cache=True, nogil=True)
def is_well_formed(code, data, start, end):  # type: ignore[no-untyped-def]
    """Whether bytes are a record of a kind, so that a kernel may trust the lengths in it.

    A branch for each kind instead of a function as argument: Numba caches the compiled callers of this.

    Args:
        code: Of the kind.
        data: uint8 `[bytes]`; nothing outside `start..end` is read.
        start: Where the record begins.
        end: Where it ends.
    """
    if code == _DRAWING:
        return drawing.is_well_formed(data, start, end)
    return np.bool_(False)
