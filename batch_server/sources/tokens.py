r"""Compiled readers of single values, as the published files write them.

Each takes uint8 `data` and the position `at` where a value begins, and returns the position behind it, -1 if it is not
written as expected. Nothing checks for the end of the data: it ends with `\n`, which no value holds.
"""

import numpy as np
from numba import njit

from batch_server.sources.fields import is_alphanumeric
from batch_server.sources.rows import NOT_RECOGNIZED, RECOGNIZED, UNKNOWN_COUNTRY

SPACE, NEWLINE, COMMA, COLON, QUOTE, OPEN_OBJECT, CLOSE_OBJECT = b' \n,:"{}'
OPEN_LIST, CLOSE_LIST = b"[]"
_TAB, _RETURN, _MINUS, _POINT, _BACKSLASH = b"\t\r-.\\"
_ZERO, _NINE, _TEN, _HUNDRED, _LARGEST = map(np.uint32, (ord("0"), 9, 10, 100, 255))
_ONE = np.uint64(1)
_UTC = np.frombuffer(b" UTC", np.uint8).copy()


@njit(cache=True, nogil=True, inline="always")
def skip_blanks(data, at):  # type: ignore[no-untyped-def]
    """The position of the first byte that is no blank."""
    while data[at] == SPACE or data[at] == _TAB or data[at] == _RETURN:
        at += 1
    return at


@njit(cache=True, nogil=True)
def expect(data, at, byte):  # type: ignore[no-untyped-def]
    """The position after a byte, -1 if it is not there."""
    return at + 1 if data[at] == byte else -1


@njit(cache=True, nogil=True)
def expect_text(data, at, text):  # type: ignore[no-untyped-def]
    """The position after a text, -1 if it is not there."""
    for i in range(len(text)):
        if data[at + i] != text[i]:
            return -1
    return at + len(text)


@njit(cache=True, nogil=True)
def read_drawing(data, at, points, counts):  # type: ignore[no-untyped-def]
    """Reads a simplified drawing: the coordinates into `points`, each stroke's number of points into `counts`.

    Returns:
        The position after it, -1 if it is not written as expected, and the number of strokes.
    """
    strokes = 0
    first = np.int64(0)
    at = expect(data, at, OPEN_LIST)
    while at >= 0:
        at = expect(data, skip_blanks(data, at), OPEN_LIST)
        if at < 0:
            break
        at, middle = _coordinates(data, skip_blanks(data, at), points, first)
        if at < 0:
            break
        at = expect(data, skip_blanks(data, at), COMMA)
        if at < 0:
            break
        at, last = _coordinates(data, skip_blanks(data, at), points, middle)
        if at < 0 or last - middle != middle - first:
            return -1, strokes
        counts[strokes] = middle - first
        strokes += 1
        first = last
        at = expect(data, skip_blanks(data, at), CLOSE_LIST)
        if at < 0:
            break
        at = skip_blanks(data, at)
        if data[at] == CLOSE_LIST:
            return at + 1, strokes
        at = expect(data, at, COMMA)
    return -1, strokes


@njit(cache=True, nogil=True, inline="always")
def _coordinates(data, start, points, first):  # type: ignore[no-untyped-def]
    """Reads a list of numbers in 0..255, at least one, into `points` from `first` on; where it ends, the new count.

    Most of the time of an import is spent here. Unsigned positions and values spare a test for negative indices at each
    access, a fifth of the time. A value without branches on its number of digits took longer: each then waits for the
    end of the one before.
    """
    if data[start] != OPEN_LIST:
        return -1, first
    at, count = np.uint64(start), np.uint64(first)
    while True:
        at += _ONE
        if data[at] == SPACE:
            at = np.uint64(skip_blanks(data, np.int64(at)))
        value = _digit(data, at)
        if value > _NINE:
            return -1, first
        at += _ONE
        digit = _digit(data, at)
        if digit <= _NINE:
            value = np.uint32(_TEN * value + digit)
            at += _ONE
            digit = _digit(data, at)
            if digit <= _NINE:
                value = np.uint32(_TEN * value + digit)
                at += _ONE
                if value < _HUNDRED or value > _LARGEST:
                    return -1, first
            elif value < _TEN:  # no number begins with 0
                return -1, first
        points[count] = value
        count += _ONE
        if data[at] == COMMA:
            continue
        end = skip_blanks(data, np.int64(at))
        if data[end] == CLOSE_LIST:
            return end + 1, np.int64(count)
        if data[end] != COMMA:
            return -1, first
        at = np.uint64(end)


