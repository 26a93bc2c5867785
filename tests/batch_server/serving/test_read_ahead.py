from collections.abc import Callable
from pathlib import Path

import pytest

from batch_server.batches import BatchMaker
from batch_server.serving.read_ahead import ReadAhead
from batch_server.store.reader import Dataset
from inkstream.chunking import Span
from inkstream.pipeline import Pipeline


@pytest.mark.parametrize("fits_memory", [True, False])
def test_only_what_does_not_fit_into_memory_is_asked_for(
    tmp_path: Path, write_dataset: Callable[..., str], monkeypatch: pytest.MonkeyPatch, fits_memory: bool
) -> None:
    write_dataset(tmp_path / "doodles.lmdb")
    dataset = Dataset.open(tmp_path / "doodles.lmdb")
    if not fits_memory:
        dataset.file.exceeds_memory()
    maker = BatchMaker(dataset, Pipeline(dataset="doodles", batch_size=32))
    asked: list[tuple[int, int, Span]] = []
    monkeypatch.setattr(maker, "ask_ahead", lambda *where: asked.append(where))
    ahead = ReadAhead()
    ahead.ask(maker, 0, 1, Span(3, 10))
    ahead._pool.shutdown()  # waits for what was asked
    assert asked == ([] if fits_memory else [(0, 1, Span(3, 10))])
