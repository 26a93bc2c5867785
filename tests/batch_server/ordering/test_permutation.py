import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_server.ordering.permutation import permute

SEEDS = st.integers(0, 2**64 - 1)
EPOCHS = st.integers(0, 2**31)


@settings(deadline=None)
@given(size=st.integers(1, 5000), seed=SEEDS, epoch=EPOCHS)
def test_is_a_bijection(size: int, seed: int, epoch: int) -> None:
    order = permute(np.arange(size), size, seed, epoch)
    assert np.array_equal(np.sort(order), np.arange(size))


@pytest.mark.parametrize("size", [2**16 - 1, 2**16, 2**16 + 1, 1_000_003])
def test_is_a_bijection_of_large_domains(size: int) -> None:
    order = permute(np.arange(size), size, 7, 0)
    assert np.array_equal(np.bincount(order, minlength=size), np.ones(size))


@settings(deadline=None)
@given(size=st.integers(2**32, 2**40), seed=SEEDS, start=st.integers(0, 2**32 - 1000))
def test_stays_within_huge_domains_without_repeating(size: int, seed: int, start: int) -> None:
    order = permute(np.arange(start, start + 1000), size, seed, 0)
    assert order.min() >= 0
    assert order.max() < size
    assert len(np.unique(order)) == 1000


@settings(deadline=None)
@given(size=st.integers(1, 5000), positions=st.lists(st.integers(0, 4999), max_size=50), seed=SEEDS, epoch=EPOCHS)
def test_a_position_leads_to_the_same_place_whatever_is_asked_with_it(
    size: int, positions: list[int], seed: int, epoch: int
) -> None:
    asked = np.array(positions, np.int64) % size
    assert np.array_equal(permute(asked, size, seed, epoch), permute(np.arange(size), size, seed, epoch)[asked])


def test_seeds_and_epochs_give_orders_of_their_own() -> None:
    # With seed + epoch, (1, 1), (2, 0) and (0, 2) would be one order.
    orders = {permute(np.arange(50), 50, seed, epoch).tobytes() for seed in range(20) for epoch in range(20)}
    assert len(orders) == 400


@pytest.mark.parametrize("size", [2, 3, 5, 10, 16, 33])
def test_every_sample_is_as_likely_everywhere(size: int) -> None:
    epochs = 4000
    counts = np.zeros((size, size))
    for epoch in range(epochs):
        counts[np.arange(size), permute(np.arange(size), size, 11, epoch)] += 1
    expected = epochs / size
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    freedom = (size - 1) ** 2
    assert abs(chi_squared - freedom) < 5 * (2 * freedom) ** 0.5


def test_neighbours_do_not_stay_together() -> None:
    order = permute(np.arange(100_000), 100_000, 3, 1)
    distance = np.abs(np.diff(order))
    assert abs(distance.mean() / 100_000 - 1 / 3) < 0.01
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.02


def test_the_order_stays_what_it_is() -> None:
    """Runs that are resumed, and batches that are drawn again, rely on it."""
    assert permute(np.arange(10), 1000, 7, 3).tolist() == [689, 244, 764, 178, 859, 270, 792, 858, 360, 6]
    assert permute(np.arange(3), 50_000_000, 2**64 - 1, 1).tolist() == [3929628, 24014863, 27329774]
