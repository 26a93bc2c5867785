"""Memory of arrays: aligned, and used again once nobody refers to it.

Fresh memory costs a page fault for every 4 KiB, more than decoding into it. An allocator that could keep freed batches
gives them back to the system instead, so a stream keeps some itself.
"""

import ctypes
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
        size = math.prod(shape) * dtype.itemsize
        if size < _LEAST_BYTES:
            memory = np.empty(size + ALIGNMENT_BYTES, np.uint8)
        else:
            memory = self._recycled(size + ALIGNMENT_BYTES)
        first = -memory.ctypes.data % ALIGNMENT_BYTES
        return memory[first : first + size].view(dtype).reshape(shape)

    def _recycled(self, size: int) -> NDArray[np.uint8]:
        try:
            block = self._free.pop()  # the one freed last is likeliest to be in the processor's cache
        except IndexError:
            block = bytearray(size)
        if len(block) < size:
            block = bytearray(size)
        owner = (ctypes.c_ubyte * size).from_buffer(block)
        weakref.finalize(owner, self._free.append, block).atexit = False
        return np.frombuffer(owner, np.uint8)  # type: ignore[call-overload]  # a ctypes array is a buffer
