"""7,200 hostile rows: none raises, none disturbs its neighbours, and both parsers agree on every one."""

import itertools
import json
import random
import struct

import numpy as np
import pytest

from batch_server.sources.detect import HEAD_BYTES, UnknownFormat, detect
from batch_server.sources.opening import CorruptSource
from batch_server.sources.text import parse, parse_one_by_one

ROWS = 1_000
STROKES = [[[0, 10, 255], [255, 7, 0]], [[9, 9], [8, 8]]]
RAW = [[[0.5, 10, 255.25], [255, 7, 0], [0, 17, 33]], [[9], [8], [50]]]
CSV = 'DE,"{}",%d,True,2017-03-08 21:12:07.266040,power outlet'
NDJSON = (
    '{{"word":"cat","countrycode":"DE","timestamp":"2017-03-08 21:12:07.26604 UTC","recognized":true,'
    '"key_id":"%d","drawing":{}}}'
)
LAYOUTS = {
    "train": ("countrycode,drawing,key_id,recognized,timestamp,word", CSV.format(json.dumps(STROKES))),
    "test": ("key_id,countrycode,drawing", f'%d,DE,"{json.dumps(STROKES)}"'),
    "raw csv": ("countrycode,drawing,key_id,recognized,timestamp,word", CSV.format(json.dumps(RAW))),
    "simplified": ("", NDJSON.format(json.dumps(STROKES, separators=(",", ":")))),
    "raw": ("", NDJSON.format(json.dumps(RAW))),
    "country": ("", f'{{"countrycode": "A%d", "drawing": {json.dumps(STROKES)}}}'),
}
TOKENS = [
    *(b"", b"0", b"-1", b"00", b"256", b"1e5", b"1e400", b"1.5", b"NaN", b"Infinity", b"null", b"true", b"True"),
    *(b"18446744073709551615", b"18446744073709551616", b"-0", b"1" * 19, b"2" * 20, b"9" * 30),
    *(b"[]", b"[[]]", b"[[[]]]", b"[[[1],[1],[1],[1]]]", b"[" * 2000, b"]" * 50, b"{}", b'{"a":' * 2000),
    *(b'""', b'"', b"'", b",", b",,", b";", b":", b"\\", b"\\u0000", b"\\ud800", b"%s%n", b"' OR 1=1"),
    *(b"\0", b"\0" * 50, b"\r", b"\t", b" ", b"\x0b", b"\x1a", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf"),
    *("é".encode(), "\u2028".encode(), "٣".encode(), b"drawing", b"key_id", b'"key_id":"1",', b"word"),
    *(b"2017-02-30 00:00:00", b"0000-00-00 00:00:00", b"9999-12-31 23:59:59"),
]


def spoil(row: bytes, rng: random.Random) -> bytes:
    """Damages a row in one to three places, never ending its line."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(row) + 1)
        to = min(len(row), at + rng.choice((0, 0, 1, 1, 2, 5, 40)))
        how = rng.random()
        if how < 0.4:
            what = rng.choice(TOKENS)
        elif how < 0.6:
            what = bytes(rng.randrange(256) for _ in range(rng.randint(1, 4)))
        elif how < 0.8:
            what = row[to : to + rng.randint(1, 30)]
        else:
            what = b"%d" % rng.choice((0, 7, 255, 256, 1000, 10**19))
        row = row[:at] + what.replace(b"\n", b"") + row[to:]
    return row


@pytest.mark.parametrize("layout", LAYOUTS)
def test_hostile_lines(read_source, drawings_of, layout):
    header, good = LAYOUTS[layout]
    rng = random.Random(layout)
    lines = []
    for number in range(ROWS):
        lines.append(good.encode() % (1 + number % 9))
        lines.append(spoil(good.encode() % 5, rng))
    lines += itertools.repeat(good.encode() % 9, 2)
    data = bytearray(b"".join(line + b"\n" for line in [header.encode(), *lines]))
    content = read_source(data, "A1_cat.jsonl")
    first = 2
    blank = [number for number, line in enumerate(lines, first) if not line.strip(b" \t\r")]
    told = sorted([drawing.line for drawing in content.drawings] + [line for line, _ in content.rejects] + blank)
    assert told == list(range(first, first + len(lines))), "every line is a drawing or a reject, once"
    assert set(range(first, first + len(lines), 2)) <= {drawing.line for drawing in content.drawings}
    assert len(content.rejects) > ROWS / 2, "most of them are malformed"
    assert all(reason and len(reason) < 300 and reason.isprintable() for _, reason in content.rejects)

    # The parser in Python alone gives the same.
    found = detect(data[:HEAD_BYTES], False, "A1_cat.jsonl", None)
    text = np.frombuffer(data, np.uint8)[found.first.offset :]
    ends = np.flatnonzero(text == ord("\n")) + 1
    reference = parse_one_by_one(text, found.first.line, ends, range(len(ends)), found.layout().parse_line)
    assert drawings_of(reference) == content.drawings
    assert [tuple(reject) for reject in reference.rejects] == content.rejects


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_compiled_parser_takes_good_rows(layout):
    header, good = LAYOUTS[layout]
    data = bytearray(f"{header}\n{good % 5}\n".encode())
    found = detect(data, True, "A1_cat.jsonl", None)

    def fail(line):
        raise AssertionError(f"left to Python: {line!r}")

    rows, lines, _ = parse(
        np.frombuffer(data, np.uint8)[found.first.offset :], 1, found.layout()._replace(parse_line=fail)
    )
    assert (len(rows.key_id), lines, rows.rejects) == (1, 1 if header else 2, [])


def test_more_words_than_the_compiled_parser_keeps(read_source):
    rng = random.Random(5)
    words = [f"word {rng.randrange(900)}" for _ in range(3_000)]
    data = "key_id,drawing,word\n"
    data += "".join(f'{number},"[[[1],[2]]]",{word}\n' for number, word in enumerate(words, 1))
    assert [drawing.class_name for drawing in read_source(bytearray(data.encode())).drawings] == words


def test_hostile_binary_files(read_source):
    """1,200 files of five records with damage anywhere: all rows, some rejects or nothing of the file."""
    rng = random.Random(3)
    outcomes = {"whole": 0, "in part": 0, "refused": 0}
    for _ in range(1_200):
        data = b"".join(
            struct.pack("<Q2sbIHH3s3s", rng.randrange(1, 2**53), b"DE", 1, 1489007527, 1, 3, b"\0\1\2", b"\3\4\5")
            for _ in range(5)
        )
        if rng.random() < 0.5:
            data = spoil(data, rng) or b"\0"
        else:
            at = rng.randrange(len(data))
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        try:
            content = read_source(data, most=rng.choice((1, 7, 1000)))
        except (UnknownFormat, CorruptSource) as refusal:
            assert "no known format" in str(refusal)
            outcomes["refused"] += 1
        else:
            assert content.end.offset == len(data)
            assert len(content.drawings) + len(content.rejects) == content.end.line - 1
            outcomes["in part" if content.rejects else "whole"] += 1
    assert min(outcomes.values()) >= 50, outcomes
