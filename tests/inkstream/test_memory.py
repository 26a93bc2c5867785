"""Memory is used again only when nothing refers to it, and never passes its budget."""

import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkstream.budget import Budget
from inkstream.errors import InvalidRequest
from inkstream.memory import ALIGNMENT_BYTES, Recycler

LARGE = (1 << 19,)
UINT8 = np.dtype("u1")


@given(st.lists(st.integers(0, 40), max_size=4).map(tuple), st.sampled_from(["u1", "<i4", "<u8", "<f4"]))
def test_arrays_are_aligned_and_contiguous(shape: tuple[int, ...], dtype: str) -> None:
    array = Recycler(kept=1).empty(shape, np.dtype(dtype))
    assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
    assert array.ctypes.data % ALIGNMENT_BYTES == 0 or not array.size
    assert array.flags.c_contiguous and array.flags.writeable


def address(array: np.ndarray) -> int:
    return array.ctypes.data


def test_memory_is_used_again_once_it_is_forgotten() -> None:
    recycler = Recycler(kept=1)
    array = recycler.empty(LARGE, UINT8)
    first = address(array)
    del array
    assert address(recycler.empty(LARGE, UINT8)) == first


@pytest.mark.parametrize(
    "keep",
    [
        lambda array: array[5:7],
        lambda array: array.view("<i4")[3:],
        lambda array: memoryview(array),
        lambda array: memoryview(array)[9:10],
        lambda array: np.asarray(memoryview(array))[::2],
        lambda array: np.from_dlpack(array),
        lambda array: np.frombuffer(array, np.uint8, 4, 100),
        lambda array: np.lib.stride_tricks.as_strided(array, (3,), (1,)),
        lambda array: iter(array[:9]),
        lambda array: array.flat,
        lambda array: np.ma.masked_array(array[3:4]),
    ],
)
def test_memory_is_not_used_again_while_anything_refers_to_it(keep: object) -> None:
    recycler = Recycler(kept=4)
    array = recycler.empty(LARGE, UINT8)
    array[:] = 7
    kept = keep(array)  # type: ignore[operator]
    first = address(array)
    del array
    gc.collect()
    others = [recycler.empty(LARGE, UINT8) for _ in range(3)]
    assert first not in map(address, others)
    assert kept is not None


def test_no_more_is_kept_than_was_said() -> None:
    recycler = Recycler(kept=2)
    arrays = [recycler.empty(LARGE, UINT8) for _ in range(5)]
    freed = {address(array) for array in arrays}
    assert len(freed) == 5
    del arrays
    # Two come back; a third one from the allocator may lie anywhere.
    assert len(recycler._free) == 2


def test_a_smaller_array_takes_a_larger_block() -> None:
    recycler = Recycler(kept=1)
    first = address(recycler.empty(LARGE, UINT8))
    shorter = recycler.empty((LARGE[0] - 1000,), UINT8)
    assert address(shorter) == first
    del shorter
    assert len(recycler.empty(LARGE, UINT8)) == LARGE[0]


def test_a_budget_is_never_passed() -> None:
    budget = Budget(total_bytes=10, least_bytes=10)
    assert budget.take(6) and not budget.take(5) and budget.take(4) and not budget.take(1)
    budget.give_back(6)
    assert budget.take(5)


def test_a_budget_that_can_hold_nothing_is_refused_with_both_numbers() -> None:
    with pytest.raises(InvalidRequest, match=r"at least 11,000 .* got 10,000: raise it"):
        Budget(total_bytes=10_000, least_bytes=11_000)
