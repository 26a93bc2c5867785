"""Every format gives the drawings that were written, and a reason for every row that it turns away."""

import json
import struct

import pytest
import xxhash

from batch_server.drawing.record import pack
from batch_server.sources.detect import UnknownFormat
from batch_server.sources.lines import LINE_LIMIT_BYTES
from batch_server.sources.opening import CorruptSource

STROKES = [[[0, 10, 255], [255, 7, 0]], [[9, 9], [8, 8]]]
SECONDS = 1489007527  # 2017-03-08 21:12:07 UTC
TRAIN = b"countrycode,drawing,key_id,recognized,timestamp,word\n"
TEST = b"key_id,countrycode,drawing\n"
DRAWING = "[[[0, 10, 255], [255, 7, 0]], [[9, 9], [8, 8]]]"
GOOD_CSV = f'DE,"{DRAWING}",77,True,2017-03-08 21:12:07.266040,power outlet\n'.encode()


def ndjson(**changes):
    row = {
        "word": "power outlet",
        "countrycode": "DE",
        "timestamp": "2017-03-08 21:12:07.26604 UTC",
        "recognized": True,
        "key_id": "77",
        "drawing": STROKES,
    }
    row |= changes
    return json.dumps({name: value for name, value in row.items() if value is not ...}).encode() + b"\n"


def binary(key_id=77, country=b"DE", recognized=1, seconds=SECONDS, strokes=STROKES):
    record = struct.pack("<Q2sbIH", key_id, country, recognized, seconds, len(strokes))
    for x, y in strokes:
        record += struct.pack("<H", len(x)) + bytes(x) + bytes(y)
    return record


FULL = (1, "power outlet", 77, "DE", 1, SECONDS, STROKES)


@pytest.mark.parametrize(
    ("data", "name", "format_name", "line"),
    [
        (TRAIN + GOOD_CSV, "any.csv", "Kaggle CSV", 2),
        (ndjson(), "any.ndjson", "Quick, Draw! ndjson", 1),
        (ndjson().replace(b" ", b""), "any", "Quick, Draw! ndjson", 1),
        (binary(), "power outlet.bin", "Quick, Draw! binary", 1),
    ],
    ids=["csv", "ndjson", "compact ndjson", "binary"],
)
def test_the_same_drawing_is_the_same_from_every_format(read_source, data, name, format_name, line):
    if b'"word":"poweroutlet"' in data:
        data = (
            data.replace(b"poweroutlet", b"power outlet").replace(b"-0821:", b"-08 21:").replace(b"604UTC", b"604 UTC")
        )
    for text in (data, data.removesuffix(b"\n")):
        content = read_source(text, name)
        assert content.format == format_name
        assert content.drawings == [(line, *FULL[1:])]
        assert content.rejects == []
        assert content.end == (len(text), line + 1)


def test_columns_of_a_csv_come_in_any_order(read_source):
    data = f'word,extra,key_id,"drawing",countrycode\ncat,7,5,"{DRAWING}",US\n'.encode()
    assert read_source(data).drawings == [(2, "cat", 5, "US", 2, 0, STROKES)]


def test_the_test_layout_has_no_class(read_source):
    assert read_source(TEST + f'5,US,"{DRAWING}"\n'.encode()).drawings == [(2, None, 5, "US", 2, 0, STROKES)]


def test_a_class_can_be_given_to_rows_that_name_none(read_source):
    assert read_source(TEST + f'5,US,"{DRAWING}"\n'.encode(), class_name="cat").drawings[0].class_name == "cat"
    assert read_source(TRAIN + GOOD_CSV, class_name="cat").drawings[0].class_name == "power outlet"
    assert read_source(binary(), "dog.bin", class_name="cat").drawings[0].class_name == "cat"


def test_byte_order_mark_line_ends_and_blank_lines_do_no_harm(read_source):
    data = b"\xef\xbb\xbf\r\n" + TRAIN.replace(b"\n", b"\r\n") + b"\r\n \t\r\n" + GOOD_CSV.replace(b"\n", b"\r\n")
    assert read_source(data).drawings == [(5, *FULL[1:])]
    assert read_source(b"\xef\xbb\xbf" + ndjson().replace(b"\n", b"\r\n\r\n")).drawings == [FULL]


