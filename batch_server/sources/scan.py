r"""A compiled parser of text rows that are written the way the published ones are, many times as fast as one in Python.

It runs without the interpreter's lock, so that threads parse side by side. It takes a line only if it is written
exactly as expected; any other line, also a well-formed but unusual one, is left to the parser in Python, which decides.
On lines that it takes, both give the same row.

Nothing checks for the end of the data: every line ends with `\n`, which no value holds, so every loop stops there.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from batch_server.drawing.record import write_count
from batch_server.sources.fields import CLASS_NAME_LIMIT
from batch_server.sources.raw_drawing import read_raw_drawing
from batch_server.sources.rows import NO_CLASS, UNKNOWN_COUNTRY, UNKNOWN_RECOGNIZED, UNKNOWN_TIMESTAMP
from batch_server.sources.tokens import (
    CLOSE_OBJECT,
    COLON,
    COMMA,
    NEWLINE,
    OPEN_OBJECT,
    QUOTE,
    SPACE,
    expect,
    expect_text,
    read_country,
    read_drawing,
    read_flag,
    read_key_id,
    read_timestamp,
    skip_blanks,
    text_end,
)

BLANK, TAKEN, LEFT = 0, 1, 2

# What a field holds; as a power of two, its bit in a set of fields.
KEY_ID, DRAWING, COUNTRY, FLAG, TIMESTAMP, WORD, OTHER = range(7)

# Bounds what a block of empty or malformed lines can grow to in memory; one of drawings has about 1,100.
SCANNED_LINES = 1 << 12

# More distinct words than this in a block are left.
_WORDS = 512
_WORD_SLOTS = 2048  # of a hash table, a power of two


def _bytes(text: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(text, np.uint8).copy()


_TRUE, _FALSE, _CSV_TRUE, _CSV_FALSE = map(_bytes, (b"true", b"false", b"True", b"False"))
_KEY_ID_NAME, _DRAWING_NAME, _COUNTRY_NAME = map(_bytes, (b'key_id"', b'drawing"', b'countrycode"'))
_FLAG_NAME, _TIMESTAMP_NAME, _WORD_NAME = map(_bytes, (b'recognized"', b'timestamp"', b'word"'))


class Scanned(NamedTuple):
    """What the lines of a block hold; for a line that is not TAKEN, nothing but `status` means anything.

    Attributes:
        ends: int64 `[lines]`, where each line ends in the block, behind its newline.
        status: uint8 `[lines]`, BLANK, TAKEN or LEFT.
        key_id: uint64 `[lines]`, 0 where the layout has none.
        country: uint16 `[lines]`.
        recognized: uint8 `[lines]`.
        timestamp: uint32 `[lines]`, seconds.
        class_index: int32 `[lines]`, an index into `words`, NO_CLASS where the layout has no word.
        lengths: uint32 `[lines]`, of the packed record; 0 for a line that is not taken.
        records: uint8 `[bytes]`, the records of the taken lines one after another.
        words: int64 `[words, 2]`, where each distinct word begins and ends in the block, all of them printable ASCII.
    """

    ends: npt.NDArray[np.int64]
    status: npt.NDArray[np.uint8]
    key_id: npt.NDArray[np.uint64]
    country: npt.NDArray[np.uint16]
    recognized: npt.NDArray[np.uint8]
    timestamp: npt.NDArray[np.uint32]
    class_index: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.uint32]
    records: npt.NDArray[np.uint8]
    words: npt.NDArray[np.int64]


@njit(cache=True, nogil=True)
def scan(data, columns, members, limit):  # type: ignore[no-untyped-def]
    """Parses the first lines of a block, SCANNED_LINES at most.

    Args:
        data: uint8 `[bytes]`, whole lines, each with its newline.
        columns: uint8 `[columns]`, what each column of a CSV file holds; empty for lines of JSON objects.
        members: The set of fields that a JSON object has, no more and no less.
        limit: Longer lines are left, bytes.

    Returns:
        The fields of `Scanned`.
    """
    lines = SCANNED_LINES
    ends = np.empty(lines, np.int64)
    # np.zeros and np.full would take Numba a second to compile, and most lines are not used.
    status = np.empty(lines, np.uint8)
    key_id = np.empty(lines, np.uint64)
    country = np.empty(lines, np.uint16)
    recognized = np.empty(lines, np.uint8)
    timestamp = np.empty(lines, np.uint32)
    class_index = np.empty(lines, np.int32)
    lengths = np.empty(lines, np.uint32)
    # A coordinate takes two bytes of text at least, and a stroke seven besides.
    records = np.empty(len(data), np.uint8)
    written = np.int64(0)
    points = np.empty(len(data), np.uint8)
    counts = np.empty(len(data) // 7 + 1, np.int32)
    # A point of a raw drawing takes six bytes of text.
    raw = np.empty((3, len(data) // 6 + 1))
    raw_ends = np.empty(len(counts), np.int64)
    words = np.empty((_WORDS, 2), np.int64)
    word_slots = np.empty(_WORD_SLOTS, np.int32)
    word_slots[:] = -1
    word_count = 0
    in_json = len(columns) == 0

    line = -1
    end = np.int64(0)
    while end < len(data) and line + 1 < lines:
        line += 1
        begin = end
        status[line], key_id[line], lengths[line], class_index[line] = LEFT, 0, 0, NO_CLASS
        country[line], recognized[line], timestamp[line] = UNKNOWN_COUNTRY, UNKNOWN_RECOGNIZED, UNKNOWN_TIMESTAMP
        at = skip_blanks(data, begin)
        if data[at] == NEWLINE:
            status[line] = BLANK
            ends[line] = end = at + 1
            continue
        if in_json:
            at = expect(data, at, OPEN_OBJECT)
        seen = strokes = 0
        column = 0
        while at >= 0:
            if in_json:
                at, field = _member_name(data, skip_blanks(data, at))
                if at < 0 or seen >> field & 1:
                    at = -1
                    break
                seen |= 1 << field
            else:
                field = columns[column]
                column += 1
            quoted = (field == DRAWING) != in_json and field != FLAG and field != OTHER
            if quoted:
                at = expect(data, at, QUOTE)
                if at < 0:
                    break
            if field == DRAWING:
                drawing = at
                at, strokes = read_drawing(data, drawing, points, counts)
                if at < 0:
                    at, strokes = read_raw_drawing(data, drawing, raw, raw_ends, points, counts)
            elif field == KEY_ID:
                at, key_id[line] = read_key_id(data, at)
            elif field == COUNTRY:
                at, country[line] = read_country(data, at)
            elif field == FLAG:
                if in_json:
                    at, recognized[line] = read_flag(data, at, _TRUE, _FALSE)
                else:
                    at, recognized[line] = read_flag(data, at, _CSV_TRUE, _CSV_FALSE)
            elif field == TIMESTAMP:
                at, timestamp[line] = read_timestamp(data, at)
            elif field == WORD:
                word = at
                at = text_end(data, at, QUOTE if in_json else COMMA)
                if _is_plain_word(data, word, at):
                    class_index[line] = _word_index(data, word, at, words, word_slots, word_count)
                    word_count = max(word_count, class_index[line] + 1)
                if class_index[line] < 0:
                    at = -1
            else:
                at = text_end(data, at, COMMA)
            if at >= 0 and quoted:
                at = expect(data, at, QUOTE)
            if at < 0:
                break
            if in_json:
                at = skip_blanks(data, at)
                if data[at] == CLOSE_OBJECT:
                    at = at + 1 if seen == members else -1
                    break
            elif column == len(columns):
                break
            at = expect(data, at, COMMA)
        if at >= 0:
            at = expect(data, skip_blanks(data, at), NEWLINE)
        if at < 0:
            end = begin
            while data[end] != NEWLINE:
                end += 1
            end += 1
        else:
            end = at
        ends[line] = end
        if at >= 0 and end - begin <= limit:
            status[line] = TAKEN
            before = written
            written = _write_record(records, written, points, counts, strokes)
            lengths[line] = written - before
    lines = line + 1
    return (
        ends[:lines],
        status[:lines],
        key_id[:lines],
        country[:lines],
        recognized[:lines],
        timestamp[:lines],
        class_index[:lines],
        lengths[:lines],
        records[:written],
        words[:word_count].copy(),
    )


@njit(cache=True, nogil=True)
def _member_name(data, at):  # type: ignore[no-untyped-def]
    """The position after the name of a member, colon and blanks, and which field it is; -1 if it is no known one."""
    field = OTHER
    if data[at] != QUOTE:
        return -1, field
    initial = data[at + 1]
    if initial == ord("w"):
        field, at = WORD, expect_text(data, at + 1, _WORD_NAME)
    elif initial == ord("c"):
        field, at = COUNTRY, expect_text(data, at + 1, _COUNTRY_NAME)
    elif initial == ord("t"):
        field, at = TIMESTAMP, expect_text(data, at + 1, _TIMESTAMP_NAME)
    elif initial == ord("r"):
        field, at = FLAG, expect_text(data, at + 1, _FLAG_NAME)
    elif initial == ord("k"):
        field, at = KEY_ID, expect_text(data, at + 1, _KEY_ID_NAME)
    elif initial == ord("d"):
        field, at = DRAWING, expect_text(data, at + 1, _DRAWING_NAME)
    else:
        at = -1
    if at >= 0:
        at = expect(data, skip_blanks(data, at), COLON)
    if at >= 0:
        at = skip_blanks(data, at)
    return at, field


@njit(cache=True, nogil=True)
def _write_record(records, at, points, counts, strokes):  # type: ignore[no-untyped-def]
    """Packs a drawing at `at` of `records`; returns where it ends."""
    at = write_count(records, at, strokes)
    total = np.int64(0)
    for stroke in range(strokes):
        at = write_count(records, at, counts[stroke])
        total += 2 * counts[stroke]
    first = np.uint64(at)
    for i in range(np.uint64(total)):  # unsigned, so that LLVM copies many at a time
        records[first + i] = points[i]
    return at + total


@njit(cache=True, nogil=True)
def _is_plain_word(data, start, end):  # type: ignore[no-untyped-def]
    """Whether a text is a class name without a blank at either end."""
    return 0 < end - start <= CLASS_NAME_LIMIT and data[start] != SPACE and data[end - 1] != SPACE


@njit(cache=True, nogil=True)
def _word_index(data, start, end, words, slots, count):  # type: ignore[no-untyped-def]
    """The index of a word among the distinct ones, `count` if it is new and then added; -1 if there is no room."""
    # FNV-1a (Fowler, Noll and Vo).
    value = np.uint64(0xCBF29CE484222325)
    for i in range(start, end):
        value = (value ^ np.uint64(data[i])) * np.uint64(0x100000001B3)
    slot = np.int64(value & np.uint64(_WORD_SLOTS - 1))
    while slots[slot] >= 0:
        index = slots[slot]
        first = words[index, 0]
        if words[index, 1] - first == end - start:
            same = True
            for i in range(end - start):
                if data[first + i] != data[start + i]:
                    same = False
                    break
            if same:
                return index
        slot = (slot + 1) & (_WORD_SLOTS - 1)
    if count == len(words):
        return np.int32(-1)
    slots[slot] = count
    words[count, 0], words[count, 1] = start, end
    return np.int32(count)
