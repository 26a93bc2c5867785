"""The innermost steps of the antialiased style, each on many things at a time: segments, rows, blocks of eight pixels.

A step has nothing to decide, so no branch is guessed wrong, and what it needs lies in memory in the form in which it is
used, so nothing is converted: these took two thirds of the time of a plain loop over segments and their rows. How far a
pixel lies from a segment is counted in 1/255 of a pixel here, so a distance becomes a coverage by one subtraction.

Square roots bound what is left, one for eight pixels. So where four pixels are enough in each row of a segment, as in
steep ones, its blocks are narrow, and two rows go together.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from batch_server.rendering.bench import (
    ALONG,
    BESIDE,
    BLOCK_ALONG,
    BLOCK_BESIDE,
    BLOCK_COUNT,
    BLOCKS,
    FIRST_ROW,
    HALF_LENGTH,
    IS_NARROW,
    LANES,
    LAST_ROW,
    LEFT,
    OFFSET,
    PLACED,
    ROW_BLOCKS,
    SEGMENTS,
    SLANT,
    START,
    STEP_X,
    STEP_Y,
    STEPS,
    STEPS_ALONG,
    STEPS_BESIDE,
    STEPS_HALF_LENGTH,
    bench_places,
    element,
)
from batch_server.rendering.vectors import DOUBLE, FLOAT, INDEX, INT, Vector

UNITS = 255.0  # in a pixel

TOGETHER = 2  # vectors of pixels drawn in step, since one waits for its square root
NARROW = LANES // 2  # pixels in a narrow block


@intrinsic
def measure_segments(_typing, bench, segments, first, reach, side):  # type: ignore[no-untyped-def]
    """Measures eight segments.

    Args:
        bench: Receives the measures; those of a segment without finite ends become anything.
        segments: float64 `[4, n]`, x and y where each begins, then where it ends, in pixels from the canvas' left edge
            and its top; they may lie beyond it.
        first: Number of the first of the eight.
        reach: float64, how far from a segment coverage ends, in pixels.
        side: float64, of the canvas, in pixels.
    """
    signature = types.void(bench, segments, types.intp, types.float64, types.float64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wholes, numbers = bench_places(context, builder, signature.args[0], arguments[0])
        ends = context.make_array(signature.args[1])(context, builder, arguments[1])
        length = cgutils.unpack_tuple(builder, ends.shape, 2)[1]
        x0, y0, x1, y1 = (
            Vector.load(
                builder,
                builder.gep(ends.data, [builder.add(builder.mul(length, ir.Constant(INDEX, row)), arguments[2])]),
                SEGMENTS,
            )
            for row in range(4)
        )
        reach, side = (Vector.repeated(builder, argument, SEGMENTS) for argument in arguments[3:])
        zero, half, one, two, units = (
            Vector.constant(builder, DOUBLE, [value] * SEGMENTS) for value in (0.0, 0.5, 1.0, 2.0, UNITS)
        )

        # The box of the pixels whose centres are nearer than `reach` to the segment's own box.
        left = (x0.at_most(x1) - reach + half).at_least(0.0)
        right = (x0.at_least(x1) + reach - half).at_most(side - one)
        top = (y0.at_most(y1) - reach + half).at_least(0.0).at_most(side)
        bottom = (y0.at_least(y1) + reach - half).at_most(side - one).at_least(-1.0)
        first_row = top.cut()
        last_row = bottom.cut() - first_row
        columns = (right - left + one).at_least(-1.0)
        first_row.store(wholes(FIRST_ROW))
        last_row.store(wholes(LAST_ROW))

        x, y = x1 - x0, y1 - y0
        length = (x * x + y * y).square_root()
        inverse = one / length
        along_x = (x * inverse).if_greater(length, zero, one)  # a dot has no direction, any will do
        along_y = (y * inverse).if_greater(length, zero, zero)
        # From the segment's middle to the centre of the pixel in column 0 of the first row.
        across = half - (x0 + x1) * half
        down = first_row.as_doubles() + half - (y0 + y1) * half
        ((along_x * down - along_y * across) * units).as_floats().store(numbers(BESIDE))
        ((along_x * across + along_y * down) * units).as_floats().store(numbers(ALONG))
        (along_x * units).as_floats().store(numbers(STEP_X))
        (along_y * units).as_floats().store(numbers(STEP_Y))
        (length * half * units).as_floats().store(numbers(HALF_LENGTH))

        # In each row only the line's band, where |distance to the line| < reach, may be covered. It moves by `slant`
        # from row to row. Where it is wider than the box, all of the box is taken.
        inverse = one / along_y
        slant = along_x * inverse
        band = two * reach * inverse.magnitude()
        start = slant * down - across - band * half + one
        width = columns.at_most(band)
        start.if_greater(columns, band, left).as_floats().store(numbers(START))
        slant.if_greater(columns, band, zero).as_floats().store(numbers(SLANT))
        left.as_floats().store(numbers(LEFT))

        nothing, single = (Vector.constant(builder, INT, [value] * SEGMENTS) for value in (0, 1))
        row_blocks = (width.cut() + Vector.constant(builder, INT, [LANES] * SEGMENTS)) >> 3
        row_blocks.store(wholes(ROW_BLOCKS))
        ((last_row + single) * row_blocks).at_least(0).store(wholes(BLOCK_COUNT))
        # Blocks at the right edge are moved into the canvas, and then all eight pixels are needed.
        edge = side - Vector.constant(builder, DOUBLE, [LANES + 1.0] * SEGMENTS)
        few = Vector.constant(builder, DOUBLE, [float(NARROW)] * SEGMENTS)
        single.if_greater(few, width, nothing).if_greater(edge, right, nothing).store(wholes(IS_NARROW))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def list_segment(_typing, bench, segment, listed):  # type: ignore[no-untyped-def]
    """Writes a segment's steps for each pixel of a block, by which blocks are drawn.

    Args:
        bench: Holds the measured segment, and receives the steps.
        segment: Its number among the measured ones.
        listed: Its number among the listed ones.
    """
    signature = types.void(bench, types.intp, types.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wholes, numbers = bench_places(context, builder, signature.args[0], arguments[0])
        segment = arguments[1]
        at = builder.mul(arguments[2], ir.Constant(INDEX, LANES))
        step_x, step_y, half_length = (
            Vector.repeated(builder, builder.load(numbers(field, segment)), LANES)
            for field in (STEP_X, STEP_Y, HALF_LENGTH)
        )
        is_narrow = builder.icmp_signed("!=", builder.load(wholes(IS_NARROW, segment)), ir.Constant(INT, 0))
        wide, narrow = (
            Vector.constant(builder, FLOAT, [lane % pixels for lane in range(LANES)]).value
            for pixels in (LANES, NARROW)
        )
        counting = Vector(builder, builder.select(is_narrow, narrow, wide))
        (step_y * counting).store(numbers(STEPS_BESIDE, at))
        (step_x * counting).store(numbers(STEPS_ALONG, at))
        half_length.store(numbers(STEPS_HALF_LENGTH, at))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def place_blocks(_typing, bench, segment, listed, first, at, side):  # type: ignore[no-untyped-def]
    """Places sixteen blocks of a segment; they count row by row.

    Args:
        bench: Holds the segment, and receives the blocks.
        segment: Its number among the measured ones.
        listed: Its number among the listed ones.
        first: int32, the first of the blocks, counted from the segment's first; those beyond its last one lie in its
            last row.
        at: Number that the first one gets.
        side: int32, of the canvas, in pixels.
    """
    signature = types.void(bench, types.intp, types.intp, types.int32, types.intp, types.int32)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wholes, numbers = bench_places(context, builder, signature.args[0], arguments[0])
        segment, listed, first, at, side = arguments[1:]
        first_row, last_row, row_blocks = (
            Vector.repeated(builder, builder.load(wholes(field, segment)), PLACED)
            for field in (FIRST_ROW, LAST_ROW, ROW_BLOCKS)
        )
        start, slant, left, beside, along, step_x, step_y = (
            Vector.repeated(builder, builder.load(numbers(field, segment)), PLACED)
            for field in (START, SLANT, LEFT, BESIDE, ALONG, STEP_X, STEP_Y)
        )
        first, side = (Vector.repeated(builder, argument, PLACED) for argument in (first, side))
        half, lanes = (Vector.constant(builder, FLOAT, [value] * PLACED) for value in (0.5, float(LANES)))
        # Blocks are so few that half of one more is far from where rounding could take it to another row.
        block = (first + Vector.constant(builder, INT, range(PLACED))).as_floats()
        row_blocks = row_blocks.as_floats()
        row = ((block + half) / row_blocks).cut().at_most(last_row)
        down = row.as_floats()
        shift = (block - down * row_blocks) * lanes
        last = (side - Vector.constant(builder, INT, [LANES] * PLACED)).as_floats()
        column = ((start + slant * down).at_least(left) + shift).at_most(last).cut()
        right = column.as_floats()
        ((first_row + row) * side + column).store(wholes(OFFSET, at))
        steps = builder.mul(builder.trunc(listed, INT), ir.Constant(INT, LANES))
        Vector.repeated(builder, steps, PLACED).store(wholes(STEPS, at))
        (beside + step_x * down - step_y * right).store(numbers(BLOCK_BESIDE, at))
        (along + step_y * down + step_x * right).store(numbers(BLOCK_ALONG, at))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def cover_blocks(_typing, bench, wide, narrow, reach, canvas):  # type: ignore[no-untyped-def]
    """Raises the coverage of blocks' pixels to that by their segments.

    Args:
        bench: Holds the blocks.
        wide: How many of eight pixels.
        narrow: How many of four pixels, an even number; each two belong to one segment.
        reach: float32, how far from a segment coverage ends, in 1/255 pixel, and one half to round.
        canvas: uint8 `[pixels]`.
    """
    signature = types.void(bench, types.intp, types.intp, types.float32, canvas)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wholes, numbers = bench_places(context, builder, signature.args[0], arguments[0])
        reach = Vector.repeated(builder, arguments[3], LANES)

        def index(pointer: Any) -> Any:
            return builder.sext(builder.load(pointer), INDEX)

        def steps_of(block: Any, field: int) -> Vector:
            return Vector.load(builder, numbers(field, index(wholes(STEPS, block))), LANES)

        def draw(count: Any, begin: int, blocks: int) -> None:
            """Draws one kind, of which each vector holds so many blocks; the first one has the number `begin`."""
            from_, width = ir.Constant(INDEX, begin), ir.Constant(INDEX, blocks)
            end = builder.add(count, from_)
            last = builder.sub(end, width)
            with cgutils.for_range_slice(builder, from_, end, ir.Constant(INDEX, blocks * TOGETHER)) as (first, _):
                # Line by line for both vectors, so that the processor has the one's work while the other waits. Where
                # there is no other, the last one is drawn twice, which changes nothing.
                following = builder.add(first, width)
                vectors = [first, builder.select(builder.icmp_signed("<", following, last), following, last)]
                beside, along = (
                    [Vector.load(builder, numbers(field, block), blocks).each(LANES // blocks) for block in vectors]
                    for field in (BLOCK_BESIDE, BLOCK_ALONG)
                )
                beside = [value - steps_of(block, STEPS_BESIDE) for value, block in zip(beside, vectors, strict=True)]
                along = [value + steps_of(block, STEPS_ALONG) for value, block in zip(along, vectors, strict=True)]
                beyond = [
                    (value.magnitude() - steps_of(block, STEPS_HALF_LENGTH)).at_least(0.0)
                    for value, block in zip(along, vectors, strict=True)
                ]
                squares = [one * one + other * other for one, other in zip(beside, beyond, strict=True)]
                distances = [value.square_root() for value in squares]
                coverages = [(reach - distance).cut().as_bytes() for distance in distances]
                for coverage, block in zip(coverages, vectors, strict=True):
                    pixels = [
                        element(
                            context,
                            builder,
                            signature.args[4],
                            arguments[4],
                            index(wholes(OFFSET, builder.add(block, ir.Constant(INDEX, number)))),
                        )
                        for number in range(blocks)
                    ]
                    there = Vector.joined([Vector.load(builder, each, LANES // blocks) for each in pixels])
                    for part, each in zip(coverage.at_least(there).split(blocks), pixels, strict=True):
                        part.store(each)

        draw(arguments[1], 0, 1)
        draw(arguments[2], BLOCKS, 2)
        return context.get_dummy_value()

    return signature, generate
