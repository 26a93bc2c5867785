"""Counter-based randomness: values depend on every part, and are spread evenly."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batch_server import randomness

words = st.integers(0, 2**64 - 1)
ROTATE, SHIFT = randomness.operation("rotate"), randomness.operation("shift")


def key(seed: int, epoch: int, key_id: int, visit: int, operation: int) -> int:
    return int(randomness.stream_key(*(np.uint64(word) for word in (seed, epoch, key_id, visit, operation))))


def test_golden_values() -> None:
    # Every batch of every run depends on these numbers: a change is a new renderer version, never an accident.
    assert int(randomness.mix64(np.uint64(1))) == 0x5692161D100B05E5
    assert int(ROTATE) == 0x61F63781A8E4B32E
    assert key(1, 2, 3, 4, 5) == 0xB2683D7A9FEFD21


def test_seed_and_epoch_do_not_add() -> None:
    assert key(1, 1, 9, 0, ROTATE) != key(2, 0, 9, 0, ROTATE)
    assert key(1, 2, 9, 0, ROTATE) != key(2, 1, 9, 0, ROTATE)


@given(st.tuples(words, words, words, words, words), st.integers(0, 4), words)
def test_every_part_matters(parts: tuple[int, ...], place: int, other: int) -> None:
    changed = (*parts[:place], other, *parts[place + 1 :])
    assert (key(*parts) == key(*changed)) == (parts == changed)


def test_operations_and_visits_are_independent() -> None:
    ids = range(20_000)
    rotate = np.array([key(7, 0, i, 0, ROTATE) for i in ids], np.uint64) >> np.uint64(63)
    for other in (
        [key(7, 0, i, 0, SHIFT) for i in ids],
        [key(7, 0, i, 1, ROTATE) for i in ids],
        [key(7, 1, i, 0, ROTATE) for i in ids],
        [key(8, 0, i, 0, ROTATE) for i in ids],
    ):
        agree = np.mean(rotate == np.array(other, np.uint64) >> np.uint64(63))
        assert abs(agree - 0.5) < 0.018  # five standard deviations of a fair coin


def test_uniform_is_uniform() -> None:
    stream = np.uint64(key(1, 2, 3, 0, ROTATE))
    values = np.array([randomness.uniform(stream, np.uint64(i)) for i in range(50_000)])
    assert 0 <= values.min() and values.max() < 1
    counts = np.bincount((values * 16).astype(int), minlength=16)
    chi_square = float(np.sum((counts - 3125.0) ** 2 / 3125.0))
    assert chi_square < 50  # 15 degrees of freedom: exceeded once in 10**5


@given(words, words, st.integers(1, 2**32 - 1))
def test_below_stays_below(stream: int, index: int, n: int) -> None:
    assert 0 <= int(randomness.below(np.uint64(stream), np.uint64(index), np.uint64(n))) < n
