"""The invariants of the design, through the whole path: import, server process, network, client."""

import hashlib
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inkstream
from batch_server.rendering import RENDERER_VERSION
from batch_server.store.reader import Dataset

SAMPLES = 2311
EPOCHS = 2
AUGMENT = inkstream.Augment(
    rotate_deg=10,
    shift=0.05,
    scale=(0.9, 1.1),
    stroke_dropout=0.1,
    jitter=0.01,
    line_width=(0.8, 1.25),
    crop=0.1,
    erase=inkstream.Erase(),
)


def pipeline(batch_size: int, **settings: Any) -> inkstream.Pipeline:
    render = inkstream.Render(size=32, encoding="thirds")
    defaults = {"split": "all", "seed": 7, "render": render, "augment": AUGMENT}
    return inkstream.Pipeline(dataset="scribbles", batch_size=batch_size, **(defaults | settings))


def stream(address: str, asked: inkstream.Pipeline, **options: Any) -> list[inkstream.Batch]:
    with inkstream.connect(address) as client, client.stream(asked, epochs=EPOCHS, **options) as batches:
        return list(batches)


def digest(*shards: list[inkstream.Batch]) -> str:
    """Of every position and tensor of the global batches that the shards make up, in order."""
    state = hashlib.sha256()
    for parts in zip(*shards, strict=True):
        (position,) = {(part.epoch, part.step) for part in parts}
        state.update(f"{position}".encode())
        for name in ("image", "label", "key_id", "mask"):
            tensor = np.concatenate([part[name] for part in parts])
            state.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
            state.update(tensor.data)
    return state.hexdigest()


@pytest.mark.parametrize("shards", [1, 2, 5])
@pytest.mark.parametrize("batch_size", [7, 64, 1000])
def test_each_sample_once_per_epoch_and_shards_are_slices(server: Any, batch_size: int, shards: int) -> None:
    whole = stream(server.address, pipeline(batch_size))
    for epoch in range(EPOCHS):
        key_ids = np.concatenate([batch["key_id"] for batch in whole if batch.epoch == epoch])
        assert len(key_ids) == len(np.unique(key_ids)) == SAMPLES
    if shards == 1:
        return
    parts = [stream(server.address, pipeline(batch_size), shard=(index, shards)) for index in range(shards)]
    for batch, *pieces in zip(whole, *parts, strict=True):
        assert {(piece.epoch, piece.step) for piece in pieces} == {(batch.epoch, batch.step)}
        for name, tensor in batch.items():
            assert np.array_equal(np.concatenate([piece[name] for piece in pieces]), tensor)


def test_augmentation_does_not_depend_on_batch_size_or_order(server: Any) -> None:
    def by_key(batches: list[inkstream.Batch]) -> dict[tuple[int, int], bytes]:
        return {
            (batch.epoch, int(key_id)): image.tobytes()
            for batch in batches
            for key_id, image in zip(batch["key_id"], batch["image"], strict=True)
        }

    reference = by_key(stream(server.address, pipeline(64)))
    assert len(reference) == EPOCHS * SAMPLES
    assert by_key(stream(server.address, pipeline(1000, shuffle=False))) == reference


def test_epochs_and_seeds_differ(server: Any) -> None:
    first, second = (
        [batch for batch in stream(server.address, pipeline(SAMPLES)) if batch.epoch == epoch] for epoch in (0, 1)
    )
    other = stream(server.address, pipeline(SAMPLES, seed=8))
    assert not np.array_equal(first[0]["key_id"], second[0]["key_id"])
    assert not np.array_equal(first[0]["key_id"], other[0]["key_id"])
    # Seed 8, epoch 0 must not be seed 7, epoch 1.
    assert not np.array_equal(second[0]["key_id"], other[0]["key_id"])


def test_a_stream_goes_on_from_any_cursor(server: Any) -> None:
    whole = stream(server.address, pipeline(100))
    for position in (0, 3, 22, 23, len(whole) - 2):
        rest = stream(server.address, pipeline(100), start=whole[position].cursor)
        assert digest(rest) == digest(whole[position + 1 :])


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_compression_changes_no_tensor(server: Any, compression: str) -> None:
    asked = pipeline(64)
    assert digest(stream(server.address, asked, compression=compression)) == digest(stream(server.address, asked))


# What makes glibc, Numba, NumPy and OpenCV behave as on an older processor.
EMULATED = {
    "x86-64": {
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F",
        "NUMBA_CPU_NAME": "x86-64",
        "NUMBA_CPU_FEATURES": "",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4",
        "OPENCV_CPU_DISABLE": "SSE4.1,SSE4.2,AVX,FP16,AVX2,AVX512-SKX",
    },
    "x86-64-v3": {
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F",
        "NUMBA_CPU_NAME": "x86-64-v3",
        "NUMBA_CPU_FEATURES": "",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4",
        "OPENCV_CPU_DISABLE": "AVX512-SKX",
    },
}


THREADS = ("1", "4")


