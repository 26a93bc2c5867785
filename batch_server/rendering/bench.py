"""The bench: memory in which segments become blocks of pixels, laid out in the form in which `lanes` uses it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir

from batch_server.rendering.compiled import piece
from batch_server.rendering.vectors import INDEX

SEGMENTS = 8  # measured at a time
LANES = 8  # pixels in a block: three quarters of all segments need one block a row
PLACED = 16  # blocks placed at a time: half of all segments have no more than 10
LISTED = 64  # segments that blocks may belong to, and
BLOCKS = 512  # of each kind, between two calls that draw: few, so they stay in the fastest cache beside the picture


class Bench(NamedTuple):
    """Room for segments and blocks on their way to pixels; few arrays, as each one costs time at every call.

    Attributes:
        wholes: int32, at the places `FIRST_ROW` and so on.
        numbers: float32, at the places `START` and so on.
    """

    wholes: npt.NDArray[np.int32]
    numbers: npt.NDArray[np.float32]


# In `wholes`, of each measured segment: the first row in which it covers pixels; the number of the last, counted from
# that; how many blocks each row needs, and all of them together; whether half a block is enough, 0 or 1.
FIRST_ROW, LAST_ROW, ROW_BLOCKS, BLOCK_COUNT, IS_NARROW = range(0, 5 * SEGMENTS, SEGMENTS)
# Of each block, first the wide ones and then the narrow ones: where in the canvas it begins, and where the steps of its
# segment are.
OFFSET = 5 * SEGMENTS
STEPS = OFFSET + 2 * BLOCKS
WHOLES = STEPS + 2 * BLOCKS

# In `numbers`, of each measured segment: the column where blocks begin in its first row, columns from one row's begin
# to the next, the column before which none begins; how far the pixel in column 0 of the first row lies beside the
# segment's line, and how far along it from its middle; along from one column to the next (which is beside from one row
# to the next), along from one row to the next (beside from one column to the one before); half its length.
START, SLANT, LEFT, BESIDE, ALONG, STEP_X, STEP_Y, HALF_LENGTH = range(0, 8 * SEGMENTS, SEGMENTS)
# Of each listed segment, for each pixel of a block: beside and along from the block's first pixel, and half the length.
STEPS_BESIDE = 8 * SEGMENTS
STEPS_ALONG = STEPS_BESIDE + LISTED * LANES
STEPS_HALF_LENGTH = STEPS_ALONG + LISTED * LANES
# Of each block: how far its first pixel lies beside and along.
BLOCK_BESIDE = STEPS_HALF_LENGTH + LISTED * LANES
BLOCK_ALONG = BLOCK_BESIDE + 2 * BLOCKS
NUMBERS = BLOCK_ALONG + 2 * BLOCKS


@piece
def empty_bench() -> Bench:
    """A bench with any content."""
    return Bench(np.empty(WHOLES, np.int32), np.empty(NUMBERS, np.float32))


def bench_places(context: Any, builder: Any, kind: Any, bench: Any) -> list[Callable[..., Any]]:
    """For each array of a bench, where code is generated, a function from a field and a number within it to a pointer.

    Args:
        context: As Numba gives it to an intrinsic, and so the builder.
        builder: Receives the code.
        kind: Numba's type of the bench.
        bench: The LLVM value.
    """

    def places(number: int) -> Callable[..., Any]:
        array = context.make_array(kind.types[number])(context, builder, builder.extract_value(bench, number))

        def pointer(field: int, at: Any = None) -> Any:
            place = ir.Constant(INDEX, field)
            return builder.gep(array.data, [place if at is None else builder.add(at, place)])

        return pointer

    return [places(number) for number in range(len(kind.types))]


def element(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Pointer to an element of an array of one dimension, where code is generated; the index is not checked."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])
