import dataclasses

import pytest

from trainer.doctor.diagnosis import Figures, StepFigures, StreamFigures, diagnose

STREAM = StreamFigures(
    rows_per_s=41_000, wire_bytes=4_000, wire_bytes_per_s=164e6, waiting=0.8, own_cores=0.9, servers=2
)
UNCOMPRESSED = dataclasses.replace(STREAM, rows_per_s=30_000, wire_bytes=16_400, wire_bytes_per_s=492e6)
# A small trainer and two servers far faster than it, each machine to itself.
FED = Figures(
    round_trip_s=0.0004,
    stream=STREAM,
    uncompressed=UNCOMPRESSED,
    resident=StepFigures(rows_per_s=3_100, step_s=0.0826, waiting=0.0),
    fed=StepFigures(rows_per_s=3_080, step_s=0.0831, waiting=0.003),
    cores=16,
    own_cores=1.5,
    other_cores=0.1,
    retries=0,
    moves=0,
)


def changed(stream=None, uncompressed=None, resident=None, fed=None, **others):
    """FED with other figures of its parts."""
    parts = {"stream": stream, "uncompressed": uncompressed, "resident": resident, "fed": fed}
    new = {name: dataclasses.replace(getattr(FED, name), **given) for name, given in parts.items() if given}
    return dataclasses.replace(FED, **new, **others)


HUNGRY = {"resident": {"rows_per_s": 90_000}, "fed": {"rows_per_s": 40_000, "waiting": 0.55}}
# 28,000 compressed or 7,000 uncompressed drawings/s are both about all that 1 Gbit/s carries.
SLOW_LINK = {
    **HUNGRY,
    "stream": {"rows_per_s": 28_000, "wire_bytes_per_s": 112e6},
    "uncompressed": {"rows_per_s": 7_000, "wire_bytes_per_s": 114.8e6},
}


@pytest.mark.parametrize(
    ("figures", "limit", "says"),
    [
        (
            FED,
            "device",
            "it takes 3,100 drawings/s, 2 servers deliver 41,000/s (13.2 times as much), and it waits 0.3%",
        ),
        (changed(stream={"servers": 1}), "device", "one server delivers 41,000/s"),
        (changed(**HUNGRY), "servers", "2 servers deliver 41,000/s, the device could take 90,000 and waits 55%"),
        (changed(**SLOW_LINK), "wire", "it carries 112 MB/s, compressed or not, about all of 1 Gbit/s. That is 28,000"),
        (
            changed(**HUNGRY | {"stream": {"waiting": 0.08}}),
            "client",
            "threads work 92% of their time, on 0.9 processors",
        ),
        (changed(fed={"rows_per_s": 2_000, "waiting": 0.2}), "client", "alone its steps take 3,100 drawings/s"),
    ],
)
def test_what_limits_is_named_with_its_figures(figures, limit, says):
    found = diagnose(figures)
    assert found.limit == limit and says in found.says


@pytest.mark.parametrize(
    ("figures", "limit"),
    [
        # Threads that work all the time are enough where the device takes no more.
        (changed(stream={"waiting": 0.08}), "device"),
        # As many bytes with as without compression say something only where it shrinks.
        (changed(**SLOW_LINK | {"uncompressed": {"wire_bytes": 4_000, "wire_bytes_per_s": 112e6}}), "servers"),
        # More bytes came through without compression: the link has room.
        (changed(**SLOW_LINK | {"uncompressed": {"wire_bytes_per_s": 229.6e6}}), "servers"),
        # A stream just as fast as the step lets it wait now and then.
        (changed(resident={"rows_per_s": 40_500}, fed={"rows_per_s": 36_000}), "servers"),
    ],
)
def test_what_does_not_limit_is_not_blamed(figures, limit):
    assert diagnose(figures).limit == limit


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        (FED, "could feed 12 such trainers"),
        (changed(**HUNGRY), "3 more servers like them"),
        (changed(resident={"rows_per_s": 41_500}, stream={"servers": 1}), "1 more server like it"),
        (changed(**HUNGRY), "`batch-server doctor` on a server's machine"),
        (changed(**HUNGRY, own_cores=9.0, other_cores=6.9), "All 16 processors of this machine are in use"),
        (changed(**HUNGRY, round_trip_s=0.04), "takes 40 ms: nearer servers"),
        (changed(**SLOW_LINK), "A link of 378 MB/s"),
        (changed(**HUNGRY | {"stream": {"waiting": 0.08}}), "--processes"),
        (changed(fed={"rows_per_s": 2_000}), "Leave processors to the input"),
        (changed(fed={"rows_per_s": 2_000}, other_cores=None, own_cores=15.9), "All 16 processors"),
        (changed(fed={"rows_per_s": 4_000}), "figures contradict each other: steps reached 4,000"),
        (changed(retries=3, moves=1), "3 attempts at servers failed and 1 ranges"),
    ],
)
def test_advice_follows_from_the_figures(figures, words):
    assert any(words in text for text in diagnose(figures).advice)


def test_where_nothing_is_wrong_nothing_is_advised():
    assert diagnose(changed(stream={"rows_per_s": 5_000})).advice == ()
