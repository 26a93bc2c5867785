"""A part gives back what was put in, or says that it is damaged."""

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_server.importing.errors import ImportFailed
from batch_server.importing.parts import Part, PartWriter
from batch_server.sources.rows import Position, Reject, Row, RowsBuilder

rows = st.builds(
    Row,
    st.none() | st.sampled_from(("cat", "dog", "花")),
    st.integers(1, 2**64 - 1),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2),
    st.integers(0, 2**32 - 1),
    st.binary(min_size=1, max_size=20),
)
chunks = st.lists(
    st.tuples(st.integers(0, 3), st.lists(rows, max_size=5), st.lists(st.text(max_size=20), max_size=3)), max_size=5
).map(lambda added: sorted(added, key=lambda chunk: chunk[0]))  # a part has the rows of a source one after another


def build(of_rows, reasons):
    builder = RowsBuilder(rejects=[Reject(number, reason) for number, reason in enumerate(reasons, 1)])
    for line, row in enumerate(of_rows, 100):
        builder.add(line, row)
    return builder.build()


def values(staged):
    """Rows as they were added: class names instead of indices, records one by one."""
    ends = np.cumsum(staged.lengths).tolist()
    records = [staged.records[end - length : end].tobytes() for end, length in zip(ends, staged.lengths, strict=True)]
    names = [*staged.classes, None]
    return [
        Row(names[index], *numbers, record)
        for index, *numbers, record in zip(
            staged.class_index.tolist(),
            staged.key_id.tolist(),
            staged.country.tolist(),
            staged.recognized.tolist(),
            staged.timestamp.tolist(),
            records,
            strict=True,
        )
    ]


@settings(deadline=None)
@given(chunks)
def test_what_is_put_in_comes_out(tmp_path_factory, parts_chunks):
    path = tmp_path_factory.mktemp("parts") / "0.part"
    with PartWriter(path) as writer:
        for source, of_rows, reasons in parts_chunks:
            writer.add(source, build(of_rows, reasons))
        writer.void(2, "damaged")
        writer.finish(1, Position(77, 5))
        writer.publish()
    part = Part(path)
    expected = [
        (source, [row for _, of_rows, _ in added for row in of_rows], [why for *_, reasons in added for why in reasons])
        for source, added in ((source, list(group)) for source, group in groupby(parts_chunks, lambda chunk: chunk[0]))
    ]
    found = [(source, values(staged), [why for _, why in staged.rejects]) for source, staged in part.chunks()]
    assert found == expected
    lines = [line for _, staged in part.chunks() for line in staged.line.tolist()]
    assert lines == [line for _, of_rows, _ in parts_chunks for line in range(100, 100 + len(of_rows))]
    kept = [row.key_id for source, of_rows, _ in parts_chunks for row in of_rows if source != 2]
    assert part.keys({2})[0].tolist() == kept
    footer = part.footer
    assert (footer.slice, footer.after, footer.void) == (1, Position(77, 5), [[2, "damaged"]])
    assert sum(count for source, count in footer.rows if source != 2) == len(kept)


@pytest.fixture(scope="module")
def whole_part(tmp_path_factory):
    path = tmp_path_factory.mktemp("parts") / "0.part"
    with PartWriter(path) as writer:
        writer.add(0, build([Row("cat", 5, 0, 2, 0, b"record")] * 3, ["reason"]))
        writer.add(1, build([Row("dog", 6, 0, 2, 0, b"record")], []))
        writer.finish(None, Position(77, 5))
        writer.publish()
    return path.read_bytes()


def test_damage_anywhere_is_noticed(whole_part, tmp_path):
    path = tmp_path / "0.part"
    expected = None
    for at in range(8, len(whole_part)):
        path.write_bytes(whole_part[:at] + bytes([whole_part[at] ^ 4]) + whole_part[at + 1 :])
        with pytest.raises(ImportFailed, match=r"0\.part is damaged: delete it and run the same command again"):
            expected = list(Part(path).chunks())
        assert expected is None


def test_a_part_that_is_cut_off_is_noticed(whole_part, tmp_path):
    path = tmp_path / "0.part"
    for size in range(len(whole_part)):
        path.write_bytes(whole_part[:size])
        with pytest.raises(ImportFailed, match="is damaged"):
            list(Part(path).chunks())


def test_an_unfinished_part_does_not_get_its_name(tmp_path):
    with PartWriter(tmp_path / "0.part") as writer:
        writer.add(0, build([Row("cat", 5, 0, 2, 0, b"record")], []))
    assert not (tmp_path / "0.part").exists()
