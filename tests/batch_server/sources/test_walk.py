"""Sources are found in a fixed order, whatever they are wrapped in, and whatever else lies about."""

import bz2
import gzip
import io
import os
import zipfile
from functools import partial
from pathlib import Path

import pytest

from batch_server.sources.opening import CorruptSource, Opener
from batch_server.sources.walk import find_sources

# Without the time of day, so that tests have equal names in each process that runs some of them.
gzipped = partial(gzip.compress, mtime=0)

CSV = b'key_id,countrycode,drawing,word\n%d,US,"[[[1],[2]]]",cat\n'


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


def key_ids(source) -> list[int]:
    assert source.format is not None, source.reason
    with Opener() as opener, opener.open(source.location) as stream:
        stream.skip_to(source.format.first.offset)
        return [
            int(key_id) for chunk in source.format.read(stream, source.format.first) for key_id in chunk.rows.key_id
        ]


def found(*paths: Path, aside: tuple[Path, ...] = ()) -> list[tuple[str, list[int] | str]]:
    """Each source's name and its key ids, or why it is not read."""
    sources = find_sources(paths, None, aside)
    return [(source.name, source.reason if source.format is None else key_ids(source)) for source in sources]


def test_arguments_and_zip_members_come_as_given_and_folders_in_code_point_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("folder")
    (folder / "b").mkdir(parents=True)
    for number, name in enumerate(("b/z", "b/a", "é", "a", "Z", "b.csv")):
        (folder / name).write_bytes(CSV % (1 + number))
    Path("x.zip").write_bytes(zipped({"z.csv": CSV % 11, "in/": b"", "in/a.csv": CSV % 12}))
    assert found(Path("x.zip"), folder) == [
        ("x.zip/z.csv", [11]),
        ("x.zip/in/a.csv", [12]),
        ("folder/Z", [5]),
        ("folder/a", [4]),
        ("folder/b/a", [2]),
        ("folder/b/z", [1]),
        ("folder/b.csv", [6]),
        ("folder/é", [3]),
    ]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_of_a_zip_are_read_however_compressed(tmp_path, method):
    (tmp_path / "x").write_bytes(zipped({"a.csv": CSV % 1, "b.csv": CSV % 2}, method))
    assert [ids for _, ids in found(tmp_path / "x")] == [[1], [2]]


def test_a_gzipped_file_is_read_and_its_name_without_gz_tells_the_class(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzipped(CSV % 1) + gzipped((CSV % 2).split(b"\n", 1)[1]))
    (tmp_path / "AF_power_outlet.jsonl.gz").write_bytes(gzipped(b'{"countrycode": "AF", "drawing": [[[1], [2]]]}'))
    plain, named = find_sources([tmp_path / "a.csv.gz", tmp_path / "AF_power_outlet.jsonl.gz"], None)
    assert key_ids(plain) == [1, 2]
    assert named.format.class_name == "power outlet"


def corrupt(data: bytes, inside: bytes) -> bytes:
    at = data.index(inside)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def encrypted(data: bytes) -> bytes:
    """Sets the flag for it in the headers of the first member."""
    for magic, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        flag = data.index(magic) + at
        data = data[:flag] + bytes([data[flag] | 1]) + data[flag + 1 :]
    return data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no known format: it is empty"),
        (b"\n\n\n", "no known format"),
        (b"hello\n", "no known format"),
        (b"key_id,word\n1,cat\n", "no known format"),
        (b'{"type": "FeatureCollection"}\n', "no known format"),
        (bytes(17 * 100), "no known format"),
        (b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'shape': (1, 784), }\n" + bytes(784), "no known format"),
        (bz2.compress(CSV % 1), "no known format"),
        (zipped({"x": CSV % 1})[:-30], "damaged archive: File is not a zip file"),
        (gzipped(CSV % 1)[:-9], "damaged archive: Compressed file ended"),
        (gzipped(gzipped(CSV % 1)), "an archive in an archive"),
        (gzipped(CSV % 1) + b"rubbish", "damaged archive: "),
    ],
)  # fmt: skip
def test_what_holds_no_drawings_is_one_reject(tmp_path, data, reason):
    (tmp_path / "x.bin").write_bytes(data)
    [(name, told)] = found(tmp_path)
    assert name == str(tmp_path / "x.bin")
    assert isinstance(told, str)
    assert told.startswith(reason)


