"""Memory of arrays: aligned, and used again once nobody refers to it.

Fresh memory costs a page fault for every 4 KiB, more than decoding into it. An allocator that could keep freed batches
gives them back to the system instead, so a stream keeps some itself.
"""

import ctypes
import functools
import math
import weakref
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

# jax takes NumPy memory as it is, without a copy, only where it is aligned to this.
ALIGNMENT_BYTES = 64
# Smaller arrays come from the allocator, which is good at them.
_LEAST_BYTES = 256 << 10


class Recycler:
    """Makes arrays, and takes the memory of those that nobody refers to any more for the next ones.

    The memory's owner is a ctypes object, which every array, view or buffer made of an array keeps alive; when it dies,
    no reference to the memory is left, and only then is it free.

    Args:
        kept: How many free blocks to keep at most.
    """

    def __init__(self, kept: int):
        self._free: deque[bytearray] = deque(maxlen=kept)  # its appends and pops need no lock

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """An aligned, C-contiguous array of undefined values."""
        size = math.prod(shape) * dtype.itemsize + ALIGNMENT_BYTES
        block = self._free_block(size) if size > _LEAST_BYTES else bytearray(size)
        memory = _ctypes_array(size).from_buffer(block)
        if size > _LEAST_BYTES:
            weakref.finalize(memory, self._free.append, block).atexit = False
        return np.ndarray(shape, dtype, memory, -ctypes.addressof(memory) % ALIGNMENT_BYTES)

    def _free_block(self, size: int) -> bytearray:
        try:
            block = self._free.pop()  # the one freed last is likeliest to be in the processor's cache
        except IndexError:
            return bytearray(size)
        return block if len(block) >= size else bytearray(size)


@functools.lru_cache(64)  # a stream has few sizes, and making a type takes longer than making an array
def _ctypes_array(size: int) -> Any:
    """The type of a ctypes array of so many bytes."""
    return ctypes.c_ubyte * size
