"""Streams: the batches of the contract, in order, whatever shards, sizes, remainders and compressions."""

import gc
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest

import inkstream
from inkstream.prefetch import READERS

WAIT_S = 20


def pipeline(batch_size: int = 64, size: int = 16, encoding: str = "gray", **settings: Any) -> inkstream.Pipeline:
    return inkstream.Pipeline(
        dataset="doodles", batch_size=batch_size, render=inkstream.Render(size=size, encoding=encoding), **settings
    )


def assert_equal(batch: inkstream.Batch, expected: dict[str, np.ndarray], rows: slice = slice(None)) -> None:
    assert list(batch) == list(expected)
    for name, values in expected.items():
        assert batch[name].dtype == values.dtype
        assert np.array_equal(batch[name], values[rows])
        assert batch[name].flags.c_contiguous and batch[name].flags.writeable


@pytest.fixture
def client(fake_server: Any) -> Iterator[inkstream.Client]:
    """Of a server with 1,000 samples."""
    with inkstream.connect(fake_server().address, timeout_s=WAIT_S) as connected:
        yield connected


@pytest.mark.parametrize("compression", ["none", "sparse", "zstd"])
@pytest.mark.parametrize("remainder", ["short", "pad", "drop"])
@pytest.mark.parametrize(("batch_size", "shards"), [(64, 1), (60, 3), (300, 2)])
def test_every_batch_of_two_epochs(
    fake_server: Any, batch_size: int, shards: int, remainder: str, compression: str
) -> None:
    server = fake_server(samples=500)
    asked = pipeline(batch_size, size=9, encoding="thirds", remainder=remainder)
    with inkstream.connect(server.address) as client:
        steps = client.resolve(asked).steps_per_epoch
        for index in range(shards):
            with client.stream(asked, epochs=2, shard=(index, shards), compression=compression) as stream:
                positions = []
                for batch in stream:
                    expected = server.expected(asked, batch.epoch, batch.step)
                    total = len(expected["label"])
                    first, last = index * total // shards, (index + 1) * total // shards
                    assert_equal(batch, expected, slice(first, last))
                    assert (batch.rows, batch.batch_rows) == ((first, last), total)
                    positions.append((batch.epoch, batch.step))
        assert positions == [(epoch, step) for epoch in range(2) for step in range(steps)]


def test_a_stream_goes_on_from_any_cursor(client: inkstream.Client) -> None:
    asked = pipeline(100)
    whole = list(client.stream(asked, epochs=2))
    assert whole[-1].cursor == inkstream.Cursor(2, 0)
    for index, batch in enumerate(whole):
        start = json.loads(json.dumps(batch.cursor))
        rest = list(client.stream(asked, epochs=2, start=start))
        assert [each.cursor for each in rest] == [each.cursor for each in whole[index + 1 :]]
        for each, same in zip(rest, whole[index + 1 :], strict=True):
            assert_equal(each, dict(same))


def test_a_run_that_is_past_its_end_is_over(client: inkstream.Client) -> None:
    assert list(client.stream(pipeline(), epochs=2, start=(7, 0))) == []


def test_endless_streams(client: inkstream.Client) -> None:
    with client.stream(pipeline(500), epochs=None) as stream:
        assert [batch.epoch for batch in islice(stream, 7)] == [0, 0, 1, 1, 2, 2, 3]


