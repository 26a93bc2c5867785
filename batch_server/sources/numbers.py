"""A compiled reader of JSON numbers: gives the very double that Python's `float` gives, or leaves the number alone.

A number is an integer times a power of ten. Up to 2**53 the integer is a double, and so is the power up to 10**22: one
multiplication or division rounds once, correctly (William Clinger, How to read floating point numbers accurately,
1990). Many coordinates are doubles written with 17 digits, which are more: then the quotient of the two may be off by
two units in its last place. How far it is off is known without error from integers, which tells the nearest double.
"""

import numpy as np
from numba import njit

_ZERO, _NINE, _TEN = map(np.uint64, (ord("0"), 9, 10))
_MINUS, _PLUS, _POINT, _SMALL_E, _LARGE_E = b"-+.eE"
_ONE = np.uint64(1)

# The integer of a number is less, so that it fits 64 bits.
_DIGITS_LIMIT = np.uint64(10**17)  # before one more digit
_EXACT_LIMIT = np.uint64(1 << 53)
_POWERS = np.array([float(10**power) for power in range(23)])
# Four times the largest fits int64.
_WHOLE_POWERS = np.array([10**power for power in range(19)], np.int64)
_EXPONENT_DIGITS = 3

_MANTISSA_BITS = np.uint64(52)
_MANTISSA = np.uint64((1 << 52) - 1)
_HIDDEN_BIT = np.uint64(1 << 52)
_UNIT_EXPONENT = 1075  # of a double whose last place counts 1


@njit(cache=True, nogil=True)
def read_number(data, start):  # type: ignore[no-untyped-def]
    r"""Reads a number.

    Args:
        data: uint8 `[bytes]`, with a `\n` at or behind `start`.
        start: uint64, where the number begins.

    Returns:
        The position behind it, uint64, and its value, float64. The position is `start` if there is no number, or none
        whose value is known for certain.
    """
    at = start
    negative = data[at] == _MINUS
    if negative:
        at += _ONE
    first = at
    at, integer = _digits(data, at, np.uint64(0))
    if at == first or (data[first] == _ZERO and at - first > _ONE) or integer >= _TEN * _DIGITS_LIMIT:
        return start, 0.0
    power = np.int64(0)
    if data[at] == _POINT:
        at += _ONE
        first = at
        at, integer = _digits(data, at, integer)
        if at == first or integer >= _TEN * _DIGITS_LIMIT:
            return start, 0.0
        power = -np.int64(at - first)
    if data[at] == _SMALL_E or data[at] == _LARGE_E:
        at += _ONE
        below_one = data[at] == _MINUS
        if below_one or data[at] == _PLUS:
            at += _ONE
        first = at
        at, exponent = _digits(data, at, np.uint64(0))
        if not 0 < np.int64(at - first) <= _EXPONENT_DIGITS:
            return start, 0.0
        power += -np.int64(exponent) if below_one else np.int64(exponent)
    if power == 0:
        value = np.float64(integer)
    elif abs(power) >= len(_POWERS):
        return start, 0.0
    elif integer <= _EXACT_LIMIT:
        value = np.float64(integer) * _POWERS[power] if power > 0 else np.float64(integer) / _POWERS[-power]
    else:
        value = _nearest_quotient(integer, -power)
        if value == 0:
            return start, 0.0
    return at, -value if negative else value


@njit(cache=True, nogil=True, inline="always")
def _digits(data, at, integer):  # type: ignore[no-untyped-def]
    """Appends digits to an integer: where they end, and the integer, _TEN * _DIGITS_LIMIT if they are too many."""
    while True:
        digit = np.uint64(np.uint64(data[at]) - _ZERO)
        if digit > _NINE:
            return at, integer
        if integer >= _DIGITS_LIMIT:
            return at, _TEN * _DIGITS_LIMIT
        integer = _TEN * integer + digit
        at += _ONE


@njit(cache=True, nogil=True)
def _nearest_quotient(integer, power):  # type: ignore[no-untyped-def]
    """The double nearest to an integer from 2**53 on by a power of ten; 0 if that is not certain.

    The first guess is less than three units of its last place off. What is left of the integer then fits 64 bits, so it
    comes out right also where products of larger numbers, cut to 64 bits, are subtracted.
    """
    if not 0 < power < len(_WHOLE_POWERS):
        return 0.0
    divisor = _WHOLE_POWERS[power]
    bits = np.float64(np.float64(integer) / np.float64(divisor)).view(np.uint64)
    shift = _UNIT_EXPONENT - np.int64(bits >> _MANTISSA_BITS)
    # Next to a power of two, doubles lie closer on one side.
    if not 0 <= shift < 64 or bits & _MANTISSA == 0:
        return 0.0
    mantissa = bits & _MANTISSA | _HIDDEN_BIT
    left = np.int64((integer << np.uint64(shift)) - mantissa * np.uint64(divisor))
    if 2 * left > divisor:
        bits += _ONE
        left -= divisor
    elif 2 * left < -divisor:
        bits -= _ONE
        left += divisor
    # Halfway between two doubles is no matter of which is nearer.
    if abs(2 * left) >= divisor or bits & _MANTISSA == 0:
        return 0.0
    return np.uint64(bits).view(np.float64)
