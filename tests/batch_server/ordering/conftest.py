"""Datasets of which only the columns matter."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from batch_server.drawing.record import pack
from batch_server.store.reader import Dataset
from batch_server.store.records import Records
from batch_server.store.writer import DatasetWriter

CLASSES = ("apple", "car", "cat", "power outlet")
COUNTRIES = (0, int.from_bytes(b"DE", "big"), int.from_bytes(b"US", "big"))


@pytest.fixture(scope="session")
def dataset_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Dataset]:
    """Makes a dataset of given key ids: `dataset_of(key_ids, classes=())`; the other columns are random."""

    def make(key_ids: npt.NDArray[np.uint64], classes: tuple[str, ...] = CLASSES, **columns: Any) -> Dataset:
        n = len(key_ids)
        rng = np.random.default_rng(n)
        dot = Records.of([pack([([1], [2])])])
        records = Records(np.tile(dot.data, n), np.arange(n + 1) * len(dot.data), np.zeros(n, np.bool_))
        random: dict[str, Any] = {
            "key_id": key_ids,
            "label": rng.integers(-1, len(classes), n).astype(np.int32),
            "country": rng.choice(COUNTRIES, n).astype(np.uint16),
            "recognized": rng.integers(0, 3, n).astype(np.uint8),
            "timestamp": np.zeros(n, np.uint32),
        }
        path: Path = tmp_path_factory.mktemp("ordering") / "columns.lmdb"
        with DatasetWriter(path, "drawing", classes) as writer:
            writer.append(records, random | columns)
            writer.finish({})
        return Dataset.open(path)

    return make


@pytest.fixture(scope="session")
def large(dataset_of: Callable[..., Dataset]) -> Dataset:
    """150,001 samples: three blocks of each column, the last one not full."""
    return dataset_of(np.random.default_rng(5).integers(0, 2**64, 150_001, dtype=np.uint64))
