from contextlib import ExitStack

import pytest

from batch_server.serving.admission import Admission, CallLimit
from inkstream.errors import ServerDraining, ServerFull


def never() -> None:
    raise AssertionError("must not be cancelled")


def test_one_stream_too_many_is_told_when_to_come_again() -> None:
    admission = Admission(2)
    with ExitStack() as streams:
        for _ in range(2):
            streams.enter_context(admission.stream(never))
        with pytest.raises(ServerFull, match="all 2 streams") as refused, admission.stream(never):
            pass
        assert refused.value.retry_after_s > 0
        assert admission.streams == 2
    with admission.stream(never):
        assert admission.streams == 1


def test_a_draining_server_lets_nobody_in() -> None:
    admission = Admission(2)
    with admission.stream(never):
        admission.drain()
        with pytest.raises(ServerDraining) as refused, admission.stream(never):
            pass
        assert refused.value.retry_after_s > 0
        assert admission.streams == 1


def test_the_stream_that_stalled_longest_makes_room() -> None:
    admission = Admission(2, stalled_after_s=0)
    cancelled: list[str] = []
    with (
        admission.stream(lambda: cancelled.append("first")) as first,
        admission.stream(lambda: cancelled.append("second")) as second,
        first.sending(),
        second.sending(),
        admission.stream(never),
    ):
        assert cancelled == ["first"]
        assert admission.streams == 2
    assert admission.streams == 0


def test_a_stream_that_sends_or_draws_is_not_stalled() -> None:
    admission = Admission(1, stalled_after_s=60)
    with admission.stream(never) as only:
        with only.sending(), pytest.raises(ServerFull), admission.stream(never):
            pass
        assert not admission.cancel_stalled()


def test_a_call_limit_gives_places_back_after_failures() -> None:
    calls = CallLimit(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), calls.place():
            with pytest.raises(ServerFull), calls.place():
                pass
            raise ZeroDivisionError
