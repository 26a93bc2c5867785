"""How the renderer's kernels are compiled: strict arithmetic, no GIL, and a cache that notices every edit.

Equal pixels on every processor need IEEE arithmetic as it is written: `fastmath` stays off, so nothing is reordered and
no multiplication is fused with an addition. Only + - * / sqrt and integers reach a coordinate or a pixel.
"""

from pathlib import Path

import xxhash
from numba import njit

import batch_server.randomness
from batch_server.drawing import record

# `error_model="numpy"` leaves out the checks for a divisor of zero: no divisor here can be.
piece = njit(nogil=True, error_model="numpy")
kernel = njit(nogil=True, error_model="numpy", cache=True)


def source_digest() -> int:
    """A number that changes with every edit of the code that is compiled into the kernels, 0 to 2**63 - 1.

    Numba keeps a compiled kernel on disk until the file that holds it changes, and looks at no other file. But it looks
    at the values that a kernel closes over, so each kernel closes over this number.
    """
    files = sorted(Path(__file__).parent.glob("*.py"))
    files += [Path(module.__file__) for module in (record, batch_server.randomness) if module.__file__]
    digest = xxhash.xxh3_64()
    for file in files:
        digest.update(file.read_bytes())
    return digest.intdigest() >> 1
