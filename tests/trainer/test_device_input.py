import threading
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from inkstream.memory import Recycler
from trainer.input import DeviceInput
from trainer.parallel import Parallel, joined

OUTPUTS = np.array([1, -1, 0], np.int32)
WAIT_S = 20


class Batch(dict):
    def __init__(self, number):
        super().__init__(
            image=np.full((4, 2, 2, 1), number, np.uint8),
            label=np.array([0, 1, 2, -1], np.int32),
            key_id=np.arange(4, dtype=np.uint64),
            mask=np.array([1, 1, 0, 1], np.uint8),
        )
        self.epoch, self.step, self.cursor = 0, number, (0, number + 1)


class Source:
    """A stream of `count` batches that counts what was taken, and can be blocked and closed."""

    def __init__(self, count, *, block_at=None, fail_at=None):
        self.count, self.block_at, self.fail_at = count, block_at, fail_at
        self.taken = 0
        self.blocked, self.closed = threading.Event(), threading.Event()

    def __iter__(self):
        return self

    def __next__(self):
        if self.taken == self.count:
            raise StopIteration
        if self.taken == self.fail_at:
            raise ConnectionError("the server is gone")
        if self.taken == self.block_at:
            self.blocked.set()
            assert self.closed.wait(WAIT_S)
            raise RuntimeError("the stream is closed")
        self.taken += 1
        return Batch(self.taken - 1)

    def close(self):
        self.closed.set()


@pytest.fixture
def parallel():
    return Parallel(jax.devices("cpu"))


def test_batches_come_in_order_split_over_the_devices(parallel):
    with DeviceInput(Source(5), parallel, OUTPUTS) as batches:
        seen = list(batches)
    assert [batch.host.step for batch in seen] == [0, 1, 2, 3, 4]
    for batch in seen:
        assert batch.arrays["image"].shape == (2, 2, 2, 2, 1) and batch.arrays["image"].dtype == np.uint8
        assert (joined(batch.arrays["image"]) == batch.host.step).all()
        assert joined(batch.arrays["label"]).tolist() == [1, 0, 0, 0]
        assert joined(batch.arrays["mask"]).tolist() == [1, 0, 0, 0]
        assert not joined(batch.arrays["void"]).any()
        assert len(batch.arrays["image"].sharding.device_set) == 2


def test_without_labels_the_mask_is_that_of_the_stream(parallel):
    with DeviceInput(Source(1), parallel, OUTPUTS, labelled=False) as batches:
        assert joined(next(batches).arrays["mask"]).tolist() == [1, 1, 0, 1]


def test_only_one_batch_is_put_ahead(parallel):
    source = Source(50)
    placed = []
    split = parallel.split
    recorded = SimpleNamespace(split=lambda batch: placed.append(1) or split(batch))
    with DeviceInput(source, recorded, OUTPUTS) as batches:
        for number, _ in enumerate(batches):
            assert len(placed) <= number + 2 and source.taken <= number + 3


def test_the_next_batch_is_put_on_the_devices_while_the_caller_works(parallel):
    second = threading.Event()
    placed = []

    def split(batch):
        arrays = parallel.split(batch)
        placed.append(arrays)
        if len(placed) == 2:
            second.set()
        return arrays

    with DeviceInput(Source(50), SimpleNamespace(split=split), OUTPUTS) as batches:
        next(batches)
        assert second.wait(WAIT_S)  # nobody has asked for it


def test_on_cpu_pictures_are_not_copied(parallel):
    """They stay where the client decoded them: nothing may write there as long as a device uses them."""
    images = Recycler(1).empty((4, 16, 16, 1), np.dtype(np.uint8))
    (shard, other) = parallel.split({"image": images})["image"].addressable_shards
    assert shard.data.unsafe_buffer_pointer() == images.ctypes.data
    assert other.data.unsafe_buffer_pointer() == images[2:].ctypes.data


def test_an_error_of_the_stream_is_raised_where_the_batch_was_awaited(parallel):
    with DeviceInput(Source(9, fail_at=2), parallel, OUTPUTS) as batches:
        assert next(batches).host.step == 0
        assert next(batches).host.step == 1
        with pytest.raises(ConnectionError, match="gone"):
            next(batches)


def test_leaving_closes_a_stream_that_blocks(parallel):
    source = Source(9, block_at=1)
    entered = DeviceInput(source, parallel, OUTPUTS)
    with entered as batches:
        next(batches)
        assert source.blocked.wait(WAIT_S)
    assert source.closed.is_set() and not entered._thread.is_alive()


def test_leaving_early_ends_the_thread(parallel):
    entered = DeviceInput(Source(1000), parallel, OUTPUTS)
    with entered as batches:
        next(batches)
    assert not entered._thread.is_alive()


def test_a_request_to_stop_ends_a_wait(parallel):
    source = Source(9, block_at=1)
    with DeviceInput(source, parallel, OUTPUTS, stopping=source.blocked.is_set) as batches:
        assert [batch.host.step for batch in batches] in ([0], [])  # and returns, though no batch comes
        assert source.blocked.wait(WAIT_S)


def test_waiting_is_measured(parallel):
    with DeviceInput(Source(2), parallel, OUTPUTS) as batches:
        first, second = batches
    assert first.wait_s > 0 and second.asked_at >= first.asked_at + first.wait_s
