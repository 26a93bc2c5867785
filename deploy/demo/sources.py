"""Which files of a source are labelled."""

import zipfile
from pathlib import Path

# The first columns of the competition's test file, which has no others; the labelled one also has `word`.
_UNLABELLED = b"key_id,countrycode,drawing"


def unlabelled_files(source: Path) -> list[Path]:
    """The files in a source, or the source itself, that are drawings without labels in the competition's layout."""
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    return [file for file in files if _is_unlabelled(file)]


def labelled_parts(source: Path, unlabelled: list[Path]) -> list[Path]:
    """The source without some files, in as few parts as that takes."""
    if source in unlabelled:
        return []
    if not any(source in file.parents for file in unlabelled):
        return [source]
    return [part for child in sorted(source.iterdir()) for part in labelled_parts(child, unlabelled)]


def _is_unlabelled(file: Path) -> bool:
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            firsts = [archive.open(member).readline(1000) for member in members]
        return bool(firsts) and all(map(_is_header, firsts))
    with file.open("rb") as opened:
        return _is_header(opened.readline(1000))


def _is_header(line: bytes) -> bool:
    return line.removeprefix(b"\xef\xbb\xbf").strip() == _UNLABELLED
