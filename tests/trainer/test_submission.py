import csv

import numpy as np
import pytest

from trainer.prediction.submission import Format, Submission

CLASSES = ("The Eiffel Tower", "cat", 'so-called "art", modern', "dog")
COMPETITION = Format(CLASSES, None)


def add(submission, first, count):
    ids = np.arange(first, first + count, dtype=np.uint64) + np.uint64(2**63)
    submission.append(ids, np.log([[0.5, 0.125, 0.125, 0.25]] * count))


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_competitions_format(tmp_path):
    path = tmp_path / "out.csv"
    with Submission(path, {"step": 1}, COMPETITION) as submission:
        submission.keep(0)
        add(submission, 0, 2)
        assert not path.exists()
        submission.finish()
    assert path.read_text() == (
        "key_id,word\n9223372036854775808,The_Eiffel_Tower dog cat\n9223372036854775809,The_Eiffel_Tower dog cat\n"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]


def test_classes_with_their_probabilities(tmp_path):
    path = tmp_path / "out.csv"
    with Submission(path, {"step": 1}, Format(CLASSES, 9)) as submission:
        submission.keep(0)
        submission.append(np.array([7], np.uint64), np.log([[0.125, 0.25, 0.5, 0.125]]))
        submission.finish()
    (row,) = read(path)
    assert list(row) == ["key_id", *(f"{name}_{n}" for n in range(1, 5) for name in ("class", "probability"))]
    assert list(row.values()) == ["7", CLASSES[2], "0.5", "cat", "0.25", "The Eiffel Tower", "0.125", "dog", "0.125"]


@pytest.mark.parametrize("torn", [0, 1, 30])
def test_an_unfinished_file_goes_on(tmp_path, torn):
    path = tmp_path / "out.csv"
    with Submission(path, {"step": 1, "classes": ("cat",)}, COMPETITION) as submission:
        submission.keep(0)
        add(submission, 0, 10)
    part = tmp_path / "out.csv.part"
    part.write_bytes(part.read_bytes()[: -torn or None])
    with Submission(path, {"step": 1, "classes": ("cat",)}, COMPETITION) as submission:
        assert submission.rows == (10 if torn == 0 else 9)
        submission.keep(8)
        add(submission, 8, 4)
        submission.finish()
    assert [int(row["key_id"]) - 2**63 for row in read(path)] == list(range(12))


def test_another_prediction_starts_anew(tmp_path):
    path = tmp_path / "out.csv"
    with Submission(path, {"step": 1}, COMPETITION) as submission:
        submission.keep(0)
        add(submission, 0, 10)
    with Submission(path, {"step": 2}, COMPETITION) as submission:
        assert submission.rows == 0
        submission.keep(0)
        add(submission, 0, 1)
        submission.finish()
    assert len(read(path)) == 1


def test_a_torn_identity_starts_anew(tmp_path):
    path = tmp_path / "out.csv"
    with Submission(path, {"step": 1}, COMPETITION) as submission:
        submission.keep(0)
        add(submission, 0, 3)
    (tmp_path / "out.csv.part.json").write_text('{"st')
    with Submission(path, {"step": 1}, COMPETITION) as submission:
        assert submission.rows == 0
