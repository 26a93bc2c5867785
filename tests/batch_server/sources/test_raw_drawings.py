"""The compiled readers of raw drawings give what Python gives, to the last bit, or leave it to Python."""

import json
import struct

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batch_server.sources.json_lines import OfficialNdjson
from batch_server.sources.numbers import read_number
from batch_server.sources.rows import START
from batch_server.sources.text import parse, parse_one_by_one

LAYOUT = OfficialNdjson(START).layout()


def read(text):
    end, value = read_number(np.frombuffer(f"{text}\n".encode(), np.uint8), np.uint64(0))
    return int(end), value


singles = st.floats(-1e6, 1e6, width=32)
doubles = st.floats(-1e6, 1e6) | singles
digits = st.text("0123456789", min_size=1, max_size=20)
written = st.builds(
    lambda sign, whole, fraction, exponent: (
        sign + (whole.lstrip("0") or "0") + (f".{fraction}" if fraction else "") + exponent
    ),
    st.sampled_from(("", "-")),
    digits,
    st.none() | digits,
    st.just("") | st.builds("{}{}".format, st.sampled_from(("e", "E", "e+", "e-")), st.integers(0, 40)),
)


@settings(max_examples=500, deadline=None)
@given(doubles.map(repr) | written)
@example("9007199254740993")  # halfway between two doubles, which is for Python's conversion of integers
@example("4503599627370496.55")
@example("900719925474099.35")
@example("0.009007199254740995")
@example("64.00000000000000711")
@example("63.99999999999999645")
@example("1e22")
@example("-0.0")
def test_a_number_is_the_double_that_python_makes_of_it(text):
    end, value = read(text)
    if end:
        assert end == len(text)
        assert struct.pack("d", value) == struct.pack("d", float(text))


@settings(max_examples=500, deadline=None)
@given(st.integers(2**52, 2**53 - 1), st.integers(36, 58), st.integers(-1, 1))
def test_a_number_next_to_the_middle_of_two_doubles_is_rounded_as_python_does(mantissa, places, off):
    doubled = 2 * mantissa + 1  # by 2**(places + 1) it lies in the middle
    power = max(power for power in range(19) if doubled * 10**power >> places + 1 < 10**18)
    integer = str((doubled * 10**power >> places + 1) + off).rjust(power + 1, "0")
    text = f"{integer[:-power]}.{integer[-power:]}" if power else integer
    end, value = read(text)
    assert end in (0, len(text))
    assert not end or value == float(text)


@settings(max_examples=500, deadline=None)
@given(st.floats(0.125, 1000, width=32, exclude_max=True))
def test_coordinates_as_they_are_published_are_read(value):
    # They are single-precision numbers written as doubles; next to a power of two Python reads them.
    text = repr(value)
    assert read(text) == (len(text), value) or np.frexp(value)[0] in (0.5, 1 - 2**-24)


def test_what_is_no_json_number_is_left():
    for text in ("", "-", "+1", "01", "-01", ".5", "1.", "1.e5", "1e", "1e+", "e5", "NaN", "Infinity", "x", " 1"):
        assert read(text)[0] == 0, text


numbers = st.integers(-50, 3_000) | st.integers(-50, 3_000) | doubles | st.just(-0.0)
stroke = st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=30).map(
    lambda points: [list(axis) for axis in zip(*points, strict=True)]
)


@settings(max_examples=40, deadline=None)
@given(st.lists(stroke, min_size=1, max_size=4), st.sampled_from(((",", ":"), (", ", ": "))))
@example([[[0, 9] * 500, [0] * 1_000, [0] * 1_000]], (",", ":"))  # its record is longer than its text
@example([[[1e6 + 1], [0], [0]]], (",", ":"))
@example([[[7], [8], [1e300]]], (",", ":"))
@example([[[5, 5], [6, 6], [0, 1]], [[5], [6], [2]]], (",", ":"))
def test_a_raw_drawing_becomes_the_record_that_the_parser_in_python_makes(drawing, separators):
    row = {"word": "cat", "countrycode": "DE", "timestamp": "2017-03-08 21:12:07.26604 UTC", "recognized": True}
    text = json.dumps({**row, "key_id": "5", "drawing": drawing}, separators=separators) + "\n"
    data = np.frombuffer(text.encode(), np.uint8)
    rows, _, _ = parse(data, 1, LAYOUT)
    expected = parse_one_by_one(data, 1, np.array([len(data)], np.int64), [0], LAYOUT.parse_line)
    assert rows.records.tobytes() == expected.records.tobytes()
    assert (rows.key_id.tolist(), rows.rejects) == (expected.key_id.tolist(), expected.rejects)
