"""The real drawings: every file in every format, and the same drawings from three of them."""

import csv

import numpy as np
import pytest

from batch_server.store.reader import Dataset

COLUMNS = ("key_id", "country", "recognized", "timestamp")


@pytest.fixture
def imported(quickdraw, tmp_path, run_import):
    def imported(*names, **options):
        target = tmp_path / f"{len(list(tmp_path.iterdir()))}.lmdb"
        return run_import(*(quickdraw / name for name in names), to=target, **options), target

    return imported


def drawings(target):
    """By key id: class, country, recognized, timestamp and packed drawing."""
    dataset = Dataset.open(target)
    columns = [np.concatenate(list(dataset.blocks(name))).tolist() for name in (*COLUMNS, "label")]
    records = dataset.records(np.arange(dataset.samples))
    assert not records.rotten.any()
    return {
        key_id: (dataset.classes[label] if label >= 0 else None, country, recognized, timestamp, records[index])
        for index, (key_id, country, recognized, timestamp, label) in enumerate(zip(*columns, strict=True))
    }


@pytest.mark.parametrize(
    ("names", "samples", "classes", "rejected", "duplicates"),
    [
        (["kaggle-csv/train_simplified.zip"], 6_500, 10, 0, 0),
        (["kaggle-csv/test_simplified.csv"], 500, 0, 0, 0),
        # 7,000 distinct of 7,500 (the 500 cats are the first of the 2,000), and 25 of 310 classes, 10 of them the same.
        (["simplified-ndjson"], 14_500, 310, 0, 500 + 250),
        (["raw-ndjson"], 8_513, 310, 0, 0),
        # Three drawings are there twice, in the same class and country.
        (["simplified-jsonl-nometa"], 27_970, 3, 0, 3),
        (["official-bin"], 7_000, 10, 0, 0),
        (["official-bin", "bitmap-bin-784", "bitmap-npy", "official"], 7_000, 10, 16 + 6 + 2, 0),
        (["simplified-ndjson", "simplified-jsonl-nometa"], 42_470, 310, 0, 753),
    ],
    ids=lambda value: value[-1].split("/")[-1] if isinstance(value, list) else None,
)
def test_every_file_gives_the_drawings_that_are_in_it(imported, names, samples, classes, rejected, duplicates):
    summary, _ = imported(*names)
    assert summary[:4] == (samples, classes, rejected, duplicates)


def test_files_without_drawings_give_no_dataset(imported):
    summary, target = imported("bitmap-bin-784", "bitmap-npy", "official")
    assert (summary.samples, summary.rejected) == (0, 24)
    assert not target.exists()


def test_three_formats_give_equal_drawings(imported, quickdraw):
    _, from_bin = imported("official-bin")
    _, from_ndjson = imported(
        "simplified-ndjson/class-intro", "simplified-ndjson/quick-draw-for-processing/monkey.ndjson"
    )
    _, from_csv = imported("kaggle-csv/train_simplified.zip")
    _, from_test = imported("kaggle-csv/test_simplified.csv")
    whole = drawings(from_ndjson)
    assert len(whole) == 7_000
    assert drawings(from_bin) == whole
    train = drawings(from_csv)
    assert len(train) == 6_500
    assert train == {key_id: whole[key_id] for key_id in train}
    with open(quickdraw / "kaggle-csv" / "test_words.csv") as file:
        words = {int(row["key_id"]): row["word"] for row in csv.DictReader(file)}
    test = drawings(from_test)
    assert test.keys() == words.keys() == whole.keys() - train.keys()
    for key_id, (_, country, _, _, record) in test.items():
        assert (words[key_id], country, record) == (*whole[key_id][:2], whole[key_id][4])


def test_the_number_of_workers_changes_nothing(imported):
    names = ("simplified-ndjson", "simplified-jsonl-nometa", "raw-ndjson", "official-bin", "bitmap-bin-784")
    first, _ = imported(*names, workers=1)
    second, _ = imported(*names, workers=4)
    assert first == second
    # Raw drawings whose simplified form came before them are duplicates, and so are all the binary ones.
    assert (first.samples, first.duplicates) == (42_470 + 8_513 - 7_088, 753 + 7_088 + 7_000)