@pytest.mark.parametrize(
    ("row", "name", "class_name", "country"),
    [
        ({"countrycode": "AF"}, "AF_power_outlet.jsonl", "power outlet", "AF"),
        ({"countrycode": "DE"}, "AF_power_outlet.jsonl", "AF power outlet", "DE"),
        ({"countrycode": "AF"}, "The_Eiffel_Tower.jsonl", "The Eiffel Tower", "AF"),
        ({"countrycode": ""}, "_car.jsonl", " car", ""),
        ({}, "car", "car", ""),
    ],
)
def test_lines_without_words_take_class_and_key_id_from_what_is_known(read_source, row, name, class_name, country):
    line = json.dumps({**row, "drawing": STROKES}).encode()
    known = class_name.encode() + b"\0" + (country.encode() or b"\0\0") + pack(STROKES)
    key_id = xxhash.xxh3_64_intdigest(known) | 1 << 63
    assert read_source(line, name).drawings == [(1, class_name, key_id, country, 2, 0, STROKES)]


def test_three_lists_per_stroke_are_raw_in_every_text_format(read_source):
    raw = [[[-100.5, 154.5, 409.5], [0, 0, 0], [0, 10, 5]], [[154.5], [-100], [20]]]
    simplified = [[[0, 255], [50, 50]], [[128, 128], [0, 0]]]
    csv = TRAIN + GOOD_CSV.replace(DRAWING.encode(), json.dumps(raw).encode())
    for data in (csv, ndjson(drawing=raw), json.dumps({"countrycode": "DE", "drawing": raw}).encode()):
        assert read_source(data).drawings[0].strokes == simplified


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"countrycode": ""}, {"country": ""}),
        ({"countrycode": None}, {"country": ""}),
        ({"countrycode": ...}, {"country": ""}),
        ({"recognized": None}, {"recognized": 2}),
        ({"recognized": ...}, {"recognized": 2}),
        ({"recognized": False}, {"recognized": 0}),
        ({"timestamp": ""}, {"timestamp": 0}),
        ({"timestamp": ...}, {"timestamp": 0}),
        ({"timestamp": "2017-03-08 21:12:07"}, {"timestamp": SECONDS}),
        ({"timestamp": "1970-01-01 00:00:01.999999 UTC"}, {"timestamp": 1}),
        ({"timestamp": "2000-02-29 23:59:59"}, {"timestamp": 951868799}),
        ({"timestamp": "2106-02-07 06:28:15 UTC"}, {"timestamp": 2**32 - 1}),
        ({"key_id": 77}, {"key_id": 77}),
        ({"key_id": str(2**64 - 1)}, {"key_id": 2**64 - 1}),
        ({"word": "Çiçek 花"}, {"class_name": "Çiçek 花"}),
        ({"word": 'a "quoted", word'}, {"class_name": 'a "quoted", word'}),
        ({"more": {"than": ["expected"]}}, {}),
        ({"drawing": [[[5], [6]]]}, {"strokes": [[[5], [6]]]}),
    ],
)
def test_unusual_but_well_formed_rows_are_taken(read_source, changes, expected):
    content = read_source(ndjson(**changes))
    assert content.rejects == []
    assert [drawing._asdict() for drawing in content.drawings] == [
        {**dict(zip(content.drawings[0]._fields, FULL, strict=True)), **expected}
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"key_id": "0"}, "a key id is a whole number in 1..2**64-1, got 0"),
        ({"key_id": ""}, "empty key id"),
        ({"key_id": ...}, "empty key id"),
        ({"key_id": "-5"}, "key id"),
        ({"key_id": "1e3"}, "key id"),
        ({"key_id": 7.5}, "key id"),
        ({"key_id": True}, "key id"),
        ({"key_id": str(2**64)}, "key id"),
        ({"key_id": "٣"}, "key id"),
        ({"word": ""}, "empty word"),
        ({"word": "  "}, "empty word"),
        ({"word": ...}, "empty word"),
        ({"word": 5}, "a word is text"),
        ({"word": "x" * 257}, "a word is text of at most 256 characters"),
        ({"word": "a\0b"}, "control characters"),
        ({"countrycode": "DEU"}, "a country code is two ASCII letters or digits, got 'DEU'"),
        ({"countrycode": "D "}, "country"),
        ({"countrycode": "Ää"}, "country"),
        ({"recognized": "yes"}, "recognized is true or false, got 'yes'"),
        ({"recognized": 1}, "recognized"),
        ({"timestamp": "yesterday"}, "a timestamp is"),
        ({"timestamp": "2017-02-29 00:00:00"}, "a timestamp is"),
        ({"timestamp": "1969-12-31 23:59:59"}, "a timestamp is"),
        ({"timestamp": "2106-02-07 06:28:16"}, "a timestamp is"),
        ({"timestamp": "2017-03-08 24:00:00"}, "a timestamp is"),
        ({"timestamp": 1489007527}, "a timestamp is"),
        ({"drawing": []}, "empty drawing"),
        ({"drawing": ""}, "empty drawing"),
        ({"drawing": ...}, "empty drawing"),
        ({"drawing": 5}, "a drawing is a list of strokes, got 5"),
        ({"drawing": {"x": 1}}, "a drawing is a list of strokes, got a JSON object of 1"),
        ({"drawing": [5]}, "a stroke is a list of lists"),
        ({"drawing": [[5, 6]]}, "a stroke is a list of lists"),
        ({"drawing": [[[1]]]}, "got 1 in stroke 1"),
        ({"drawing": [[[1], [1], [1], [1]]]}, "got 4 in stroke 1"),
        ({"drawing": [[[1], [1]], [[1], [1], [1]]]}, "got 3 in stroke 2"),
        ({"drawing": [[[], []]]}, "stroke 1 has no point"),
        ({"drawing": [[[1, 2], [1]]]}, "equally long, got 2 and 1 in stroke 1"),
        ({"drawing": [[[1, 2], [1, 2], [1]]]}, "equally long, got 2 and 2 and 1 in stroke 1"),
        ({"drawing": [[[1, 256], [1, 2]]]}, "in 0..255, got 256 in stroke 1"),
        ({"drawing": [[[1, -1], [1, 2]]]}, "got -1 in stroke 1"),
        ({"drawing": [[[1, 2.0], [1, 2]]]}, "got 2.0 in stroke 1"),
        ({"drawing": [[[1, True], [1, 2]]]}, "got True in stroke 1"),
        ({"drawing": [[[1, None], [1, 2]]]}, "got None in stroke 1"),
        ({"drawing": [[["1"], ["2"]]]}, "got '1' in stroke 1"),
        ({"drawing": [[["1"], [2], [3]]]}, "a raw stroke holds numbers, got '1' in stroke 1"),
        ({"drawing": [[[1e9], [2], [3]]]}, "a raw coordinate is a number within 1,000,000 of 0"),
    ],
)
def test_malformed_rows_are_rejected_with_line_and_reason(read_source, changes, reason):
    content = read_source(ndjson(key_id="1") + ndjson(**changes) + ndjson(key_id="2"))
    assert [drawing.key_id for drawing in content.drawings] == [1, 2]
    [(line, told)] = content.rejects
    assert line == 2
    assert reason in told


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "a line is JSON"),
        (b"[1, 2]", "a line is a JSON object, got a list of 2"),
        (b'"text"', "a line is a JSON object, got 'text'"),
        (b'{"word": NaN}', "a line is JSON"),
        (b"\x00\x00\x00", "a line is JSON"),
        (b'{"word": "\xff"}', "a line is JSON"),
        (b"[" * 100_000, "a line is JSON"),
        (b" " * LINE_LIMIT_BYTES + b"  x", "a line is JSON"),
        (b"x" * (LINE_LIMIT_BYTES + 1), "a line has at most 2 MiB"),
        (b"x" * (5 * LINE_LIMIT_BYTES), "a line has at most 2 MiB"),
    ],
    ids=range(10),
)
def test_lines_that_are_no_rows_are_rejected(read_source, line, reason):
    content = read_source(ndjson(key_id="1") + line + b"\n" + ndjson(key_id="2"))
    assert [(drawing.line, drawing.key_id) for drawing in content.drawings] == [(1, 1), (3, 2)]
    [(number, told)] = content.rejects
    assert number == 2
    assert reason in told
    assert len(told) < 200


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", None),
        (b"cat", "a row has as many fields as the header, 6, got 1"),
        (GOOD_CSV.strip() + b",7", "a row has as many fields as the header, 6, got more"),
        (b"," * 100_000, "got more"),
        (GOOD_CSV.strip().replace(b'"', b""), "got more"),
        (GOOD_CSV.strip().replace(b'",', b'"x,'), "a comma follows a closing quote"),
        (b'DE,"[[[1', "a quote is not closed in its line"),
        (GOOD_CSV.strip().replace(b"True", b'Tr"ue'), "a quote stands only around a whole field"),
        (GOOD_CSV.strip().replace(b"True", b"yes"), "recognized is true or false, got 'yes'"),
        (GOOD_CSV.strip().replace(b"power", b"\xff"), "text is UTF-8, got byte 0xff"),
        (GOOD_CSV.strip().replace(b"power outlet", b""), "empty word"),
        (GOOD_CSV.strip().replace(DRAWING.encode(), b""), "empty drawing"),
        (GOOD_CSV.strip().replace(DRAWING.encode(), b"[[[1],[1]]"), "a drawing is JSON"),
        (GOOD_CSV.strip().replace(b",77,", b",0,"), "a key id is a whole number"),
        (GOOD_CSV.strip().replace(b",77,", b",,"), "empty key id"),
    ],
    ids=range(15),
)
def test_malformed_csv_rows_are_rejected(read_source, line, reason):
    content = read_source(TRAIN + GOOD_CSV + line + b"\n" + GOOD_CSV)
    assert [drawing.line for drawing in content.drawings] == [2, 4]
    assert [number for number, _ in content.rejects] == ([] if reason is None else [3])
    assert all(reason in told for _, told in content.rejects)


