import csv

import numpy as np
import pytest

from trainer.submission import Submission, words


def add(submission, first, count):
    ids = np.arange(first, first + count, dtype=np.uint64) + np.uint64(2**63)
    submission.append(ids, [words(["The Eiffel Tower", f"c{number}", "cat"]) for number in ids])


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_competitions_format(tmp_path):
    path = tmp_path / "out.csv"
    with Submission(path, {"step": 1}) as submission:
        add(submission, 0, 2)
        assert not path.exists()
        submission.finish()
    assert path.read_text() == (
        "key_id,word\n"
        "9223372036854775808,The_Eiffel_Tower c9223372036854775808 cat\n"
        "9223372036854775809,The_Eiffel_Tower c9223372036854775809 cat\n"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("torn", [0, 1, 30])
def test_an_unfinished_file_goes_on(tmp_path, torn):
    path = tmp_path / "out.csv"
    with Submission(path, {"step": 1, "classes": ("cat",)}) as submission:
        add(submission, 0, 10)
    part = tmp_path / "out.csv.part"
    part.write_bytes(part.read_bytes()[: -torn or None])
    with Submission(path, {"step": 1, "classes": ("cat",)}) as submission:
        assert submission.rows == (10 if torn == 0 else 9)
        submission.keep(8)
        add(submission, 8, 4)
        submission.finish()
    assert [int(row["key_id"]) - 2**63 for row in read(path)] == list(range(12))


def test_another_prediction_starts_anew(tmp_path):
    path = tmp_path / "out.csv"
    with Submission(path, {"step": 1}) as submission:
        add(submission, 0, 10)
    with Submission(path, {"step": 2}) as submission:
        assert submission.rows == 0
        submission.keep(0)
        add(submission, 0, 1)
        submission.finish()
    assert len(read(path)) == 1


def test_a_torn_identity_starts_anew(tmp_path):
    path = tmp_path / "out.csv"
    with Submission(path, {"step": 1}) as submission:
        add(submission, 0, 3)
    (tmp_path / "out.csv.part.json").write_text('{"st')
    with Submission(path, {"step": 1}) as submission:
        assert submission.rows == 0
