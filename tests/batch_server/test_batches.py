from pathlib import Path

import numpy as np
import pytest

from batch_server.batches import BatchMaker, RottenRecord, tensor_specs
from batch_server.drawing.record import pack
from batch_server.store.reader import Dataset
from batch_server.store.records import Records
from batch_server.store.writer import DatasetWriter
from inkstream.chunking import Span, chunk_rows
from inkstream.pipeline import Augment, Erase, Pipeline, Render

SAMPLES = 50
AUGMENT = Augment(rotate_deg=20, shift=0.1, stroke_dropout=0.2, crop=0.1, erase=Erase())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """50 drawings of one line each, every one another, in two classes; key ids 100 and up."""
    path = tmp_path_factory.mktemp("batches") / "lines.lmdb"
    with DatasetWriter(path, "drawing", ("a", "b")) as writer:
        writer.append(
            Records.of([pack([([0, 255], [4 * index, 255 - 4 * index])]) for index in range(SAMPLES)]),
            {
                "label": np.arange(SAMPLES, dtype=np.int32) % 3 - 1,
                "key_id": np.arange(100, 100 + SAMPLES, dtype=np.uint64),
                "country": np.zeros(SAMPLES, np.uint16),
                "recognized": np.ones(SAMPLES, np.uint8),
                "timestamp": np.zeros(SAMPLES, np.uint32),
            },
        )
        writer.finish({})
    return Dataset.open(path)


def pipeline(**settings: object) -> Pipeline:
    defaults = {"split": "all", "render": Render(size=24, paper=7), "augment": AUGMENT, "batch_size": 16, "seed": 3}
    return Pipeline(dataset="lines", **(defaults | settings))  # type: ignore[arg-type]


def test_rows_of_an_epoch_are_every_sample_once_with_its_own_label(dataset: Dataset) -> None:
    maker = BatchMaker(dataset, pipeline())
    chunks = [maker.chunk(2, step, Span(0, maker.epoch_plan.batch_rows(step))) for step in range(4)]
    key_ids = np.concatenate([chunk.key_id for chunk in chunks])
    labels = np.concatenate([chunk.label for chunk in chunks])
    assert sorted(key_ids) == list(range(100, 150))
    assert np.array_equal(labels, (key_ids - 100).astype(np.int32) % 3 - 1)
    assert all(chunk.mask.all() and chunk.blanks == () for chunk in chunks)


def test_tensors_are_as_specified(dataset: Dataset) -> None:
    for encoding in ("gray", "thirds"):
        render = Render(size=24, encoding=encoding, paper=7)
        chunk = BatchMaker(dataset, pipeline(render=render)).chunk(0, 0, Span(3, 9))
        specs = tensor_specs(render)
        assert [spec.name for spec in specs] == list(chunk.tensors)
        for spec in specs:
            assert chunk.tensors[spec.name].dtype == spec.dtype
            assert chunk.tensors[spec.name].shape == (6, *spec.row_shape)
        assert specs[0].paper == bytes([7] * render.channels)


def test_pictures_are_drawn_into_memory_that_the_caller_gives(dataset: Dataset) -> None:
    maker = BatchMaker(dataset, pipeline())
    memory = np.full((16, 24, 24, 1), 99, np.uint8)
    chunk = maker.chunk(0, 1, Span(0, 16), image=memory)
    assert chunk.image is memory
    assert np.array_equal(memory, maker.chunk(0, 1, Span(0, 16)).image)
    with pytest.raises(ValueError, match="out must be uint8"):
        maker.chunk(0, 1, Span(0, 15), image=memory)


@pytest.mark.parametrize("rows_at_most", [1, 3, 7, 16])
def test_where_chunks_are_cut_changes_no_row(dataset: Dataset, rows_at_most: int) -> None:
    maker = BatchMaker(dataset, pipeline())
    whole = maker.chunk(1, 2, Span(0, 16))
    pieces = [maker.chunk(1, 2, rows) for rows in chunk_rows(Span(0, 16), (1 << 20) // rows_at_most, False)]
    assert len(pieces) == -(-16 // rows_at_most)
    for name, values in whole.tensors.items():
        assert np.array_equal(np.concatenate([piece.tensors[name] for piece in pieces]), values)


def test_padding_is_paper_without_key_or_label(dataset: Dataset) -> None:
    maker = BatchMaker(dataset, pipeline(remainder="pad"))
    last = maker.chunk(0, 3, Span(0, 16))
    real, padding = slice(0, 2), slice(2, 16)
    assert (last.image[padding] == 7).all() and (last.image[real] != 7).any()
    assert last.mask.tolist() == [1] * 2 + [0] * 14
    assert not last.key_id[padding].any() and (last.label[padding] == -1).all()
    assert last.blanks == ()


def test_a_rotten_record_is_an_error_or_a_blank(dataset: Dataset, tmp_path: Path) -> None:
    data = bytearray(dataset.path.read_bytes())
    record = dataset.records(np.array([20]))[0]
    data[data.index(record) + len(record) - 1] ^= 1
    (tmp_path / "lines.lmdb").write_bytes(data)
    maker = BatchMaker(Dataset.open(tmp_path / "lines.lmdb"), pipeline(shuffle=False))
    with pytest.raises(RottenRecord, match=r"lines.*key id 120") as rotten:
        maker.chunk(0, 1, Span(0, 16))
    assert (rotten.value.dataset, rotten.value.key_id) == ("lines", 120)
    sound = BatchMaker(dataset, pipeline(shuffle=False)).chunk(0, 1, Span(0, 16))
    blank = maker.chunk(0, 1, Span(0, 16), blank_rotten=True)
    assert blank.blanks == (120,)
    assert blank.mask.tolist() == [1] * 4 + [0] + [1] * 11
    assert (blank.image[4] == 7).all()
    others = np.arange(16) != 4
    assert np.array_equal(blank.image[others], sound.image[others])
    assert np.array_equal(blank.key_id, sound.key_id) and np.array_equal(blank.label, sound.label)


def test_a_balanced_run_varies_a_sample_anew_at_each_visit(dataset: Dataset) -> None:
    maker, plain = BatchMaker(dataset, pipeline(class_balanced=True, batch_size=200)), BatchMaker(dataset, pipeline())
    rows = Span(0, maker.epoch_plan.batch_rows(0))
    seen: dict[int, set[bytes]] = {}
    for epoch in range(3):
        chunk, visits = maker.chunk(epoch, 0, rows), maker.epoch_plan.visit_numbers(epoch, 0, rows)
        shares = np.bincount(chunk.label)
        assert shares.sum() == rows.size
        assert shares.max() - shares.min() <= 1
        alone = plain.samples(epoch, maker.epoch_plan.rows(epoch, 0, rows)).image
        assert np.array_equal((chunk.image == alone).all(axis=(1, 2, 3)), visits == 0)
        for key_id, image in zip(chunk.key_id.tolist(), chunk.image, strict=True):
            assert image.tobytes() not in seen.setdefault(key_id, set())
            seen[key_id].add(image.tobytes())
    assert len(seen) == rows.size
    assert {len(images) for images in seen.values()} >= {3}


def test_chunks_of_a_balanced_batch_are_its_rows(dataset: Dataset) -> None:
    maker = BatchMaker(dataset, pipeline(class_balanced=True))
    whole = maker.chunk(5, 0, Span(0, 16))
    parts = [maker.chunk(5, 0, rows) for rows in (Span(0, 7), Span(7, 8), Span(8, 16))]
    for name, values in whole.tensors.items():
        assert np.array_equal(np.concatenate([part.tensors[name] for part in parts]), values)
