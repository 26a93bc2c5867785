"""Inflates a deflated member of a zip: twice as fast as zipfile does, by ISA-L's decoder."""

import copy
import zipfile
from typing import IO

from isal import igzip_lib, isal_zlib

# Of deflated bytes at a time: zipfile takes as long for few as for many.
_INPUT_BYTES = 1 << 18


class InflatedMember:
    """The content of a deflated member; use it as a context."""

    def __init__(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo):
        """Opens a member.

        Raises:
            zipfile.BadZipFile: What stands before the member is not what the directory says.
        """
        self._entry = entry
        as_stored = copy.copy(entry)
        as_stored.compress_type, as_stored.file_size = zipfile.ZIP_STORED, entry.compress_size
        del as_stored.CRC  # that of the inflated bytes: zipfile is not to look for it among the deflated ones
        self._deflated: IO[bytes] = archive.open(as_stored)
        self._inflater = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)
        self._crc = self._size = 0

    def __enter__(self) -> "InflatedMember":
        return self

    def __exit__(self, *error: object) -> None:
        self._deflated.close()

    def readinto(self, buffer: memoryview, /) -> int:
        """Fills the buffer at most; returns how many bytes, 0 at the end only.

        Raises:
            zipfile.BadZipFile: The content has another checksum or size than the directory says.
            EOFError: It is cut off.
            igzip_lib.IsalError: It is no deflated data.
        """
        while not self._inflater.eof:
            piece = b""
            if self._inflater.needs_input and not (piece := self._deflated.read(_INPUT_BYTES)):
                raise EOFError(f"{self._entry.filename!r} is cut off")
            inflated = self._inflater.decompress(piece, len(buffer))
            if inflated:
                self._crc = isal_zlib.crc32(inflated, self._crc)
                self._size += len(inflated)
                buffer[: len(inflated)] = inflated
                return len(inflated)
        if (self._crc, self._size) != (self._entry.CRC, self._entry.file_size):
            raise zipfile.BadZipFile(f"Bad CRC-32 for file {self._entry.filename!r}")
        return 0
