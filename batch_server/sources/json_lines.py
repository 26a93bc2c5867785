"""JSON lines: a drawing as one JSON object per line, in the two layouts that are found.

`OfficialNdjson` is Google's, simplified and raw: `word`, `countrycode`, `timestamp`, `recognized`, `key_id`, `drawing`.
`CountryLines` has only `countrycode` and `drawing`: the class comes from the file's name, and a key id is made.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import orjson
import xxhash

from batch_server.sources import fields, scan
from batch_server.sources.lines import Stream
from batch_server.sources.rows import UNKNOWN_RECOGNIZED, UNKNOWN_TIMESTAMP, Chunk, Position, Row, Rows
from batch_server.sources.strokes import record_of
from batch_server.sources.text import Layout, read_lines

MADE_KEY_ID = 1 << 63

_ALL_MEMBERS = sum(1 << f for f in (scan.WORD, scan.COUNTRY, scan.TIMESTAMP, scan.FLAG, scan.KEY_ID, scan.DRAWING))
_COUNTRY_MEMBERS = 1 << scan.COUNTRY | 1 << scan.DRAWING
_NO_COLUMNS = np.empty(0, np.uint8)


@dataclass(frozen=True)
class OfficialNdjson:
    """Google's layout.

    Attributes:
        first: Where the first row begins.
    """

    first: Position
    name = "Quick, Draw! ndjson"
    made_of_lines = True
    labelled = True

    def read(self, stream: Stream, start: Position) -> Iterator[Chunk]:
        """The rows from `start` on, where the stream stands."""
        return read_lines(stream, start, self.layout())

    def layout(self) -> Layout:
        """How a line is written."""
        return Layout(_NO_COLUMNS, _ALL_MEMBERS, None, self.parse_line)

    def parse_line(self, line: bytes) -> Row:
        """Makes a row of one line; raises ValueError with the reason if it is malformed."""
        values = _object(line)
        return Row(
            fields.class_name(values.get("word")),
            fields.key_id(values.get("key_id")),
            fields.country(values.get("countrycode")),
            fields.recognized(values.get("recognized")),
            fields.timestamp(values.get("timestamp")),
            record_of(_drawing(values)),
        )


@dataclass(frozen=True)
class CountryLines:
    """Lines with a country and a drawing only.

    Attributes:
        first: Where the first row begins.
        class_name: The class of all rows.
    """

    first: Position
    class_name: str
    name = "JSON lines without words"
    made_of_lines = True
    labelled = True

    def read(self, stream: Stream, start: Position) -> Iterator[Chunk]:
        """The rows from `start` on, where the stream stands."""
        return read_lines(stream, start, self.layout())

    def layout(self) -> Layout:
        """How a line is written."""
        return Layout(_NO_COLUMNS, _COUNTRY_MEMBERS, self.class_name, self.parse_line, self._with_key_ids)

    def parse_line(self, line: bytes) -> Row:
        """Makes a row of one line; raises ValueError with the reason if it is malformed."""
        values = _object(line)
        for name in ("key_id", "word"):
            if name in values:
                raise ValueError(f"{name} in a file whose first rows have none: give it a file of its own")
        country, record = fields.country(values.get("countrycode")), record_of(_drawing(values))
        key_id = made_key_id(self.class_name, country, record)
        return Row(self.class_name, key_id, country, UNKNOWN_RECOGNIZED, UNKNOWN_TIMESTAMP, record)

    def _with_key_ids(self, rows: Rows) -> Rows:
        ends = rows.lengths.cumsum(dtype=np.int64)
        known = zip(rows.country.tolist(), (ends - rows.lengths).tolist(), ends.tolist(), strict=True)
        data = rows.records.tobytes()
        made = [made_key_id(self.class_name, country, data[start:end]) for country, start, end in known]
        return rows._replace(key_id=np.array(made, np.uint64))


def made_key_id(class_name: str, country: int, record: bytes) -> int:
    """The key id of a drawing that has none: 64-bit XXH3 of what is known of it, with the highest bit set.

    Official key ids lie far below 2**63, so the two never meet. The same drawing always gets the same one.
    """
    known = class_name.encode() + b"\0" + country.to_bytes(2, "big") + record
    return xxhash.xxh3_64_intdigest(known) | MADE_KEY_ID


def class_of_file(stem: str, country: str) -> str:
    """The class that a file's name tells.

    Args:
        stem: The file's name without its extension, as in `AF_power_outlet`.
        country: The country code of its rows, as in `AF`; where the name begins with it, it is not part of the class.
    """
    return (stem.removeprefix(f"{country}_") if country else stem).replace("_", " ")


def _object(line: bytes) -> dict[str, object]:
    try:
        values = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"a line is JSON: {fields.shown(error)}") from None
    if not isinstance(values, dict):
        raise ValueError(f"a line is a JSON object, got {fields.shown(values)}")
    return values


def _drawing(values: dict[str, object]) -> object:
    drawing = values.get("drawing")
    if drawing is None or drawing == "":
        raise ValueError("empty drawing")
    return drawing
