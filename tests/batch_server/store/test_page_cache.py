"""Asking ahead and reading everything, on a file whose pages the system has forgotten."""

import ctypes
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batch_server.store.errors import UnreadableDataset
from batch_server.store.reader import Dataset
from batch_server.store.warming import read_into_memory

DEADLINE_S = 60.0


def pages_in_memory(path: Path) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether each page of a file is in the page cache."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        data = np.frombuffer(mapped, np.uint8)
        found = np.zeros(-(-len(data) // mmap.PAGESIZE), np.uint8)
        mincore = ctypes.CDLL(None).mincore
        assert not mincore(
            ctypes.c_void_p(data.ctypes.data), ctypes.c_size_t(len(data)), ctypes.c_void_p(found.ctypes.data)
        )
        del data
    return (found & 1).astype(bool)


def forget(path: Path) -> None:
    """Empties the page cache of a file."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if pages_in_memory(path).any():
        pytest.skip("this file system keeps its files in memory")


@pytest.fixture(scope="module")
def path(drawings: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cold") / "cold.lmdb"
    drawings(8 * 1024).write(path)
    return path


def test_what_is_asked_for_comes_into_memory_by_itself(path: Path) -> None:
    dataset = Dataset.open(path)
    dataset.file.exceeds_memory()
    forget(path)
    dataset.ask_ahead(np.arange(5 * 1024, 6 * 1024), ["key_id"])
    key_ids, length = dataset.places["key_id"][0]
    places = [tuple(dataset.places["records"][5]), (key_ids + length * 5 // 8, length // 8)]
    deadline = time.monotonic() + DEADLINE_S
    for start, length in places:
        within = slice(start // mmap.PAGESIZE + 1, (start + length) // mmap.PAGESIZE)
        assert within.start < within.stop
        while not pages_in_memory(path)[within].all():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_of_a_file_larger_than_memory_only_what_is_asked_for(path: Path) -> None:
    dataset = Dataset.open(path)
    dataset.file.exceeds_memory()
    forget(path)
    before = pages_in_memory(path).sum()
    dataset.ask_ahead(np.array([1024, -1]), [])
    dataset.records(np.array([1024]))
    assert 0 < pages_in_memory(path).sum() - before <= 6  # offsets, checksum and record, each perhaps on two pages


def test_asking_for_what_is_not_there_is_refused(path: Path) -> None:
    dataset = Dataset.open(path)
    with pytest.raises(ValueError, match="indices must be from 0 to 8,191"):
        dataset.ask_ahead(np.array([8192]), [])
    with pytest.raises(ValueError, match="a column is one of"):
        dataset.ask_ahead(np.array([0]), ["colour"])


def read(dataset: Dataset, records: bool) -> list[tuple[int, int]]:
    """Reads a dataset into memory; returns what was told."""
    told: list[tuple[int, int]] = []
    read_into_memory(
        dataset,
        records=records,
        tell=lambda done, total: told.append((done, total)),
        stopped=lambda: False,
    )
    return told


def test_a_dataset_is_read_into_memory_whole(path: Path) -> None:
    forget(path)
    told = read(Dataset.open(path), records=True)
    assert pages_in_memory(path).all()
    assert told[0] == (0, path.stat().st_size)
    assert told[-1] == (path.stat().st_size, path.stat().st_size)
    assert told == sorted(told)


def test_without_its_records_that_is_what_every_batch_needs(path: Path) -> None:
    dataset = Dataset.open(path)
    dataset.file.exceeds_memory()
    forget(path)
    told = read(dataset, records=False)
    assert told[-1][0] == told[-1][1] < path.stat().st_size / 2
    held = pages_in_memory(path)
    assert not held.all()
    forgotten = held.sum()
    for name in dataset.columns:
        dataset.take(name, np.arange(dataset.samples))
    assert pages_in_memory(path).sum() == forgotten  # nothing had to be read


def test_reading_stops_when_it_is_told_to(path: Path) -> None:
    forget(path)
    read_into_memory(Dataset.open(path), records=True, tell=lambda done, total: None, stopped=lambda: True)
    assert not pages_in_memory(path).all()


def test_a_file_that_was_cut_short_meanwhile_is_told(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.lmdb"
    copy.write_bytes(path.read_bytes())
    dataset = Dataset.open(copy)
    os.truncate(copy, 8192)
    with pytest.raises(UnreadableDataset, match="was cut short at byte 8,192"):
        read_into_memory(dataset, records=True, tell=lambda done, total: None, stopped=lambda: False)
