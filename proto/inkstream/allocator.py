"""How a process of our own keeps the memory of messages: used again, instead of given back and cleared anew.

glibc maps large blocks one by one, and gives back what is free at the end of its heaps. A stream frees and takes
megabytes a thousand times a second, so that each page of them was cleared and mapped again: 2.2 page faults a drawing
in a client of uncompressed batches, a third of its processor time.
"""

import ctypes

# Numbers and meanings: mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MMAP_BYTES = 32 << 20  # the most that glibc allows: smaller blocks come from a heap
_TRIM_BYTES = 256 << 20  # free at the end of a heap


def keep_freed_memory(heaps: int | None = None) -> None:
    """Tunes the allocator of this process; nothing happens where the C library is another than glibc.

    It is for programs, not for libraries: a process has one allocator, and whoever owns the process decides. To be
    called before threads are started.

    Args:
        heaps: How many there may be, each of which keeps up to 64 MiB that are free; None leaves it to glibc, which
            has up to eight for each core.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
        if heaps is not None:
            mallopt(_M_ARENA_MAX, heaps)
