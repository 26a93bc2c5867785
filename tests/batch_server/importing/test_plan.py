"""Tasks cover every byte of every source once, in order."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from batch_server.importing.plan import make_plan
from batch_server.sources.json_lines import OfficialNdjson
from batch_server.sources.official_bin import OfficialBin
from batch_server.sources.opening import Container, Location
from batch_server.sources.rows import START, Position
from batch_server.sources.walk import Source

formats = st.sampled_from((OfficialNdjson(START), OfficialNdjson(Position(3, 1)), OfficialBin("cat"), None))
sources = st.lists(
    st.builds(
        Source,
        st.just("name"),
        st.builds(Location, st.just(Path("/x")), st.sampled_from(Container), st.integers(0, 5)),
        st.integers(4, 5000),
        st.just(1),
        formats,
    ),
    max_size=12,
)


@given(sources, st.integers(10, 2000))
def test_tasks_cover_all_sources_in_order(found, task_bytes):
    plan = make_plan(found, None, task_bytes)
    slices = [piece for task in plan.tasks for piece in task]
    readable = [index for index, source in enumerate(found) if source.format is not None]
    assert sorted({piece.source for piece in slices}) == readable
    assert [piece.source for piece in slices] == sorted(piece.source for piece in slices)
    for index in readable:
        pieces = [piece for piece in slices if piece.source == index]
        assert pieces[0].start == found[index].format.first
        assert pieces[-1].end is None
        assert [piece.end for piece in pieces[:-1]] == [piece.start.offset for piece in pieces[1:]]
        if len(pieces) > 1:
            assert found[index].location.container is Container.PLAIN
            assert found[index].format.made_of_lines
            assert all(piece.end - piece.start.offset <= task_bytes for piece in pieces[:-1])
    for task in plan.tasks:
        assert sum(found[piece.source].size_bytes for piece in task[:-1]) < task_bytes


@given(sources)
def test_the_signature_tells_what_is_imported(found):
    signature = make_plan(found, None).signature
    assert signature == make_plan(list(found), None).signature
    assert signature != make_plan(found, "cat").signature
    for index, source in enumerate(found):
        for changed in (
            source._replace(size_bytes=source.size_bytes + 1),
            source._replace(modified_ns=2),
            source._replace(location=source.location._replace(path=Path("/y"))),
            source._replace(location=source.location._replace(member=6)),
        ):
            assert signature != make_plan([*found[:index], changed, *found[index + 1 :]], None).signature
        assert signature != make_plan(found[:index] + found[index + 1 :], None).signature
