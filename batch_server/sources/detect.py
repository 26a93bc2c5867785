"""Finds out by its content what format a source has. Its name only ever tells a class."""

import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Protocol

from batch_server.sources import fields
from batch_server.sources.json_lines import CountryLines, OfficialNdjson, class_of_file
from batch_server.sources.kaggle_csv import KaggleCsv, header_of
from batch_server.sources.lines import Stream
from batch_server.sources.official_bin import OfficialBin, looks_right
from batch_server.sources.rows import Chunk, Position

HEAD_BYTES = 1 << 18
# With the byte for deflate, the only method there is: key ids in binary files may well begin like the other two.
GZIP_MAGIC = b"\x1f\x8b\x08"
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_COUNTRY = re.compile(rb'"countrycode"\s*:\s*"([0-9A-Za-z]{2})"')


class Format(Protocol):
    """How a source is to be read."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def first(self) -> Position:
        """Where its first row begins."""

    @property
    def labelled(self) -> bool:
        """Whether its rows have a class."""

    @property
    def made_of_lines(self) -> bool:
        """Whether a reader can start at any line."""

    def read(self, stream: Stream, start: Position) -> Iterator[Chunk]:
        """The rows from `start` on, where the stream stands."""


class UnknownFormat(Exception):
    """A source holds nothing that can be imported; the message says why."""


def detect(head: bytes, whole: bool, file_name: str, class_name: str | None) -> Format:
    """The format of a source.

    Args:
        head: Its first HEAD_BYTES.
        whole: Whether these are all of its bytes.
        file_name: Its name, which tells the class where the rows do not.
        class_name: The class of rows that name none, instead of what the file's name tells.

    Raises:
        UnknownFormat: It is none of the formats, or it tells no class.
    """
    if not head:
        raise UnknownFormat("no known format: it is empty")
    if head.startswith((GZIP_MAGIC, *ZIP_MAGICS)):
        raise UnknownFormat("an archive in an archive: unpack the outer one")
    found = _csv(head, class_name) or _json_lines(head, file_name, class_name)
    if found is None and looks_right(head, whole):
        found = OfficialBin(class_name or _name_told(_stem(file_name)))
    if found is None:
        raise UnknownFormat("no known format")
    return found


def _csv(head: bytes, class_name: str | None) -> Format | None:
    for first, line in _lines(head):
        if line.strip():
            header = header_of(line)
            if header is None:
                return None
            return KaggleCsv(header, Position(first.offset + len(line), first.line + 1), class_name)
    return None


def _json_lines(head: bytes, file_name: str, class_name: str | None) -> Format | None:
    """Decided by most of the lines in sight that look like drawings, so that malformed ones among them do no harm."""
    first, country = None, ""
    official = others = 0
    for begin, line in _lines(head):
        first = first or begin
        if line.lstrip().startswith(b"{") and b'"drawing"' in line:
            if b'"key_id"' in line or b'"word"' in line:
                official += 1
            else:
                others += 1
                match = _COUNTRY.search(line)
                country = country or (match[1].decode() if match else "")
    if first is None or official + others == 0:
        return None
    if official >= others:
        return OfficialNdjson(first)
    return CountryLines(first, class_name or _name_told(class_of_file(_stem(file_name), country)))


def _lines(head: bytes) -> Iterator[tuple[Position, bytes]]:
    """The lines in sight, each with its end and where it begins; the last one may be cut off."""
    offset = len(_BYTE_ORDER_MARK) if head.startswith(_BYTE_ORDER_MARK) else 0
    number = 1
    while offset < len(head):
        end = head.find(b"\n", offset) + 1 or len(head)
        yield Position(offset, number), head[offset:end]
        offset, number = end, number + 1


def _stem(file_name: str) -> str:
    return PurePath(file_name).stem


def _name_told(name: str) -> str:
    try:
        return fields.class_name(name)
    except ValueError:
        raise UnknownFormat(f"the file's name tells no class, got {fields.shown(name)}: give --class") from None
