"""CSV as the Quick, Draw! Doodle Recognition competition distributed it.

The header names the columns, in any order: `key_id` and `drawing` must be there, `countrycode`, `recognized`,
`timestamp` and `word` may be, others are passed over. The competition's training files have all six, its test file has
the first three. The drawing is JSON in quotes. A row is one line: a newline in quotes makes malformed rows, only those.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import orjson

from batch_server.sources import fields, scan
from batch_server.sources.lines import Stream
from batch_server.sources.rows import Chunk, Position, Row
from batch_server.sources.strokes import record_of
from batch_server.sources.text import Layout, read_lines

COLUMNS = {
    "key_id": scan.KEY_ID,
    "drawing": scan.DRAWING,
    "countrycode": scan.COUNTRY,
    "recognized": scan.FLAG,
    "timestamp": scan.TIMESTAMP,
    "word": scan.WORD,
}
REQUIRED = ("key_id", "drawing")
COLUMNS_LIMIT = 1000

_RECOGNIZED: dict[str, object] = {"True": True, "true": True, "False": False, "false": False}


@dataclass(frozen=True)
class KaggleCsv:
    """A CSV file.

    Attributes:
        header: Its columns' names.
        first: Where the first row begins, after the header.
        class_name: The class of all rows of a file without words; None leaves them unlabelled.
    """

    header: tuple[str, ...]
    first: Position
    class_name: str | None = None
    name = "Kaggle CSV"
    made_of_lines = True

    @property
    def labelled(self) -> bool:
        """Whether the rows have a class."""
        return "word" in self.header or self.class_name is not None

    def read(self, stream: Stream, start: Position) -> Iterator[Chunk]:
        """The rows from `start` on, where the stream stands."""
        return read_lines(stream, start, self.layout())

    def layout(self) -> Layout:
        """How a line is written."""
        columns = np.array([COLUMNS.get(name, scan.OTHER) for name in self.header], np.uint8)
        return Layout(columns, 0, None if "word" in self.header else self.class_name, self.parse_line)

    def parse_line(self, line: bytes) -> Row:
        """Makes a row of one line; raises ValueError with the reason if it is malformed."""
        values = dict(zip(self.header, split(_text(line), len(self.header)), strict=True))
        recognized = values.get("recognized")
        return Row(
            self._class_of(values),
            fields.key_id(values["key_id"]),
            fields.country(values.get("countrycode")),
            fields.recognized(_RECOGNIZED.get(recognized, recognized) if recognized else None),
            fields.timestamp(values.get("timestamp")),
            record_of(_drawing(values["drawing"])),
        )

    def _class_of(self, values: dict[str, str]) -> str | None:
        return fields.class_name(values["word"]) if "word" in self.header else self.class_name


def header_of(line: bytes) -> tuple[str, ...] | None:
    """The columns that a CSV file of drawings names in its first line, None if this is not such a line."""
    try:
        names = tuple(split(_text(line.strip(b" \t\r\n")), None))
    except ValueError:
        return None
    known = [name for name in names if name in COLUMNS]
    if len(known) != len(set(known)) or not set(REQUIRED).issubset(known):
        return None
    return names


def split(line: str, count: int | None) -> list[str]:
    """Splits a line into fields; a field in quotes may hold commas, and quotes written twice.

    Args:
        line: Without its end.
        count: How many fields there must be; None for any number up to COLUMNS_LIMIT.

    Raises:
        ValueError: There are more or fewer, or a quote stands where none belongs.
    """
    values: list[str] = []
    at = 0
    while len(values) < (count or COLUMNS_LIMIT):
        if line.startswith('"', at):
            close = _closing_quote(line, at + 1)
            values.append(line[at + 1 : close].replace('""', '"'))
            end = close + 1
            if end < len(line) and line[end] != ",":
                raise ValueError(f"a comma follows a closing quote, got {fields.shown(line[end:])}")
        else:
            end = line.find(",", at)
            end = len(line) if end < 0 else end
            values.append(line[at:end])
            if '"' in values[-1]:
                raise ValueError(f"a quote stands only around a whole field, got {fields.shown(values[-1])}")
        if end == len(line):
            if count is not None and len(values) != count:
                raise ValueError(f"a row has as many fields as the header, {count}, got {len(values)}")
            return values
        at = end + 1
    raise ValueError(f"a row has as many fields as the header, {count}, got more")


def _closing_quote(line: str, at: int) -> int:
    while True:
        close = line.find('"', at)
        if close < 0:
            raise ValueError("a quote is not closed in its line")
        if not line.startswith('"', close + 1):
            return close
        at = close + 2


def _text(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"text is UTF-8, got byte {line[error.start]:#04x}") from None


def _drawing(text: str) -> object:
    if not text.strip():
        raise ValueError("empty drawing")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"a drawing is JSON: {fields.shown(error)}") from None
