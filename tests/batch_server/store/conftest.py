"""Datasets of made-up drawings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batch_server.drawing.record import pack
from batch_server.store.reader import Dataset
from batch_server.store.records import Records
from batch_server.store.writer import DatasetWriter

CLASSES = ("cat", "power outlet", "The Eiffel Tower")


class Drawings:
    """Records and columns of n drawings, all different."""

    def __init__(self, n: int, seed: int = 1, classes: tuple[str, ...] = tuple(sorted(CLASSES))):
        rng = np.random.default_rng(seed)
        self.classes = classes
        self.records = [
            pack([(rng.bytes(points), rng.bytes(points)) for points in rng.integers(1, 12, rng.integers(1, 5))])
            for _ in range(n)
        ]
        self.columns: dict[str, Any] = {
            "label": rng.integers(-1, len(classes), n).astype(np.int32),
            "key_id": rng.integers(0, 2**64, n, dtype=np.uint64),
            "country": rng.integers(0, 2**16, n, dtype=np.uint16),
            "recognized": rng.integers(0, 3, n).astype(np.uint8),
            "timestamp": rng.integers(0, 2**32, n, dtype=np.uint32),
        }

    def __len__(self) -> int:
        return len(self.records)

    def write(self, path: Path, batch: int = 700, **finish: Any) -> str:
        """Writes them as a dataset in batches; returns the fingerprint."""
        with DatasetWriter(path, "drawing", self.classes) as writer:
            for start in range(0, len(self), batch):
                stop = start + batch
                columns = {name: values[start:stop] for name, values in self.columns.items()}
                writer.append(Records.of(self.records[start:stop]), columns)
            return writer.finish(**{"manifest_extra": {}} | finish)


@pytest.fixture(scope="session")
def drawings() -> Callable[..., Drawings]:
    """Makes drawings: `drawings(2311)`."""
    return Drawings


@pytest.fixture(scope="session")
def read_everything() -> Callable[[Dataset], dict[str, Any]]:
    """All that a dataset holds."""

    def read(dataset: Dataset) -> dict[str, Any]:
        records = dataset.records(np.arange(dataset.samples))
        return {
            "records": [records[i] for i in range(len(records))],
            "rotten": records.rotten.tolist(),
            "columns": {name: np.concatenate(list(dataset.blocks(name))).tolist() for name in dataset.columns},
            "lists": {name: list(dataset.entries(name)) for name in ("rejects", "duplicates", "log")},
            "manifest": dataset.manifest,
        }

    return read
