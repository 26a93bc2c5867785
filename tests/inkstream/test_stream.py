"""Streams: the batches of the contract, in order, whatever shards, sizes, remainders and compressions."""

from typing import Any

import numpy as np
import pytest

import inkstream


def pipeline(batch_size: int = 64, **settings: Any) -> inkstream.Pipeline:
    return inkstream.Pipeline(
        dataset="doodles", batch_size=batch_size, **({"render": inkstream.Render(size=16)} | settings)
    )


def assert_equal(batch: inkstream.Batch, expected: dict[str, np.ndarray], rows: slice) -> None:
    assert list(batch) == list(expected)
    for name, values in expected.items():
        assert batch[name].dtype == values.dtype
        assert np.array_equal(batch[name], values[rows])
        assert batch[name].flags.c_contiguous and batch[name].flags.writeable


@pytest.mark.parametrize("compression", ["none", "sparse", "zstd"])
@pytest.mark.parametrize("remainder", ["short", "pad", "drop"])
@pytest.mark.parametrize(("batch_size", "shards"), [(64, 1), (60, 3), (300, 2)])
def test_every_batch_of_two_epochs(
    fake_server: Any, batch_size: int, shards: int, remainder: str, compression: str
) -> None:
    server = fake_server(samples=500)
    asked = pipeline(batch_size, remainder=remainder, render=inkstream.Render(size=9, encoding="thirds"))
    with inkstream.connect(server.address) as client:
        steps = client.resolve(asked).steps_per_epoch
        for index in range(shards):
            with client.stream(asked, epochs=2, shard=(index, shards), compression=compression) as stream:
                positions = []
                for batch in stream:
                    expected = server.expected(asked, batch.epoch, batch.step)
                    total = len(expected["label"])
                    assert_equal(batch, expected, slice(index * total // shards, (index + 1) * total // shards))
                    positions.append((batch.epoch, batch.step))
        assert positions == [(epoch, step) for epoch in range(2) for step in range(steps)]
