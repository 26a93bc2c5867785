"""The invariants of the design, through the whole path: import, server process, network, client."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inkstream

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


def digest(batches: list[inkstream.Batch]) -> str:
    """Of every position and tensor, in order."""
    state = hashlib.sha256()
    for batch in batches:
        state.update(f"{batch.epoch} {batch.step}".encode())
        for name in ("image", "label", "key_id", "mask"):
            state.update(f"{name} {batch[name].dtype} {batch[name].shape}".encode())
            state.update(np.ascontiguousarray(batch[name]).data)
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


def test_equal_after_a_restart_and_at_any_thread_count(
    data_dir: Path, start_server: Callable[..., Any], server: Any
) -> None:
    expected = digest(stream(server.address, pipeline(64)))
    for threads in ("1", "4"):
        other = start_server(data_dir, "--threads", threads)
        assert digest(stream(other.address, pipeline(64))) == expected


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


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="emulates older processors of this kind")
@pytest.mark.parametrize("style", ["antialiased", "classic"])
def test_equal_on_every_processor(server: Any, emulated_servers: dict[str, Any], style: str) -> None:
    augment = AUGMENT if style == "antialiased" else inkstream.Augment(rotate_deg=10, shift=0.05, scale=(0.9, 1.1))
    render = inkstream.Render(size=48, encoding="rainbow", style=style)
    asked = pipeline(64, render=render, augment=augment)
    expected = digest(stream(server.address, asked))
    for name, emulated in emulated_servers.items():
        assert digest(stream(emulated.address, asked)) == expected, f"emulating {name}"


@pytest.fixture(scope="module")
def emulated_servers(server_process: Any, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server for each emulated processor, with a cache of compiled kernels of its own."""
    running = {}
    for name, settings in EMULATED.items():
        cache = tmp_path_factory.mktemp(f"numba-{name}")
        running[name] = server_process(data_dir, env=settings | {"NUMBA_CACHE_DIR": str(cache)})
    yield running
    for server in running.values():
        server.stop()
