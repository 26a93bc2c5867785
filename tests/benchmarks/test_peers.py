"""Peers do the same work for the same drawings."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batch_server.store.reader import Dataset
from benchmarks.peers import settings
from benchmarks.peers.json_drawings import write_json


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(settings.__file__).with_name("programs")))
    for name in ("drawing", "rate"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import drawing

    return drawing


def test_peers_draw_the_drawings_that_inkstream_has(data_dir: Path, tmp_path: Path, programs: Any) -> None:
    dataset = Dataset.open(data_dir / "scribbles.lmdb")
    write_json(dataset.path, tmp_path / "json.lmdb")
    drawings = programs.Drawings(str(tmp_path / "json.lmdb"))
    assert len(drawings) == dataset.samples
    numbers = np.array([0, 7, 2310, 1234])
    pictures, labels = drawings.draw_batch(numbers.tolist())
    assert pictures.shape == (4, 128, 128) and pictures.dtype == np.uint8
    assert labels.tolist() == dataset.take("label", numbers).tolist()
    assert (pictures.max(axis=(1, 2)) == 255).all()
