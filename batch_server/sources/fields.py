"""The fields of a row besides the drawing, checked: what a source writes becomes the number that the dataset keeps.

Each function raises ValueError with a reason fit for the list of rejects. An empty optional field is unknown.
"""

import re
from datetime import UTC, datetime

from numba import njit

from batch_server.sources.rows import (
    NOT_RECOGNIZED,
    RECOGNIZED,
    UNKNOWN_COUNTRY,
    UNKNOWN_RECOGNIZED,
    UNKNOWN_TIMESTAMP,
)

CLASS_NAME_LIMIT = 256

_KEY_ID = re.compile(r"[0-9]{1,20}")
_COUNTRY = re.compile(r"[0-9A-Za-z]{2}")
_TIMESTAMP = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]{1,9})?(?: UTC)?")
# Control characters, and what Python makes of bytes in a file name that are not UTF-8.
_NOT_IN_A_NAME = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def key_id(value: object) -> int:
    """A key id from decimal text or from a JSON integer."""
    if value is None or value == "":
        raise ValueError("empty key id")
    if isinstance(value, str) and _KEY_ID.fullmatch(value):
        value = int(value)
    if type(value) is not int or not 0 < value < 1 << 64:
        raise ValueError(f"a key id is a whole number in 1..2**64-1, got {shown(value)}")
    return value


def class_name(value: object) -> str:
    """A class name from text."""
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ValueError("empty word")
    if not isinstance(value, str) or len(value) > CLASS_NAME_LIMIT or _NOT_IN_A_NAME.search(value):
        raise ValueError(
            f"a word is text of at most {CLASS_NAME_LIMIT} characters without control characters, got {shown(value)}"
        )
    return value


def country(value: object) -> int:
    """A country from its code, as in `DE`."""
    if value is None or value == "":
        return UNKNOWN_COUNTRY
    if not isinstance(value, str) or not _COUNTRY.fullmatch(value):
        raise ValueError(f"a country code is two ASCII letters or digits, got {shown(value)}")
    return ord(value[0]) << 8 | ord(value[1])


def recognized(value: object) -> int:
    """Whether the drawing was recognized, from a JSON boolean."""
    if value is None or value == "":
        return UNKNOWN_RECOGNIZED
    if not isinstance(value, bool):
        raise ValueError(f"recognized is true or false, got {shown(value)}")
    return RECOGNIZED if value else NOT_RECOGNIZED


def timestamp(value: object) -> int:
    """Seconds since 1970 from text as in `2017-03-08 21:12:07.26604 UTC`; fractions of a second are cut off."""
    if value is None or value == "":
        return UNKNOWN_TIMESTAMP
    match = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    try:
        if match is None:
            raise ValueError
        year, month, day, hour, minute, second = map(int, match.groups())
        seconds = int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
        if not 0 <= seconds < 1 << 32:
            raise ValueError
    except ValueError:
        raise ValueError(
            f"a timestamp is YYYY-MM-DD HH:MM:SS, maybe a fraction and ' UTC', 1970 to 2106, got {shown(value)}"
        ) from None
    return seconds


def shown(value: object) -> str:
    """A value of unknown size and kind, fit for a message."""
    if isinstance(value, list | dict):
        return f"a {'list' if isinstance(value, list) else 'JSON object'} of {len(value)}"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def printable(name: str) -> str:
    """A file's name as it can be shown and stored: bytes that are not UTF-8 and control characters are escaped."""
    text = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return _NOT_IN_A_NAME.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


@njit(cache=True, nogil=True, inline="always")
def is_alphanumeric(byte):  # type: ignore[no-untyped-def]
    """Whether a byte is an ASCII letter or digit."""
    return 48 <= byte <= 57 or 65 <= byte <= 90 or 97 <= byte <= 122