def test_rows_of_other_layouts_do_not_get_made_key_ids(read_source):
    lines = json.dumps({"countrycode": "AF", "drawing": STROKES}).encode() + b"\n" + ndjson()
    content = read_source(lines[: lines.index(b"\n") + 1] * 9 + ndjson(), "AF_cat.jsonl")
    assert {drawing.class_name for drawing in content.drawings} == {"cat"}
    assert [reason.split(":")[0] for _, reason in content.rejects] == ["key_id in a file whose first rows have none"]


def test_malformed_records_of_a_binary_file_are_rejected(read_source):
    records = [
        binary(key_id=1),
        binary(key_id=0),
        binary(key_id=2, country=b"\0\0", seconds=0),
        binary(key_id=3, country=b"D?"),
        binary(key_id=4, recognized=2),
        binary(key_id=5, strokes=[]),
        binary(key_id=6, strokes=[[[1], [1]], [[], []]]),
        *(binary(key_id=key_id) for key_id in range(7, 12)),
    ]
    content = read_source(b"".join(records))
    assert [drawing.key_id for drawing in content.drawings] == [1, 2, *range(7, 12)]
    assert content.drawings[1][3:6] == ("", 1, 0)
    assert content.rejects == [
        (2, "empty key id"),
        (4, "a country code is two ASCII letters or digits"),
        (5, "recognized is 0 or 1"),
        (6, "empty drawing"),
        (7, "a stroke has no point"),
    ]


