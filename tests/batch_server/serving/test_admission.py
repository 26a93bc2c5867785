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
        first.sending(1),
        second.sending(1),
        admission.stream(never),
    ):
        assert cancelled == ["first"]
        assert admission.streams == 2
    assert admission.streams == 0


def test_a_stream_that_sends_or_draws_is_not_stalled() -> None:
    admission = Admission(1, stalled_after_s=60)
    with admission.stream(never) as only:
        with only.sending(1), pytest.raises(ServerFull), admission.stream(never):
            pass
        assert not admission.cancel_stalled()


@pytest.mark.parametrize(("message_bytes", "seconds", "stalled"), [(16 << 10, 9, True), (4 << 20, 9, False)])
def test_a_client_that_trickles_loses_its_stream_and_one_on_a_slow_network_does_not(
    message_bytes: int, seconds: float, stalled: bool
) -> None:
    now, cancelled = [0.0], []
    admission = Admission(1, stalled_after_s=10, clock=lambda: now[0])
    with admission.stream(lambda: cancelled.append("it")) as only:
        for _ in range(2):
            with only.sending(message_bytes):
                now[0] += seconds
        with only.sending(message_bytes):
            assert admission.cancel_stalled() == bool(cancelled) == stalled


def test_a_call_limit_gives_places_back_after_failures() -> None:
    calls = CallLimit(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), calls.place():
            with pytest.raises(ServerFull), calls.place():
                pass
            raise ZeroDivisionError