@njit(cache=True, nogil=True, inline="always")
def _digit(data, at):  # type: ignore[no-untyped-def]
    """The value of a digit; more than 9 if there is none."""
    return np.uint32(np.uint32(data[at]) - _ZERO)


@njit(cache=True, nogil=True)
def read_key_id(data, at):  # type: ignore[no-untyped-def]
    """Reads 1 to 19 digits that are not 0."""
    value = np.uint64(0)
    first = at
    while 48 <= data[at] <= 57:
        value = value * np.uint64(10) + np.uint64(data[at] - 48)
        at += 1
    return (at if value > 0 and at - first <= 19 else -1), value


@njit(cache=True, nogil=True)
def read_country(data, at):  # type: ignore[no-untyped-def]
    """Reads two letters or digits, the first one high in 16 bits."""
    if is_alphanumeric(data[at]) and is_alphanumeric(data[at + 1]):
        return at + 2, np.uint16(data[at]) << 8 | np.uint16(data[at + 1])
    return -1, np.uint16(UNKNOWN_COUNTRY)


@njit(cache=True, nogil=True)
def read_flag(data, at, yes, no):  # type: ignore[no-untyped-def]
    """Reads one of two texts that begin differently."""
    if data[at] == yes[0]:
        return expect_text(data, at, yes), RECOGNIZED
    return expect_text(data, at, no), NOT_RECOGNIZED


@njit(cache=True, nogil=True)
def read_timestamp(data, at):  # type: ignore[no-untyped-def]
    """Reads `2017-03-08 21:12:07`, maybe a fraction, maybe ` UTC`, from 1970 to 2105."""
    at, high = _two_digits(data, at, 0)
    at, low = _two_digits(data, at, _MINUS)
    year = 100 * high + low
    at, month = _two_digits(data, at, _MINUS)
    at, day = _two_digits(data, at, SPACE)
    at, hour = _two_digits(data, at, COLON)
    at, minute = _two_digits(data, at, COLON)
    at, second = _two_digits(data, at, 0)
    if at < 0 or not 1970 <= year <= 2105 or not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 59:
        return -1, np.uint32(0)
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    month_days = 28 + leap if month == 2 else 30 + (month + (month > 7)) % 2
    if not 1 <= day <= month_days:
        return -1, np.uint32(0)
    if data[at] == _POINT:
        first = at + 1
        at = first
        while 48 <= data[at] <= 57:
            at += 1
        if not 1 <= at - first <= 9:
            return -1, np.uint32(0)
    if data[at] == SPACE:
        at = expect_text(data, at, _UTC)
    # Days since 1970, by counting years from March on (Howard Hinnant, days_from_civil).
    march_year = year - (month <= 2)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = 365 * march_year + march_year // 4 - march_year // 100 + march_year // 400 + day_of_year - 719468
    return at, np.uint32(((24 * days + hour) * 60 + minute) * 60 + second)


@njit(cache=True, nogil=True)
def _two_digits(data, at, byte):  # type: ignore[no-untyped-def]
    """Reads two digits and, unless it is 0, the byte that follows them; -1 if they are not there, or if `at` is."""
    if at < 0 or not 48 <= data[at] <= 57 or not 48 <= data[at + 1] <= 57:
        return -1, np.int64(0)
    value = 10 * np.int64(data[at] - 48) + np.int64(data[at + 1] - 48)
    at += 2
    if byte != 0:
        at = expect(data, at, byte)
    return at, value


@njit(cache=True, nogil=True)
def text_end(data, at, delimiter):  # type: ignore[no-untyped-def]
    """Where printable ASCII ends: at the delimiter, a quote, a backslash, or anything else."""
    while 32 <= data[at] <= 126 and data[at] != delimiter and data[at] != QUOTE and data[at] != _BACKSLASH:
        at += 1
    return at