@pytest.mark.parametrize("name", [".bin", "cat.bin"])
def test_a_binary_file_ends_with_a_record(read_source, name):
    whole = b"".join(binary(key_id) for key_id in range(1, 10))
    for data in (whole[:-1], whole + b"\0"):
        with pytest.raises(UnknownFormat, match="no known format"):
            read_source(data, name)
    long = b"".join(binary(key_id) for key_id in range(1, 20_000))
    with pytest.raises(CorruptSource, match="no known format: it begins like Quick, Draw! binary, but record 19999"):
        read_source(long[:-1], name)


def test_a_drawing_of_absurd_size_is_read_or_refused_but_never_split(read_source):
    points = 60_000
    drawing = [[[1] * points, [2] * points]] * 8
    content = read_source(binary(1) + binary(2, strokes=drawing) + binary(3), most=70_000)
    assert [(d.key_id, len(d.strokes)) for d in content.drawings] == [(1, 2), (2, 8), (3, 2)]
    with pytest.raises(CorruptSource, match="longer than the file or than 1 MiB"):
        read_source(b"".join(map(binary, range(1, 9000))) + binary(1, strokes=drawing * 2), most=70_000)
    text = ndjson(drawing=[[[1] * 200_000, [255] * 200_000]])
    assert len(read_source(text, most=70_000).drawings[0].strokes[0][0]) == 200_000
