"""Drawings as bytes: nothing is lost, and nothing else passes for a drawing."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batch_server.drawing.record import is_well_formed, pack, read_count, unpack, write_count

coordinates = st.integers(0, 255)
strokes = st.lists(st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=300), min_size=1, max_size=9)


def well_formed(record: bytes) -> bool:
    return bool(is_well_formed(np.frombuffer(record, np.uint8), 0, len(record)))


def reads_back(record: bytes) -> bool:
    """The rule in plain Python: the bytes are exactly what packing the drawing that they hold gives."""

    def count(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            value |= (record[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if record[at - 1] < 128:
                return value, at

    try:
        number, at = count(0)
        if number > len(record):
            return False
        points = []
        for _ in range(number):
            length, at = count(at)
            points.append(length)
        if sum(points) > len(record):
            return False
        drawing = []
        for length in points:
            drawing.append((record[at : at + length], record[at + length : at + 2 * length]))
            at += 2 * length
        return pack(drawing) == record
    except (IndexError, ValueError):
        return False


@settings(deadline=None)
@given(strokes)
@example([[(0, 0)] * 127])
@example([[(255, 1)] * 128] * 128)
def test_unpacking_gives_back_what_was_packed(drawing):
    record = pack([tuple(zip(*stroke, strict=True)) for stroke in drawing])
    assert well_formed(record)
    unpacked = unpack(record)
    assert [stroke.tolist() for stroke in unpacked] == [[list(point) for point in stroke] for stroke in drawing]
    assert all(stroke.dtype == np.uint8 and stroke.flags.c_contiguous for stroke in unpacked)


def test_the_layout_is_counts_then_x_then_y():
    assert pack([([1, 2, 3], [4, 5, 6]), ([7], [8])]) == bytes([2, 3, 1, 1, 2, 3, 4, 5, 6, 7, 8])
    assert pack([([9] * 300, [8] * 300)]) == bytes([1, 0b10101100, 0b10]) + bytes([9] * 300 + [8] * 300)


@settings(deadline=None)
@given(strokes, st.data())
def test_damaged_records_are_told_from_good_ones(drawing, data):
    record = bytearray(pack([tuple(zip(*stroke, strict=True)) for stroke in drawing]))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, min(len(record) - 1, 12)))
        what = data.draw(st.sampled_from(("change", "insert", "delete", "cut")))
        if what == "change":
            record[at] = data.draw(st.integers(0, 255))
        elif what == "insert":
            record.insert(at, data.draw(st.sampled_from((0, 1, 127, 128, 255))))
        elif what == "delete" and len(record) > 1:
            del record[at]
        elif what == "cut":
            del record[at + 1 :]
    assert well_formed(bytes(record)) == reads_back(bytes(record))


@settings(deadline=None)
@given(st.binary(max_size=12))
@example(b"\x81\x00\x01\x01\x01")  # a count written in more bytes than it needs
@example(b"\xff\xff\xff\xff\x7f")  # a count beyond any memory
def test_arbitrary_bytes_are_told_from_records(data):
    assert well_formed(data) == reads_back(data)
    if not well_formed(data):
        with pytest.raises(ValueError, match="not a well-formed drawing record"):
            unpack(data)


def test_nothing_outside_the_record_is_looked_at():
    record = pack([([1, 2], [3, 4])])
    around = np.frombuffer(b"\xff\xff" + record + b"\xff\xff", np.uint8)
    assert is_well_formed(around, 2, 2 + len(record))
    assert not is_well_formed(around, 2, 1 + len(record))
    assert not is_well_formed(around, 2, 3 + len(record))


@settings(deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_counts_are_read_as_they_were_written(value):
    data = np.zeros(8, np.uint8)
    end = write_count(data, 1, value)
    assert read_count(data, 1) == (value, end)
    assert end - 1 == max(1, -(-value.bit_length() // 7))


@pytest.mark.parametrize(
    ("drawing", "reason"),
    [
        ([], "at least one stroke"),
        ([([], [])], "got 0 and 0"),
        ([([1], [1, 2])], "got 1 and 2"),
        ([([256], [0])], "range"),
        ([([-1], [0])], "range"),
    ],
)
def test_no_drawing_is_no_record(drawing, reason):
    with pytest.raises(ValueError, match=reason):
        pack(drawing)
