"""Finds the sources in files, folders and zips, in a fixed order.

Arguments come in the order given, entries of a folder in code-point order of their names, members of a zip in the order
of its directory.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from batch_server.sources.detect import GZIP_MAGIC, HEAD_BYTES, ZIP_MAGICS, Format, UnknownFormat, detect
from batch_server.sources.fields import printable
from batch_server.sources.opening import Container, CorruptSource, Location, Opener


class Source(NamedTuple):
    """One file, or one member of a zip.

    Attributes:
        name: As it is shown: the path as given, for a member with the member's name behind it.
        location: Where its bytes are.
        size_bytes: Of its content; of a gzipped file, whose content's size is not known, those on disk.
        modified_ns: When the file on disk was last written, nanoseconds since 1970.
        format: How it is to be read, None if it is not.
        reason: Why it is not.
    """

    name: str
    location: Location
    size_bytes: int
    modified_ns: int
    format: Format | None
    reason: str = ""


def find_sources(paths: Sequence[Path], class_name: str | None, passed_over: Sequence[Path] = ()) -> Iterator[Source]:
    """All sources, each with its format.

    Args:
        paths: Files and folders that exist.
        class_name: The class of rows that name none.
        passed_over: Files and folders that are none of the sources, such as the dataset to be written.

    Raises:
        OSError: A file or folder cannot be read.
    """
    aside = {path.resolve() for path in passed_over}
    with Opener() as opener:
        for path in paths:
            for file in _files(path, aside, ()):
                try:
                    yield from _sources_in(file, class_name, opener)
                except OSError as error:  # a failed read does not name its file
                    raise OSError(error.errno, error.strerror or str(error), str(file)) from error


def _files(path: Path, aside: set[Path], above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    """The file itself, or all files below a folder; a link that leads back to a folder above is not followed."""
    if path.resolve() in aside:
        return
    if not path.is_dir():
        yield path
        return
    status = path.stat()
    here = (status.st_dev, status.st_ino)
    if here not in above:
        for name in sorted(os.listdir(path)):
            yield from _files(path / name, aside, (*above, here))


def _sources_in(path: Path, class_name: str | None, opener: Opener) -> Iterator[Source]:
    name = printable(str(path))
    status = path.stat() if path.exists() else path.lstat()
    plain = Source(name, Location(path, Container.PLAIN), status.st_size, status.st_mtime_ns, None)
    if not stat.S_ISREG(status.st_mode):
        yield plain._replace(reason="not a file")
        return
    with open(path, "rb") as file:
        magic = file.read(4)
    if magic.startswith(ZIP_MAGICS):
        yield from _members(plain, class_name, opener)
    elif magic.startswith(GZIP_MAGIC):
        stem = path.stem if path.suffix.lower() in (".gz", ".gzip") else path.name
        yield _detected(plain._replace(location=Location(path, Container.GZIP)), stem, class_name, opener)
    else:
        yield _detected(plain, path.name, class_name, opener)


def _members(archive: Source, class_name: str | None, opener: Opener) -> Iterator[Source]:
    """The members of a zip; if its directory is damaged, the zip itself is the one source, and not read."""
    try:
        entries = opener.members(archive.location.path)
    except CorruptSource as error:
        yield archive._replace(reason=str(error))
        return
    for index, entry in enumerate(entries):
        if entry.is_dir():
            continue
        member = Source(
            f"{archive.name}/{printable(entry.filename)}",
            Location(archive.location.path, Container.ZIP, index),
            entry.file_size,
            archive.modified_ns,
            None,
        )
        yield _detected(member, PurePosixPath(entry.filename).name, class_name, opener)


def _detected(source: Source, file_name: str, class_name: str | None, opener: Opener) -> Source:
    try:
        with opener.open(source.location) as stream:
            head = stream.read(HEAD_BYTES)
            whole = len(head) < HEAD_BYTES or not stream.read(1)
        return source._replace(format=detect(head, whole, file_name, class_name))
    except (CorruptSource, UnknownFormat) as error:
        return source._replace(reason=str(error))
