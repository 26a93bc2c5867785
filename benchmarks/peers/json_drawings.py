"""The dataset as users of other loaders would keep it: an LMDB file with one drawing a value, as JSON text."""

from pathlib import Path

import lmdb
import numpy as np
import orjson

from batch_server.drawing.record import unpack
from batch_server.store.reader import Dataset

_READ_AT_ONCE = 4096


def write_json(dataset: Path, path: Path) -> None:
    """Writes the drawings of a dataset under their numbers, 8 bytes each, the highest first."""
    opened = Dataset.open(dataset)
    with lmdb.open(str(path), subdir=False, map_size=1 << 36) as environment:
        for start in range(0, opened.samples, _READ_AT_ONCE):
            indices = np.arange(start, min(start + _READ_AT_ONCE, opened.samples))
            records, labels = opened.records(indices), opened.take("label", indices)
            with environment.begin(write=True) as transaction:
                for index, record, label in zip(indices.tolist(), records, labels.tolist(), strict=True):
                    drawing = [stroke.T.tolist() for stroke in unpack(record)]
                    text = orjson.dumps({"label": label, "drawing": drawing})
                    transaction.put(index.to_bytes(8, "big"), text, append=True)