@pytest.fixture(scope="module")
def servers(server: Any, server_process: Any, data_dir: Path) -> Any:
    """Five servers by name, all of them different: in threads, and in the processor that they believe to run on."""
    emulate = os.uname().machine == "x86_64"
    with ThreadPoolExecutor() as pool:  # the first time, the emulated ones compile the kernels anew
        starting = {
            f"{threads} threads": pool.submit(server_process, data_dir, "--threads", threads)
            for threads in (THREADS if emulate else (*THREADS, "2", "3"))
        }
        for name, settings in EMULATED.items() if emulate else ():
            starting[name] = pool.submit(server_process, data_dir, env=settings)
    try:
        yield {"all cores": server} | {name: other.result() for name, other in starting.items()}
    finally:
        for other in starting.values():
            if other.exception() is None:
                other.result().stop(signal.SIGKILL)


@pytest.mark.parametrize("style", ["antialiased", "classic"])
def test_equal_after_a_restart_at_any_thread_count_and_on_every_processor(servers: dict[str, Any], style: str) -> None:
    augment = AUGMENT if style == "antialiased" else inkstream.Augment(rotate_deg=10, shift=0.05, scale=(0.9, 1.1))
    render = inkstream.Render(size=48, encoding="rainbow", style=style)
    asked = pipeline(64, render=render, augment=augment)
    found = {name: digest(stream(one.address, asked)) for name, one in servers.items()}
    assert len(found) == 5
    assert len(set(found.values())) == 1, found


# 61 KiB a row, so that two epochs have 18 ranges: one in 1,500 times one of three servers gets none of them.
MANY_RANGES = pipeline(64, render=inkstream.Render(size=144, encoding="thirds"))


@pytest.fixture(scope="module")
def undisturbed(server: Any) -> str:
    """The digest of two epochs of `MANY_RANGES` from one good server."""
    return digest(stream(server.address, MANY_RANGES))


@pytest.mark.parametrize("trainers", [1, 2, 4])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_equal_for_any_number_of_servers_and_trainers(
    servers: dict[str, Any], undisturbed: str, count: int, trainers: int
) -> None:
    addresses = [one.address for one in servers.values()][-count:]

    def train(index: int) -> tuple[list[inkstream.Batch], set[str]]:
        with inkstream.connect(addresses) as client:
            with client.stream(MANY_RANGES, epochs=EPOCHS, shard=(index, trainers)) as batches:
                got = list(batches)
                return got, {address for address, one in batches.stats().servers.items() if one.rows}

    with ThreadPoolExecutor(trainers) as pool:
        shards, asked = zip(*pool.map(train, range(trainers)), strict=True)
    assert digest(*shards) == undisturbed
    assert len(set.union(*asked)) >= min(count, 2), "one server delivered everything"


@pytest.fixture(scope="module", params=[RENDERER_VERSION + 1, RENDERER_VERSION], ids=["version", "pixels"])
def other_renderer(request: pytest.FixtureRequest, server_process: Any, data_dir: Path) -> Any:
    """A server that draws other pixels, with another version number or in spite of an equal one."""
    command = (sys.executable, "-m", "tests.other_renderer", str(request.param))
    running = server_process(data_dir, command=command)
    yield running
    running.stop(signal.SIGKILL)


@pytest.mark.parametrize("place", [0, 2], ids=["first", "last"])
def test_a_server_of_another_renderer_is_left_out_by_name(
    servers: dict[str, Any], undisturbed: str, other_renderer: Any, place: int, caplog: pytest.LogCaptureFixture
) -> None:
    good = [servers["all cores"].address, servers["1 threads"].address]
    addresses = [*good[:place], other_renderer.address, *good[place:]]
    with inkstream.connect(addresses) as client:
        # Whoever answers first decides what the run is; nothing of the other kind may then be in it.
        by_other = client.resolve(MANY_RANGES).renderer == renderer_of(other_renderer.address)
        with client.stream(MANY_RANGES, epochs=EPOCHS) as batches:
            got = digest(list(batches))
            rows = {address: one.rows for address, one in batches.stats().servers.items()}
    left_out = good if by_other else [other_renderer.address]
    assert not any(rows[address] for address in left_out)
    assert any(address in caplog.text for address in left_out)
    expected = digest(stream(other_renderer.address, MANY_RANGES)) if by_other else undisturbed
    assert got == expected
    assert (got == undisturbed) != by_other


def renderer_of(address: str) -> object:
    with inkstream.connect(address) as client:
        return client.resolve(MANY_RANGES).renderer


@pytest.mark.parametrize("part", ["records", "label", "key_id"])
def test_a_corrupted_copy_is_routed_around(
    servers: dict[str, Any], undisturbed: str, data_dir: Path, tmp_path: Path, start_server: Any, part: str
) -> None:
    copy = bytearray((data_dir / "scribbles.lmdb").read_bytes())
    for start, length in Dataset.open(data_dir / "scribbles.lmdb").places[part]:
        for position in range(start + length // 2, start + length, 100):  # so that no range escapes
            copy[position] ^= 1
    (tmp_path / "scribbles.lmdb").write_bytes(copy)
    corrupted = start_server(tmp_path)
    addresses = [servers["all cores"].address, corrupted.address, servers["1 threads"].address]
    with inkstream.connect(addresses) as client, client.stream(MANY_RANGES, epochs=EPOCHS) as batches:
        got = digest(list(batches))
        stats = batches.stats()
    assert got == undisturbed
    assert stats.blank_rows == 0
    assert stats.servers[corrupted.address].failures
