"""The status page, made of values."""

from html.parser import HTMLParser

import pytest

from batch_server.serving.chunk_cache import CacheSnapshot
from batch_server.serving.figures import RangeOf, StreamReport, WaitingFor
from batch_server.serving.status_page import DatasetLine, Status, status_page, verdict

NASTY = "<b onload='x'>&\"{x}$y"


def report(
    client: float = 0.0, drawing: float = 0.0, memory: float = 0.0, rows_per_s: float = 50.0, demand: float = 0.0
) -> StreamReport:
    whose = RangeOf("ipv4:192.0.2.7:1234", 0xABC, NASTY, "digest", NASTY, (1, 4), demand)
    waits = {WaitingFor.CLIENT: client, WaitingFor.DRAWING: drawing, WaitingFor.MEMORY: memory}
    return StreamReport(whose, 2, rows_per_s, 1e6, waits | {WaitingFor.NOTHING: 1 - sum(waits.values())})


def status(streams: list[StreamReport]) -> Status:
    return Status(
        address="0.0.0.0:50051",
        threads=2,
        busy_threads=1.5,
        open_ranges=3,
        max_ranges=64,
        memory_bytes=12 << 20,
        memory_limit_bytes=1 << 30,
        servers_needed=2.345,
        chunks=CacheSnapshot(hits=2, awaited=1, misses=9, evictions=0, kept_bytes=0, kept_chunks=0),
        datasets=[DatasetLine(NASTY, 1234, 1, 50.0)],
        streams=streams,
    )


class Balanced(HTMLParser):
    """Fails where an element is closed that is not the one opened last; collects tags and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: set[str] = set()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("shows_all", [True, False])
def test_the_page_is_whole_and_runs_nothing_that_others_wrote(shows_all: bool) -> None:
    page = Balanced()
    page.feed(status_page(status([report(client=0.5)]), shows_all))
    assert page.open == []
    assert not page.tags & {"script", "b onload", "link", "iframe", "form"}
    assert "onload" not in page.attributes


def test_only_those_who_may_see_all_see_clients_and_pictures() -> None:
    of_all, of_others = (status_page(status([report()]), shows_all) for shows_all in (True, False))
    assert "192.0.2.7" in of_all and "<img" in of_all
    assert "192.0.2.7" not in of_others and "<img" not in of_others
    assert "0000000000000abc" in of_others and "part 2 of 4" in of_others and "2.35" in of_others
    assert "25%" in of_others  # of the chunks were drawn for somebody else before


def test_thousands_of_streams_do_not_make_a_page_of_thousands() -> None:
    page = status_page(status([report()] * 3000), shows_all=True)
    assert "and 2,950 more streams" in page and len(page) < 100_000


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (report(client=0.7, drawing=0.2), "the server waits for the client"),
        (report(client=0.1, drawing=0.6), "the client waits for drawing"),
        (report(client=0.1, drawing=0.2, memory=0.6), "the client waits for memory"),
        (report(client=0.1), "the client waits for the server, which is at work"),
        # Its ranges wait, but it has asked for them ahead and gets all it can take.
        (report(drawing=0.9, rows_per_s=95.0, demand=100.0), "the server waits for the client"),
        (report(drawing=0.9, rows_per_s=60.0, demand=100.0), "the client waits for drawing"),
    ],
)
def test_the_verdict_says_who_waits_for_whom(stream: StreamReport, words: str) -> None:
    assert verdict(stream) == words
