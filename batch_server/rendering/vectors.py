"""Vectors of LLVM as values with operators: what the steps in `lanes` are written with.

A loop of eight is unrolled before LLVM's vectoriser sees it, and one of sixteen computes twice what most rows of a line
need. Written as vectors it is compiled as it stands, into whatever registers a processor has, with the same bits: each
lane does the same + - * / and square root in the same order.
"""

from collections.abc import Iterable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

FLOAT, DOUBLE = ir.FloatType(), ir.DoubleType()
BYTE, SHORT, INT, INDEX = (ir.IntType(bits) for bits in (8, 16, 32, 64))


class Vector:
    """Numbers of one LLVM type, made where Numba generates code; arithmetic is that of the type and never saturates."""

    def __init__(self, builder: Any, value: Any):
        self.builder, self.value = builder, value

    @classmethod
    def constant(cls, builder: Any, element: Any, values: Iterable[float]) -> "Vector":
        """Values known at compile time, of the LLVM type `element`."""
        numbers = list(values)
        return cls(builder, ir.Constant(ir.VectorType(element, len(numbers)), numbers))

    @classmethod
    def repeated(cls, builder: Any, scalar: Any, lanes: int) -> "Vector":
        """A scalar in every lane."""
        empty = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
        first = builder.insert_element(empty, scalar, ir.Constant(INT, 0))
        return cls(builder, builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(INT, lanes), [0] * lanes)))

    @classmethod
    def load(cls, builder: Any, pointer: Any, lanes: int) -> "Vector":
        """From memory of any alignment."""
        kind = ir.VectorType(pointer.type.pointee, lanes)
        return cls(builder, builder.load(builder.bitcast(pointer, kind.as_pointer()), align=1))

    @classmethod
    def joined(cls, parts: "list[Vector]") -> "Vector":
        """The numbers of one vector, or of two as long, one after the other."""
        if len(parts) == 1:
            return parts[0]
        first, second = parts
        return first._shuffled(second, range(2 * first._lanes))

    def split(self, parts: int) -> "list[Vector]":
        """Its first numbers to its last, in so many vectors as long."""
        lanes = self._lanes // parts
        return [self._shuffled(self, range(start, start + lanes)) for start in range(0, self._lanes, lanes)]

    def each(self, times: int) -> "Vector":
        """Each number so many times, one after the other."""
        return self._shuffled(self, [lane for lane in range(self._lanes) for _ in range(times)])

    def store(self, pointer: Any) -> None:
        """To memory of any alignment."""
        self.builder.store(self.value, self.builder.bitcast(pointer, self.value.type.as_pointer()), align=1)

    def __add__(self, other: "Vector") -> "Vector":
        return self._made((self.builder.fadd if self._is_float else self.builder.add)(self.value, other.value))

    def __sub__(self, other: "Vector") -> "Vector":
        return self._made((self.builder.fsub if self._is_float else self.builder.sub)(self.value, other.value))

    def __mul__(self, other: "Vector") -> "Vector":
        return self._made((self.builder.fmul if self._is_float else self.builder.mul)(self.value, other.value))

    def __truediv__(self, other: "Vector") -> "Vector":
        """Of floats."""
        return self._made(self.builder.fdiv(self.value, other.value))

    def __rshift__(self, bits: int) -> "Vector":
        """Of unsigned integers."""
        return self._made(self.builder.lshr(self.value, self._like(bits)))

    def at_least(self, other: "Vector | float") -> "Vector":
        """The larger in each lane; integers are signed, except bytes."""
        return self._chosen(">", other)

    def at_most(self, other: "Vector | float") -> "Vector":
        """The smaller in each lane; integers are signed, except bytes."""
        return self._chosen("<", other)

    def if_greater(self, one: "Vector", other: "Vector", otherwise: "Vector") -> "Vector":
        """These in the lanes where the float `one` is greater than `other`, else those of `otherwise`."""
        greater = self.builder.fcmp_ordered(">", one.value, other.value)
        return self._made(self.builder.select(greater, self.value, otherwise.value))

    def square_root(self) -> "Vector":
        """Of floats, rounded as IEEE 754 says."""
        return self._called("llvm.sqrt")

    def magnitude(self) -> "Vector":
        """Floats without their sign."""
        return self._called("llvm.fabs")

    def cut(self) -> "Vector":
        """Floats as int32, without what is behind the point; all must fit."""
        return self._made(self.builder.fptosi(self.value, self._with(INT)))

    def as_floats(self) -> "Vector":
        """The int32, or float64, as float32."""
        convert = self.builder.fptrunc if self._is_float else self.builder.sitofp
        return self._made(convert(self.value, self._with(FLOAT)))

    def as_doubles(self) -> "Vector":
        """The int32 as float64."""
        return self._made(self.builder.sitofp(self.value, self._with(DOUBLE)))

    def as_shorts(self) -> "Vector":
        """The uint8 as 16 bits."""
        return self._made(self.builder.zext(self.value, self._with(SHORT)))

    def as_bytes(self) -> "Vector":
        """The signed integers as uint8, those beyond 0..255 as the nearest: on x86, instructions that saturate."""
        return self._made(self.builder.trunc(self.at_least(0).at_most(255).value, self._with(BYTE)))

    @property
    def _element(self) -> Any:
        return self.value.type.element

    @property
    def _is_float(self) -> bool:
        return isinstance(self._element, (ir.FloatType, ir.DoubleType))

    @property
    def _lanes(self) -> int:
        return int(self.value.type.count)

    def _shuffled(self, other: "Vector", lanes: Iterable[int]) -> "Vector":
        """Lanes of two vectors, those of the second one counted on from the first one's."""
        chosen = list(lanes)
        mask = ir.Constant(ir.VectorType(INT, len(chosen)), chosen)
        return self._made(self.builder.shuffle_vector(self.value, other.value, mask))

    def _with(self, element: Any) -> Any:
        return ir.VectorType(element, self._lanes)

    def _like(self, number: float) -> Any:
        return ir.Constant(self.value.type, [number] * self.value.type.count)

    def _made(self, value: Any) -> "Vector":
        return Vector(self.builder, value)

    def _chosen(self, relation: str, other: "Vector | float") -> "Vector":
        compare = self.builder.icmp_signed
        if self._is_float:
            compare = self.builder.fcmp_ordered
        elif self._element.width == 8:
            compare = self.builder.icmp_unsigned
        value = other.value if isinstance(other, Vector) else self._like(other)
        return self._made(self.builder.select(compare(relation, self.value, value), self.value, value))

    def _called(self, name: str) -> "Vector":
        kind = self.value.type
        bits = 32 if isinstance(kind.element, ir.FloatType) else 64
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(kind, [kind]), f"{name}.v{kind.count}f{bits}"
        )
        return self._made(self.builder.call(function, [self.value]))