def test_shards_without_rows_still_get_their_steps(fake_server: Any) -> None:
    server = fake_server(samples=5)
    asked = pipeline(2)
    with inkstream.connect(server.address) as client:
        shards = [list(client.stream(asked, shard=(index, 3))) for index in range(3)]
    assert [[len(batch["label"]) for batch in shard] for shard in shards] == [[0, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert shards[0][0]["image"].shape == (0, 16, 16, 1)
    assert all(request.shard.index > 0 for request in server.requests)


@pytest.mark.parametrize("compression", ["none", "sparse"])
def test_a_step_that_is_larger_than_a_range_is_asked_for_in_groups_of_chunks(
    fake_server: Any, compression: str
) -> None:
    server = fake_server(samples=40)
    asked = pipeline(24, size=512, encoding="thirds")  # 18 MiB a batch, and a short one of 16 rows
    with inkstream.connect(server.address) as client, client.stream(asked, compression=compression) as stream:
        for batch in stream:
            assert_equal(batch, server.expected(asked, batch.epoch, batch.step))
    asked_for = sorted((request.first_step, request.first_chunk, request.chunks) for request in server.requests)
    rows = {"none": 1, "sparse": 5}[compression]  # of 768 KiB in a chunk of 1 or 4 MiB
    group = {"none": 21, "sparse": 4}[compression]  # chunks in 16 MiB
    assert asked_for == [
        (step, first, min(group, chunks - first))
        for step, chunks in enumerate((-(-24 // rows), -(-16 // rows)))
        for first in range(0, chunks, group)
    ]


def test_rows_larger_than_a_message(fake_server: Any) -> None:
    server = fake_server(samples=3)
    asked = pipeline(2, size=1280, encoding="thirds")  # 4.9 MB a row
    with inkstream.connect(server.address) as client, client.stream(asked, compression="none") as stream:
        for batch in stream:
            assert_equal(batch, server.expected(asked, batch.epoch, batch.step))


def test_ranges_lie_on_one_grid_wherever_a_stream_starts(fake_server: Any) -> None:
    server = fake_server(samples=200)
    asked = pipeline(1)  # 64 steps make a range
    with inkstream.connect(server.address) as client:
        assert len(list(client.stream(asked, start=(0, 70)))) == 130
    assert sorted((request.first_step, request.steps) for request in server.requests) == [(70, 58), (128, 64), (192, 8)]


BAD_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"epochs": 0}, "epochs must be"),
    ({"epochs": 1.5}, "epochs must be"),
    ({"epochs": True}, "epochs must be"),
    ({"start": (0,)}, "start must be"),
    ({"start": (0, -1)}, "start must be"),
    ({"start": (0, 1 << 63)}, "start must be"),
    ({"start": "0"}, "start must be"),
    ({"shard": (1, 1)}, "shard must be"),
    ({"shard": (-1, 2)}, "shard must be"),
    ({"shard": (0, 65_537)}, "count at most 65,536"),
    ({"shard": 3}, "shard must be"),
    ({"compression": "lz4"}, "compression must be one of none, sparse, zstd, got 'lz4'"),
    ({"memory_bytes": -1}, "memory_bytes must be"),
    ({"memory_bytes": "1 GiB"}, "memory_bytes must be"),
    ({"pipeline": "doodles"}, "pipeline must be a Pipeline, got str"),
    ({"pipeline": pipeline(64, remainder="pad"), "shard": (0, 5)}, "divisible by the number of shards, got 64 and 5"),
    ({"pipeline": pipeline(64, remainder="drop"), "shard": (0, 5)}, "divisible by the number of shards, got 64 and 5"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS)
def test_arguments_that_make_no_sense_are_refused_before_any_wait(arguments: dict[str, Any], message: str) -> None:
    with inkstream.connect("127.0.0.1:1", timeout_s=1000) as client:  # nobody listens there
        with pytest.raises(inkstream.InvalidRequest, match=message):
            client.stream(**({"pipeline": pipeline()} | arguments))


def test_a_start_past_the_epoch_is_refused(client: inkstream.Client) -> None:
    with pytest.raises(inkstream.InvalidRequest, match="within the epoch's 16 steps, got step 16"):
        client.stream(pipeline(), start=(0, 16))


def test_a_budget_that_cannot_hold_a_batch_is_refused(client: inkstream.Client) -> None:
    with pytest.raises(
        inkstream.InvalidRequest, match=r"memory_bytes must be at least [\d,]+ .* got 100,000: raise it"
    ):
        client.stream(pipeline(), memory_bytes=100_000)


def test_no_more_is_asked_for_than_the_budget_holds(fake_server: Any) -> None:
    server = fake_server(samples=3000)
    asked = pipeline(16, size=64)  # 64 KiB a batch, 64 batches a range
    batch_bytes = 16 * (64 * 64 + 13)
    budget = 20 << 20  # two ranges, with their messages
    with inkstream.connect(server.address) as client, client.stream(asked, memory_bytes=budget) as stream:
        for delivered, batch in enumerate(stream):
            outstanding = sum(request.steps for request in list(server.requests)) - delivered
            assert outstanding * batch_bytes <= budget
            assert_equal(batch, server.expected(asked, batch.epoch, batch.step))
    assert delivered == 187


def test_the_least_budget_is_enough(fake_server: Any) -> None:
    server = fake_server(samples=90)
    for asked in (pipeline(1), pipeline(12, size=512, encoding="thirds"), pipeline(50, size=64)):
        with inkstream.connect(server.address) as client:
            with pytest.raises(inkstream.InvalidRequest) as refused:
                client.stream(asked, memory_bytes=0)
            least = int(str(refused.value).split()[5].replace(",", ""))
            with client.stream(asked, memory_bytes=least) as stream:
                assert sum(len(batch["label"]) for batch in stream) == 90


def test_arrays_belong_to_the_caller(client: inkstream.Client) -> None:
    """Kept arrays stay as they are, whatever comes later; freed ones may be used again."""
    asked = pipeline(100, size=64)  # large enough for their memory to be used again
    kept, copies = [], []
    for index, batch in enumerate(client.stream(asked, epochs=4)):
        if index % 3:
            kept.append(batch["image"])
            copies.append(batch["image"].copy())
    assert all(np.array_equal(array, copy) for array, copy in zip(kept, copies, strict=True))


def test_a_batch_is_a_mapping(client: inkstream.Client) -> None:
    (batch,) = client.stream(pipeline(1000))
    assert dict(batch).keys() == {"image", "label", "key_id", "mask"}
    assert len(batch) == 4 and "image" in batch and "mixup" not in batch
    assert repr(batch).startswith("Batch(epoch=0, step=0, image uint8 [1000, 16, 16, 1], label int32 [1000],")
    with pytest.raises(KeyError):
        batch["mixup"]


def test_stats_say_what_was_done(fake_server: Any) -> None:
    server = fake_server(samples=1000)
    with inkstream.connect(server.address) as client, client.stream(pipeline(100), epochs=2) as stream:
        assert stream.stats().batches == 0
        list(stream)
    stats = stream.stats()
    assert (stats.batches, stats.rows, stats.retries, stats.blank_rows) == (20, 2000, 0, 0)
    assert stats.wait_s > 0
    assert stats.servers.keys() == {server.address}
    of_server = stats.servers[server.address]
    assert (of_server.chunks, of_server.rows, of_server.failures) == (20, 2000, 0)
    assert of_server.wire_bytes == stats.wire_bytes > 2000 * 13


def test_datasets_and_what_a_pipeline_yields(fake_server: Any) -> None:
    server = fake_server(samples=100)
    with inkstream.connect([server.address]) as client:
        (dataset,) = client.datasets()
        assert dataset == client.dataset("doodles")
        assert (dataset.name, dataset.fingerprint, dataset.kind, dataset.samples) == ("doodles", "f1", "drawing", 100)
        assert (dataset.classes, dataset.class_counts) == (("cat", "dog", "The Eiffel Tower"), (100, 0, 0))
        assert dataset.splits["train"].samples == 100
        asked = pipeline(64)
        resolved = client.resolve(asked)
        assert (resolved.pipeline, resolved.samples, resolved.steps_per_epoch) == (asked, 100, 2)
        assert (resolved.fingerprint, resolved.renderer_version, len(resolved.digest)) == ("f1", 3, 32)
        assert resolved.classes == dataset.classes
        assert [(spec.name, spec.dtype, spec.shape) for spec in resolved.tensors] == [
            ("image", np.uint8, (64, 16, 16, 1)),
            ("label", np.int32, (64,)),
            ("key_id", np.uint64, (64,)),
            ("mask", np.uint8, (64,)),
        ]


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("inkstream-reader")]


def test_closing_ends_every_thread_in_mid_stream(client: inkstream.Client) -> None:
    with client.stream(pipeline(10), epochs=None) as stream:
        next(stream)
        assert len(readers()) == READERS
    assert readers() == []
    with pytest.raises(inkstream.InvalidRequest, match="the stream is closed"):
        next(stream)
    stream.close()


def test_stats_say_what_is_ready_and_what_the_readers_do(client: inkstream.Client) -> None:
    deadline = time.monotonic() + WAIT_S
    with client.stream(pipeline(10), epochs=1) as stream:
        while (stats := stream.stats()).ready_batches < 100:  # all of them fit into the budget
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)
        (server,) = stats.servers.values()
        assert server.wait_s > 0 and server.decode_s > 0 and stats.wait_s == 0
        next(stream)
        assert stream.stats().ready_batches == 99


def test_closing_the_client_closes_its_streams(fake_server: Any) -> None:
    client = inkstream.connect(fake_server().address)
    streams = [client.stream(pipeline(10, seed=seed), epochs=None) for seed in range(2)]
    assert all(len(next(stream)) == 4 for stream in streams)
    client.close()
    assert readers() == []
    with pytest.raises(inkstream.InvalidRequest, match="the client is closed"):
        client.datasets()


def test_a_stream_that_is_forgotten_ends(fake_server: Any) -> None:
    next(inkstream.connect(fake_server().address).stream(pipeline(10), epochs=None))
    gc.collect()
    for thread in readers():
        thread.join(WAIT_S)
    assert readers() == []


def test_closing_ends_a_wait_in_another_thread(fake_server: Any) -> None:
    server = fake_server()
    server.always = server.stall
    ended = threading.Event()
    with inkstream.connect(server.address) as client:
        stream = client.stream(pipeline())

        def consume() -> None:
            with pytest.raises(inkstream.InvalidRequest, match="the stream is closed"):
                next(stream)
            ended.set()

        threading.Thread(target=consume, daemon=True).start()
        assert server.stalled.wait(WAIT_S)
        stream.close()
        assert ended.wait(WAIT_S)


def test_two_threads_may_share_a_stream(client: inkstream.Client) -> None:
    taken: list[tuple[int, int]] = []
    with client.stream(pipeline(10)) as stream:
        threads = [
            threading.Thread(target=lambda: taken.extend((batch.epoch, batch.step) for batch in stream))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
    assert sorted(taken) == [(0, step) for step in range(100)]


CONSUMER = """
import inkstream, os, sys
client = inkstream.connect(sys.argv[1])
pipeline = inkstream.Pipeline(dataset="doodles", batch_size=64, render=inkstream.Render(size=16))
stream = client.stream(pipeline, epochs=None)
print(next(stream).step, flush=True)
"""


def consume(address: str, more: str) -> subprocess.Popen[str]:
    """A process that takes one batch and goes on with `more`."""
    command = [sys.executable, "-c", CONSUMER + more, address]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_program_may_end_without_closing_anything(fake_server: Any) -> None:
    output, errors = consume(fake_server().address, "").communicate(timeout=WAIT_S)
    assert (output, errors) == ("0\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_ctrl_c_ends_a_wait(fake_server: Any) -> None:
    server = fake_server()
    process = consume(server.address, "for batch in stream: pass")
    assert process.stdout is not None
    assert process.stdout.readline() == "0\n"
    server.always = server.stall
    assert server.stalled.wait(WAIT_S)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=5)
    assert "KeyboardInterrupt" in errors.splitlines()[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="has no fork")
def test_a_forked_child_is_told_so(fake_server: Any) -> None:
    child = """
if os.fork() == 0:
    for use in (lambda: next(stream), stream.stats, client.datasets, lambda: client.stream(pipeline)):
        try:
            use()
        except inkstream.ForkedClient as error:
            print(type(error).__name__, "connect in each process" in str(error), flush=True)
    stream.close()
    client.close()
    os._exit(0)
os.wait()
print(next(stream).step)
"""
    output, errors = consume(fake_server().address, child).communicate(timeout=WAIT_S)
    assert output.splitlines() == ["0", *4 * ["ForkedClient True"], "1"], errors
