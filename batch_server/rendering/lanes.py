"""The innermost steps of the antialiased style, each on many things at a time: segments, rows, blocks of eight pixels.

A step has nothing to decide, so no branch is guessed wrong, and what it needs lies in memory in the form in which it is
used, so nothing is converted: these took two thirds of the time of a plain loop over segments and their rows. How far a
pixel lies from a segment is counted in 1/255 of a pixel here, so a distance becomes a coverage by one subtraction.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from batch_server.rendering.compiled import piece
from batch_server.rendering.vectors import DOUBLE, FLOAT, INDEX, INT, SHORT, Vector

UNITS = 255.0  # in a pixel

SEGMENTS = 8  # measured at a time
ROWS = 16  # placed at a time: half of all segments have no more than 10
LANES = 8  # pixels in a block: three quarters of all segments need one block a row
TOGETHER = 2  # blocks drawn in step, since one waits for its square root
BLOCKS = 256  # between two calls that draw: few, so they stay in the fastest cache beside the picture


class Bench(NamedTuple):
    """Room for segments and blocks on their way to pixels; few arrays, as each one costs time at every call.

    Attributes:
        wholes: int32, at the places `FIRST_ROW` and so on.
        numbers: float32, at the places `START` and so on.
    """

    wholes: npt.NDArray[np.int32]
    numbers: npt.NDArray[np.float32]


# In `wholes`, of each segment: the first row in which it covers pixels, how many rows, how many blocks each of them
# needs.
FIRST_ROW, ROW_COUNT, ROW_BLOCKS = range(0, 3 * SEGMENTS, SEGMENTS)
# Of each block: where in the canvas it begins, and where its segment's steps begin.
OFFSET = 3 * SEGMENTS
STEPS = OFFSET + BLOCKS
WHOLES = STEPS + BLOCKS

# In `numbers`, of each segment: the column where blocks begin in its first row, columns from one row's begin to the
# next, the column before which none begins; how far the pixel in column 0 of the first row lies beside the segment's
# line, and how far along it from its middle; along from one column to the next (which is beside from one row to the
# next), along from one row to the next (beside from one column to the one before); half its length.
START, SLANT, LEFT, BESIDE, ALONG, STEP_X, STEP_Y, HALF_LENGTH = range(0, 8 * SEGMENTS, SEGMENTS)
# Of each segment, for each pixel of a block: beside and along from the block's first pixel, and half the length.
STEPS_BESIDE = 8 * SEGMENTS
STEPS_ALONG = STEPS_BESIDE + SEGMENTS * LANES
STEPS_HALF_LENGTH = STEPS_ALONG + SEGMENTS * LANES
# Of each block: how far its first pixel lies beside and along.
BLOCK_BESIDE = STEPS_HALF_LENGTH + SEGMENTS * LANES
BLOCK_ALONG = BLOCK_BESIDE + BLOCKS
NUMBERS = BLOCK_ALONG + BLOCKS


@piece
def empty_bench() -> Bench:
    """A bench with any content."""
    return Bench(np.empty(WHOLES, np.int32), np.empty(NUMBERS, np.float32))


@intrinsic
def measure_segments(_typing, bench, xs, ys, start, end, reach, side):  # type: ignore[no-untyped-def]
    """Measures the segments from eight points to eight others.

    Args:
        bench: Receives the segments; one without finite points becomes anything.
        xs: float64 `[points]`, in pixels from the canvas' left edge; may lie beyond it.
        ys: float64 `[points]`, from its top.
        start: Number of the point where the first segment begins; the next seven begin at the next points.
        end: Number of the point where the first one ends.
        reach: float64, how far from a segment coverage ends, in pixels.
        side: float64, of the canvas, in pixels.
    """
    signature = types.void(bench, xs, ys, types.intp, types.intp, types.float64, types.float64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wholes, numbers = _places(context, builder, signature.args[0], arguments[0])
        x0, x1, y0, y1 = (
            Vector.load(builder, _pixel(context, builder, signature.args[axis], arguments[axis], point), SEGMENTS)
            for axis in (1, 2)
            for point in arguments[3:5]
        )
        reach, side = (Vector.repeated(builder, argument, SEGMENTS) for argument in arguments[5:])
        zero, half, one, two, units = (
            Vector.constant(builder, DOUBLE, [value] * SEGMENTS) for value in (0.0, 0.5, 1.0, 2.0, UNITS)
        )

        # The box of the pixels whose centres are nearer than `reach` to the segment's own box.
        left = (x0.at_most(x1) - reach + half).at_least(0.0)
        right = (x0.at_least(x1) + reach - half).at_most(side - one)
        top = (y0.at_most(y1) - reach + half).at_least(0.0).at_most(side)
        bottom = (y0.at_least(y1) + reach - half).at_most(side - one).at_least(-1.0)
        first_row = top.cut()
        columns = (right - left + one).at_least(-1.0)
        first_row.store(wholes(FIRST_ROW))
        (bottom.cut() - first_row + Vector.constant(builder, INT, [1] * SEGMENTS)).store(wholes(ROW_COUNT))

        x, y = x1 - x0, y1 - y0
        length = (x * x + y * y).square_root()
        inverse = one / length
        along_x = (x * inverse).if_greater(length, zero, one)  # a dot has no direction, any will do
        along_y = (y * inverse).if_greater(length, zero, zero)
        # From the segment's middle to the centre of the pixel in column 0 of the first row.
        right = half - (x0 + x1) * half
        down = first_row.as_doubles() + half - (y0 + y1) * half
        ((along_x * down - along_y * right) * units).as_floats().store(numbers(BESIDE))
        ((along_x * right + along_y * down) * units).as_floats().store(numbers(ALONG))
        (along_x * units).as_floats().store(numbers(STEP_X))
        (along_y * units).as_floats().store(numbers(STEP_Y))
        (length * half * units).as_floats().store(numbers(HALF_LENGTH))

        # In each row only the line's band, where |distance to the line| < reach, may be covered. It moves by `slant`
        # from row to row. Where it is wider than the box, all of the box is taken.
        inverse = one / along_y
        slant = along_x * inverse
        band = two * reach * inverse.magnitude()
        start = slant * down - right - band * half + one
        blocks = columns.at_most(band).cut() + Vector.constant(builder, INT, [LANES] * SEGMENTS)
        (blocks >> 3).store(wholes(ROW_BLOCKS))
        start.if_greater(columns, band, left).as_floats().store(numbers(START))
        slant.if_greater(columns, band, zero).as_floats().store(numbers(SLANT))
        left.as_floats().store(numbers(LEFT))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def place_blocks(_typing, bench, segment, row, shift, at, side):  # type: ignore[no-untyped-def]
    """Places a block in each of sixteen rows of a segment.

    Args:
        bench: Holds the segment, and receives the blocks.
        segment: Its number.
        row: int32, the first of the rows, counted from the segment's first; those beyond its last one become anything.
        shift: float32, columns from where a row's blocks begin: a multiple of eight.
        at: Number of the first block.
        side: int32, of the canvas, in pixels.
    """
    signature = types.void(bench, types.intp, types.int32, types.float32, types.intp, types.int32)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wholes, numbers = _places(context, builder, signature.args[0], arguments[0])
        segment, at = arguments[1], arguments[4]
        first_row = Vector.repeated(builder, builder.load(wholes(FIRST_ROW, segment)), ROWS)
        start, slant, left, beside, along, step_x, step_y = (
            Vector.repeated(builder, builder.load(numbers(field, segment)), ROWS)
            for field in (START, SLANT, LEFT, BESIDE, ALONG, STEP_X, STEP_Y)
        )
        row, shift, side = (Vector.repeated(builder, argument, ROWS) for argument in (*arguments[2:4], arguments[5]))
        row = row + Vector.constant(builder, INT, range(ROWS))
        down = row.as_floats()
        last = (side - Vector.constant(builder, INT, [LANES] * ROWS)).as_floats()
        column = ((start + slant * down).at_least(left) + shift).at_most(last).cut()
        right = column.as_floats()
        ((first_row + row) * side + column).store(wholes(OFFSET, at))
        steps = builder.mul(builder.trunc(segment, INT), ir.Constant(INT, LANES))
        Vector.repeated(builder, steps, ROWS).store(wholes(STEPS, at))
        (beside + step_x * down - step_y * right).store(numbers(BLOCK_BESIDE, at))
        (along + step_y * down + step_x * right).store(numbers(BLOCK_ALONG, at))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def spread_steps(_typing, bench, segment):  # type: ignore[no-untyped-def]
    """Writes a segment's steps for each pixel of a block; both arguments as for `place_blocks`."""
    signature = types.void(bench, types.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, numbers = _places(context, builder, signature.args[0], arguments[0])
        segment = arguments[1]
        at = builder.mul(segment, ir.Constant(INDEX, LANES))
        step_x, step_y, half_length = (
            Vector.repeated(builder, builder.load(numbers(field, segment)), LANES)
            for field in (STEP_X, STEP_Y, HALF_LENGTH)
        )
        counting = Vector.constant(builder, FLOAT, range(LANES))
        (step_y * counting).store(numbers(STEPS_BESIDE, at))
        (step_x * counting).store(numbers(STEPS_ALONG, at))
        half_length.store(numbers(STEPS_HALF_LENGTH, at))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def cover_blocks(_typing, bench, count, reach, canvas):  # type: ignore[no-untyped-def]
    """Raises the coverage of blocks' pixels to that by their segments.

    Args:
        bench: Holds the blocks.
        count: How many.
        reach: float32, how far from a segment coverage ends, in 1/255 pixel, and one half to round.
        canvas: uint8 `[pixels]`.
    """
    signature = types.void(bench, types.intp, types.float32, canvas)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wholes, numbers = _places(context, builder, signature.args[0], arguments[0])
        reach = Vector.repeated(builder, arguments[2], LANES)

        def steps_of(block: Any, field: int) -> Vector:
            return Vector.load(builder, numbers(field, _index(builder, wholes(STEPS, block))), LANES)

        def repeated(block: Any, field: int) -> Vector:
            return Vector.repeated(builder, builder.load(numbers(field, block)), LANES)

        zero, count = ir.Constant(INDEX, 0), arguments[1]
        last = builder.sub(count, ir.Constant(INDEX, 1))
        with cgutils.for_range_slice(builder, zero, count, ir.Constant(INDEX, TOGETHER)) as (first, _):
            # Line by line for both, so that the processor has the one's work while the other waits. Where there is no
            # other, the last block is drawn twice, which changes nothing.
            next_one = builder.add(first, ir.Constant(INDEX, 1))
            blocks = [first, builder.select(builder.icmp_signed("<", next_one, last), next_one, last)]
            beside = [repeated(block, BLOCK_BESIDE) - steps_of(block, STEPS_BESIDE) for block in blocks]
            along = [repeated(block, BLOCK_ALONG) + steps_of(block, STEPS_ALONG) for block in blocks]
            beyond = [
                (value.magnitude() - steps_of(block, STEPS_HALF_LENGTH)).at_least(0.0)
                for value, block in zip(along, blocks, strict=True)
            ]
            squares = [one * one + other * other for one, other in zip(beside, beyond, strict=True)]
            distances = [value.square_root() for value in squares]
            coverages = [(reach - distance).cut().as_bytes() for distance in distances]
            for coverage, block in zip(coverages, blocks, strict=True):
                offset = _index(builder, wholes(OFFSET, block))
                pixels = _pixel(context, builder, signature.args[3], arguments[3], offset)
                coverage.at_least(Vector.load(builder, pixels, LANES)).store(pixels)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def lay_over_lanes(_typing, canvas, value, coverage, offset):  # type: ignore[no-untyped-def]
    """Lays a value over eight pixels as far as they are covered: `planes.blend` of each.

    Args:
        canvas: uint8 `[pixels]`.
        value: int64, 0..255.
        coverage: uint8 `[pixels]`.
        offset: Of the first of the eight pixels in both.
    """
    signature = types.void(canvas, types.int64, coverage, types.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        value = Vector.repeated(builder, builder.trunc(arguments[1], SHORT), LANES)
        pixels = _pixel(context, builder, kinds[0], arguments[0], arguments[3])
        covered = _pixel(context, builder, kinds[2], arguments[2], arguments[3])
        below, share = (Vector.load(builder, each, LANES).as_shorts() for each in (pixels, covered))
        full, half = (Vector.constant(builder, SHORT, [number] * LANES) for number in (255, 128))
        # (n + n / 256) / 256, with n half a unit more, is n / 255 rounded to the nearest for all n up to 255 * 255.
        sum = below * (full - share) + value * share + half
        ((sum + (sum >> 8)) >> 8).as_bytes().store(pixels)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def is_covered(_typing, coverage, offset):  # type: ignore[no-untyped-def]
    """Whether any of eight pixels, the first one at `offset`, is covered."""
    signature = types.boolean(coverage, types.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        covered = _pixel(context, builder, signature.args[0], arguments[0], arguments[1])
        word = builder.load(builder.bitcast(covered, INDEX.as_pointer()), align=1)
        return builder.icmp_unsigned("!=", word, ir.Constant(INDEX, 0))

    return signature, generate


def _places(context: Any, builder: Any, kind: Any, bench: Any) -> list[Callable[..., Any]]:
    """For each array of a bench a function from a field, and a number within it, to a pointer."""

    def places(number: int) -> Callable[..., Any]:
        array = context.make_array(kind.types[number])(context, builder, builder.extract_value(bench, number))

        def pointer(field: int, at: Any = None) -> Any:
            place = ir.Constant(INDEX, field)
            return builder.gep(array.data, [place if at is None else builder.add(at, place)])

        return pointer

    return [places(number) for number in range(len(kind.types))]


def _pixel(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Pointer to an element of an array of one dimension; the index is not checked."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def _index(builder: Any, pointer: Any) -> Any:
    """An int32 of the bench, as an index."""
    return builder.sext(builder.load(pointer), INDEX)
