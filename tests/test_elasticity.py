"""Servers come, go, freeze and die while a stream runs, and no batch is lost, repeated or another."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inkstream
from tests.server_process import STOP_TIMEOUT_S, ServerProcess

# Some 16 ranges an epoch, few of them in memory at a time.
PIPELINE = inkstream.Pipeline("scribbles", 64, split="all", render=inkstream.Render(size=128, encoding="thirds"))
MEMORY_BYTES = 64 << 20
# More epochs than it ever takes until a server has delivered.
EPOCHS = 100


@pytest.fixture
def servers(server: Any, data_dir: Path) -> Iterator[list[ServerProcess]]:
    """Three servers; they find the kernels that another one has compiled."""
    with ThreadPoolExecutor() as pool:
        starting = [pool.submit(ServerProcess, data_dir, "--drain-delay", "0.5") for _ in range(3)]
    try:
        yield [one.result() for one in starting]
    finally:
        for one in starting:
            if one.exception() is None:
                one.result().stop(signal.SIGKILL)


class Follower:
    """Takes batches in step from a stream under test and from one that is not disturbed, and compares them."""

    def __init__(self, stream: inkstream.Stream, undisturbed: inkstream.Stream):
        self.stream = stream
        self._pairs = zip(stream, undisturbed, strict=True)

    def take(self, batches: int) -> None:
        for _ in range(batches):
            batch, other = next(self._pairs)
            assert (batch.epoch, batch.step) == (other.epoch, other.step)
            for name, values in batch.items():
                assert np.array_equal(values, other[name])

    def take_until_it_delivers(self, server: ServerProcess) -> None:
        before = self.rows_of(server)
        while self.rows_of(server) == before:
            self.take(1)

    def rows_of(self, server: ServerProcess) -> int:
        delivered = self.stream.stats().servers.get(server.address)
        return delivered.rows if delivered else 0


def test_a_stream_outlives_servers_that_are_added_drained_frozen_and_killed(
    server: Any, servers: list[ServerProcess]
) -> None:
    first, second, added = servers
    names = [first.address, second.address]
    with (
        inkstream.connect("dns:///batch-server:50051", resolver=lambda name, port: list(names)) as client,
        inkstream.connect(server.address) as other,
        client.stream(PIPELINE, epochs=EPOCHS, memory_bytes=MEMORY_BYTES) as stream,
        other.stream(PIPELINE, epochs=EPOCHS, memory_bytes=MEMORY_BYTES) as undisturbed,
    ):
        follower = Follower(stream, undisturbed)
        follower.take(5)

        names.append(added.address)
        follower.take_until_it_delivers(added)

        first.process.send_signal(signal.SIGTERM)
        follower.take(20)
        assert first.process.wait(STOP_TIMEOUT_S) == 0, "a range did not end by itself"

        second.process.send_signal(signal.SIGSTOP)
        follower.take(40)
        assert stream.stats().moves + stream.stats().hedges
        second.process.send_signal(signal.SIGCONT)
        follower.take_until_it_delivers(second)

        added.stop(signal.SIGKILL)
        follower.take(40)
        assert stream.stats().blank_rows == 0