GOOD = {"good.csv": CSV % 7}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (zipped({"x.zip": zipped({"x.csv": CSV % 1})} | GOOD), "an archive in an archive: unpack the outer one"),
        (zipped({"x.gz": gzipped(CSV % 1)} | GOOD), "an archive in an archive: unpack the outer one"),
        (encrypted(zipped({"x": CSV % 1} | GOOD)), "encrypted: unpack it first"),
        (corrupt(zipped({"x": CSV % 1} | GOOD, zipfile.ZIP_STORED), b"[[[1]"), "damaged archive: Bad CRC-32"),
        (zipped({"README.md": b"about\n"} | GOOD), "no known format"),
    ],
)
def test_a_bad_member_is_one_reject_and_the_others_are_read(tmp_path, data, reason):
    (tmp_path / "x.zip").write_bytes(data)
    (_, told), (_, ids) = found(tmp_path)
    assert isinstance(told, str)
    assert told.startswith(reason)
    assert ids == [7]


def test_damage_behind_the_beginning_shows_when_it_is_read(tmp_path):
    rows = CSV % 1 + b"".join((CSV % number).split(b"\n", 1)[1] for number in range(2, 40_000))
    whole = zipped({"x.csv": rows}, zipfile.ZIP_STORED)
    (tmp_path / "x.zip").write_bytes(corrupt(whole, b"\n39000,"))
    [source] = find_sources([tmp_path / "x.zip"], None)
    with pytest.raises(CorruptSource, match="damaged archive: Bad CRC-32 for file"):
        key_ids(source)


def test_links_and_special_files(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.csv").write_bytes(CSV % 1)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "again").symlink_to(folder)
    (folder / "broken").symlink_to(tmp_path / "nowhere")
    (folder / "linked").symlink_to(tmp_path / "real")
    (folder / "linked.csv").symlink_to(tmp_path / "real" / "a.csv")
    os.mkfifo(folder / "pipe")
    assert found(folder) == [
        (f"{folder}/broken", "not a file"),
        (f"{folder}/linked/a.csv", [1]),
        (f"{folder}/linked.csv", [1]),
        (f"{folder}/pipe", "not a file"),
    ]


def test_what_the_import_itself_writes_is_no_source(tmp_path):
    (tmp_path / "a.csv").write_bytes(CSV % 1)
    (tmp_path / "x.lmdb").write_bytes(b"data")
    (tmp_path / "x.importing").mkdir()
    (tmp_path / "x.importing" / "b.csv").write_bytes(CSV % 2)
    assert found(tmp_path, aside=(tmp_path / "x.lmdb", tmp_path / "x.importing")) == [(f"{tmp_path}/a.csv", [1])]


def test_names_that_are_not_text_are_shown_escaped(tmp_path):
    name = os.path.join(os.fsencode(tmp_path), b"\xff\n.bin")
    try:
        Path(os.fsdecode(name)).write_bytes(b"rubbish")
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    assert found(tmp_path) == [(f"{tmp_path}/\\xff\\x0a.bin", "no known format")]


def test_a_name_that_tells_no_class_is_a_reject_unless_the_class_is_given(tmp_path):
    (tmp_path / "_.jsonl").write_bytes(b'{"countrycode": "AF", "drawing": [[[1], [2]]]}')
    [(_, reason)] = found(tmp_path)
    assert reason == "the file's name tells no class, got ' ': give --class"
    [source] = find_sources([tmp_path], "cat")
    assert source.format.class_name == "cat"


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    unreadable = Path("/proc/self/mem")
    if not unreadable.exists():
        pytest.skip("no file here that exists and cannot be read, whoever asks")
    with pytest.raises(OSError, match="/proc/self/mem"):
        list(find_sources([unreadable], None))
