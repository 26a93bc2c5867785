import pytest

from inkstream.diagnosis import Diagnosis, filled_link, needed_link


@pytest.mark.parametrize(
    ("megabytes", "link"), [(1, "1 Gbit/s"), (117, "1 Gbit/s"), (118, "2.5 Gbit/s"), (1170, "10 Gbit/s")]
)
def test_the_slowest_link_that_carries_it_is_needed(megabytes: float, link: str) -> None:
    assert needed_link(megabytes * 1e6) == link


def test_more_than_any_link_carries_is_said() -> None:
    assert needed_link(1e12) == "more than 400 Gbit/s"


@pytest.mark.parametrize(
    ("megabytes", "link"), [(90, None), (112, "1 Gbit/s"), (126, None), (1150, "10 Gbit/s"), (2000, None)]
)
def test_a_link_is_full_near_what_it_carries(megabytes: float, link: str | None) -> None:
    assert filled_link(megabytes * 1e6) == link


def test_people_read_a_sentence_and_points() -> None:
    text = Diagnosis("device", "The device limits.", ("Nothing to do.", "word " * 40)).as_text()
    assert text.splitlines()[:2] == ["The device limits.", "  - Nothing to do."]
    assert all(len(line) <= 100 for line in text.splitlines())
