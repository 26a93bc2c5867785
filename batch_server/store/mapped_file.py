"""A file mapped into memory, and what the system is told about its pages.

Samples are read at random. Where the file fits into memory, the system may read ahead around each page that is
missing: the first 60 random batches of 1,024 from a cold file of 669 MB took 0.6 s, without it 7.6 s. Where it does not
fit, the system would read 128 KiB, and drop as much that others need, for every record of 100 bytes.
"""

import mmap
import os
import weakref
from typing import BinaryIO

import numpy as np


class MappedFile:
    """A file mapped for reading; it is closed when nothing uses it any more, also its `data`.

    Args:
        file: Open for reading; the caller may close it.

    Attributes:
        data: uint8 `[bytes]`, the map.
        descriptor: Of the file.
        fits_memory: Whether nothing has said otherwise.
    """

    def __init__(self, file: BinaryIO):
        self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.data = np.frombuffer(self._map, np.uint8)
        self.descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self.descriptor)
        self.fits_memory = True

    def exceeds_memory(self) -> None:
        """From now on a page that is missing is read alone."""
        if self.fits_memory and hasattr(mmap, "MADV_RANDOM"):
            self._map.madvise(mmap.MADV_RANDOM)
        self.fits_memory = False

    def ask(self, start: int, length: int) -> None:
        """Asks the system for bytes that will be read soon, and does not wait for them."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self.descriptor, start, length, os.POSIX_FADV_WILLNEED)
