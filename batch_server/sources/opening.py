"""Opens a source, be it a file, a gzipped file or a member of a zip, at any position of its text."""

import contextlib
import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import NamedTuple, Protocol

from isal import igzip, igzip_lib

from batch_server.sources.inflating import InflatedMember

SKIP_BYTES = 1 << 20
# Inflated bytes are copied once; pieces of this size are still in a core's cache then.
PIECE_BYTES = 1 << 16

_DAMAGE: tuple[type[Exception], ...] = (
    igzip_lib.IsalError,  # type: ignore[assignment]  # its stub declares an instance
    zlib.error,
    lzma.LZMAError,
    EOFError,
    gzip.BadGzipFile,
    zipfile.BadZipFile,
)
_ENCRYPTED = 1  # a flag of a zip's member


class Container(Enum):
    """What a source is wrapped in."""

    PLAIN = "plain"
    GZIP = "gzip"
    ZIP = "zip"


class Location(NamedTuple):
    """Where a source's bytes are.

    Attributes:
        path: The file on disk.
        container: What it is wrapped in.
        member: Its index in the zip, 0 elsewhere.
    """

    path: Path
    container: Container
    member: int = 0


class CorruptSource(Exception):
    """A source cannot be what it seems to be; the message says why. None of it is kept."""


class _Raw(Protocol):
    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fills at most the buffer; how many bytes, 0 at the end only."""


class SourceStream:
    """A source's bytes; damage in a container raises CorruptSource wherever it shows."""

    def __init__(self, raw: _Raw):
        self._raw = raw
        self._left: int | None = None

    def readinto(self, buffer: memoryview, /) -> int:
        """Fills the buffer unless the source ends; returns how many bytes, 0 at the end only."""
        wanted = len(buffer) if self._left is None else min(len(buffer), self._left)
        filled = 0
        with damage_told():
            while filled < wanted:
                piece = buffer[filled : min(filled + PIECE_BYTES, wanted)]
                read = self._raw.readinto(piece)
                if not read:
                    break
                filled += read
        if self._left is not None:
            self._left -= filled
        return filled

    def read(self, size: int) -> bytes:
        """The next bytes, fewer only at the end."""
        buffer = bytearray(size)
        return bytes(buffer[: self.readinto(memoryview(buffer))])

    def limit(self, size: int) -> None:
        """Lets the source end after this many more bytes."""
        self._left = max(size, 0)

    def skip_to(self, offset: int) -> None:
        """Goes from the beginning to an offset."""
        if isinstance(self._raw, io.BufferedReader):
            self._raw.seek(offset)
            return
        while offset > 0 and (skipped := len(self.read(min(offset, SKIP_BYTES)))):
            offset -= skipped

    def seek_line(self, offset: int) -> int:
        """In a plain file, goes to the first line that begins at or after `offset`, above 0; returns where that is."""
        assert isinstance(self._raw, io.BufferedReader), "only plain files are cut into pieces"
        self._raw.seek(offset - 1)
        while (piece := self._raw.readline(SKIP_BYTES)) and not piece.endswith(b"\n"):
            pass
        return self._raw.tell()


class Opener:
    """Opens sources one after another; a zip stays open for its next member, since its directory may be long."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._archive: zipfile.ZipFile | None = None

    def __enter__(self) -> "Opener":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the zip that is still open."""
        if self._archive is not None:
            self._archive.close()
        self._path = self._archive = None

    def members(self, path: Path) -> list[zipfile.ZipInfo]:
        """What is in a zip.

        Raises:
            CorruptSource: Its directory is damaged.
            OSError: It cannot be read.
        """
        return self._zip(path).infolist()

    @contextlib.contextmanager
    def open(self, location: Location) -> Iterator[SourceStream]:
        """Opens a source at its beginning.

        Raises:
            CorruptSource: The container is damaged, encrypted or compressed in a way that Python does not know.
            OSError: The file cannot be read.
        """
        with contextlib.ExitStack() as stack:
            with damage_told():
                if location.container is Container.ZIP:
                    archive = self._zip(location.path)
                    entry = archive.infolist()[location.member]
                    if entry.flag_bits & _ENCRYPTED:
                        raise CorruptSource("encrypted: unpack it first")
                    raw: _Raw
                    if entry.compress_type == zipfile.ZIP_DEFLATED:
                        raw = stack.enter_context(InflatedMember(archive, entry))
                    else:
                        raw = stack.enter_context(archive.open(entry))  # type: ignore[assignment]  # it has readinto
                else:
                    raw = stack.enter_context(open(location.path, "rb"))
                    if location.container is Container.GZIP:
                        raw = stack.enter_context(igzip.IGzipFile(fileobj=raw))
            yield SourceStream(raw)

    def _zip(self, path: Path) -> zipfile.ZipFile:
        if self._archive is None or self._path != path:
            self.close()
            with damage_told():
                self._archive = zipfile.ZipFile(path)
            self._path = path
        return self._archive


@contextlib.contextmanager
def damage_told() -> Iterator[None]:
    """Turns what damaged archives make the libraries raise into CorruptSource."""
    try:
        yield
    except _DAMAGE as error:
        raise CorruptSource(f"damaged archive: {str(error) or 'it is cut off'}") from None
    except NotImplementedError as error:
        raise CorruptSource(f"archive of an unknown kind: {error}") from None
    except (ValueError, IndexError, struct.error) as error:
        raise CorruptSource(f"damaged archive: {str(error) or 'it is cut off'}") from None
    except OSError as error:
        if error.errno is None:  # bz2's way to say that its data is damaged
            raise CorruptSource(f"damaged archive: {str(error) or 'it is cut off'}") from None
        raise
