"""How the renderer's kernels are compiled: strict arithmetic, and no GIL.

Equal pixels on every processor need IEEE arithmetic as it is written: `fastmath` stays off, so nothing is reordered and
no multiplication is fused with an addition. Only + - * / sqrt and integers reach a coordinate or a pixel.
"""

from numba import njit

# `error_model="numpy"` leaves out the checks for a divisor of zero: no divisor here can be.
# Pieces become part of what calls them: as calls, each would count references to its arrays, with a locked instruction.
piece = njit(nogil=True, error_model="numpy", forceinline=True)
kernel = njit(nogil=True, error_model="numpy", cache=True)
