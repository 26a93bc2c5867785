"""Laying a value over pixels as far as they are covered, eight at a time."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from batch_server.rendering.bench import LANES, element
from batch_server.rendering.vectors import BYTE, INDEX, SHORT, Vector


@intrinsic
def lay_over_lanes(_typing, canvas, value, coverage, offset, most):  # type: ignore[no-untyped-def]
    """Lays a value over eight pixels as far as they are covered: `planes.blend` of each.

    Args:
        canvas: uint8 `[pixels]`.
        value: int64, 0..255.
        coverage: uint8 `[pixels]`.
        offset: Of the first of the eight pixels in both.
        most: int64, 0..255; a coverage of more counts as this.
    """
    signature = types.void(canvas, types.int64, coverage, types.intp, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        value, most = (Vector.repeated(builder, builder.trunc(arguments[n], SHORT), LANES) for n in (1, 4))
        pixels = element(context, builder, kinds[0], arguments[0], arguments[3])
        covered = element(context, builder, kinds[2], arguments[2], arguments[3])
        below, share = (Vector.load(builder, each, LANES).as_shorts() for each in (pixels, covered))
        share = share.at_most(most)
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
        covered = element(context, builder, signature.args[0], arguments[0], arguments[1])
        word = builder.load(builder.bitcast(covered, INDEX.as_pointer()), align=1)
        return builder.icmp_unsigned("!=", word, ir.Constant(INDEX, 0))

    return signature, generate


@intrinsic
def uncover(_typing, coverage, offset):  # type: ignore[no-untyped-def]
    """Clears the coverage of eight pixels, the first one at `offset`."""
    signature = types.void(coverage, types.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        covered = element(context, builder, signature.args[0], arguments[0], arguments[1])
        Vector.constant(builder, BYTE, [0] * LANES).store(covered)
        return context.get_dummy_value()

    return signature, generate
