"""Memory of a render thread in which it works on one chunk after another.

The system clears a page when it is first written to, which costs more than drawing on it does, and an allocator gives
blocks of this size back whenever they are free. So a thread keeps its own: at most the largest chunk and its encoding.
"""

import threading

import numpy as np
from numpy.typing import NDArray

_thread = threading.local()


def scratch(name: str, size_bytes: int) -> NDArray[np.uint8]:
    """Memory of this thread, of undefined contents, valid until it asks for the same name again.

    Args:
        name: What it is for.
        size_bytes: How many bytes.

    Returns:
        uint8 `[size_bytes]`.
    """
    blocks: dict[str, NDArray[np.uint8]] = _thread.__dict__
    if name not in blocks or blocks[name].size < size_bytes:
        blocks[name] = np.empty(size_bytes, np.uint8)
    return blocks[name][:size_bytes]
