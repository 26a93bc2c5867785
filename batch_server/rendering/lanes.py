"""Eight pixels at a time: the innermost step of the antialiased style, written as vectors of LLVM.

A loop of eight is unrolled before LLVM's vectoriser sees it, and one of sixteen computes twice what most rows of a line
need. Written as vectors it is compiled as it stands, into whatever registers a processor has, with the same bits: each
lane does the same + - * and square root in the same order.
"""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 8

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTS = ir.VectorType(ir.IntType(32), LANES)
_BYTES = ir.VectorType(ir.IntType(8), LANES)


class _Floats:
    """Eight float32, with the few operations that a coverage needs."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder = builder
        self.value = value

    @classmethod
    def constant(cls, builder: Any, values: Sequence[float]) -> "_Floats":
        return cls(builder, ir.Constant(_FLOATS, list(values)))

    @classmethod
    def repeated(cls, builder: Any, scalar: Any) -> "_Floats":
        first = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
        return cls(builder, builder.shuffle_vector(first, first, ir.Constant(_INTS, [0] * LANES)))

    def __add__(self, other: "_Floats") -> "_Floats":
        return _Floats(self.builder, self.builder.fadd(self.value, other.value))

    def __sub__(self, other: "_Floats") -> "_Floats":
        return _Floats(self.builder, self.builder.fsub(self.value, other.value))

    def __mul__(self, other: "_Floats") -> "_Floats":
        return _Floats(self.builder, self.builder.fmul(self.value, other.value))

    def at_least(self, other: "_Floats") -> "_Floats":
        return self._select(">", other)

    def at_most(self, other: "_Floats") -> "_Floats":
        return self._select("<", other)

    def square_root(self) -> "_Floats":
        return self._call("llvm.sqrt")

    def magnitude(self) -> "_Floats":
        return self._call("llvm.fabs")

    def to_bytes(self) -> Any:
        """Cut to whole numbers; all are in 0..255."""
        return self.builder.trunc(self.builder.fptosi(self.value, _INTS), _BYTES)

    def _select(self, relation: str, other: "_Floats") -> "_Floats":
        holds = self.builder.fcmp_ordered(relation, self.value, other.value)
        return _Floats(self.builder, self.builder.select(holds, self.value, other.value))

    def _call(self, name: str) -> "_Floats":
        signature = ir.FunctionType(_FLOATS, [_FLOATS])
        function = cgutils.get_or_insert_function(self.builder.module, signature, f"{name}.v{LANES}f32")
        return _Floats(self.builder, self.builder.call(function, [self.value]))


@intrinsic
def cover_lanes(_typing, plane, row, column, across, across_step, along, along_step, half_length, reach, most):  # type: ignore[no-untyped-def]
    """Raises the coverage of eight pixels of a row, from `column` on, to that of one segment.

    The pixel in column x lies `across + across_step * x` beside the segment's line and `along + along_step * x` from
    its middle along it. Its value follows from the segment and x alone, not from where the eight begin.

    Args:
        plane: uint8 `[rows, columns]`, C-contiguous; pixels `[row, column:column + 8]` exist, nothing is checked.
        row: Which row.
        column: The first of the eight.
        across: At column 0, in pixels; this and the others are float32.
        across_step: From one column to the next.
        along: At column 0, in pixels.
        along_step: From one column to the next.
        half_length: Half the segment's length, in pixels.
        reach: Where coverage ends, in pixels from the segment.
        most: The coverage of a pixel in the middle of the line, up to 1.
    """
    numbers = (types.intp, types.intp) + (types.float32,) * 7
    signature = types.void(plane, *numbers)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        first = cgutils.get_item_pointer(context, builder, signature.args[0], array, list(arguments[1:3]))
        pixels = builder.bitcast(first, _BYTES.as_pointer())
        across, across_step, along, along_step, half_length, reach, most = (
            _Floats.repeated(builder, argument) for argument in arguments[3:]
        )
        zero, half, full = (_Floats.constant(builder, [value] * LANES) for value in (0.0, 0.5, 255.0))

        start = builder.sitofp(arguments[2], ir.FloatType())
        x = _Floats.repeated(builder, start) + _Floats.constant(builder, range(LANES))
        beside = across + across_step * x
        beyond = ((along + along_step * x).magnitude() - half_length).at_least(zero)
        distance = (beside * beside + beyond * beyond).square_root()
        coverage = (reach - distance).at_least(zero).at_most(most)
        new = (coverage * full + half).to_bytes()

        old = builder.load(pixels, align=1)
        builder.store(builder.select(builder.icmp_unsigned(">", new, old), new, old), pixels, align=1)
        return context.get_dummy_value()

    return signature, generate
