from types import SimpleNamespace

import numpy as np
import pytest

from trainer.input import DeviceBatch
from trainer.records.folder import RunFolder
from trainer.records.journal import Journal
from trainer.records.logs import read_rows
from trainer.records.not_finite import NotFinite

ROWS = 16


def add(journal, step, loss=None, wait_s=0.25, epoch=0):
    batch = DeviceBatch({}, SimpleNamespace(epoch=epoch), asked_at=step, wait_s=wait_s)
    figures = {"loss": loss or 1 / step, "correct": 4.0, "samples": float(ROWS), "learning_rate": 0.1}
    journal.add_step(step, batch, figures)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A run's folder, and a clock that stands at the half second after a step was asked for."""
    clock = iter(range(1, 1000))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock) + 0.5)
    return RunFolder(tmp_path)


@pytest.fixture
def progress():
    lines = []
    return SimpleNamespace(update=lambda done, text: None, say=lines.append, lines=lines)


def losses(folder):
    return [row["loss"] for row in read_rows(folder.steps)]


def test_an_evaluation_sums_up_its_steps_without_the_time_of_the_first(folder, progress):
    with Journal(folder, progress, step=0, evaluated=0) as journal:
        for step in range(1, 5):
            add(journal, step)
        journal.add_evaluation(4, {})
    (row,) = read_rows(folder.evaluations)
    assert row["train_loss"] == pytest.approx(np.mean([1, 1 / 2, 1 / 3, 1 / 4]))
    assert row["train_accuracy"] == 0.25 and row["map3"] is None
    # Each step takes half a second from the time its batch was asked for.
    assert row["samples_per_s"] == pytest.approx(ROWS / 0.5) and row["data_wait_share"] == pytest.approx(0.5)
    assert "32 samples/s, 50.0% of the time waiting" in progress.lines[0]


def test_a_resumed_run_sums_up_all_steps_since_the_last_evaluation(folder, progress):
    with Journal(folder, progress, step=0, evaluated=0) as journal:
        for step in range(1, 4):
            add(journal, step)
    with Journal(folder, progress, step=2, evaluated=0) as journal:
        assert len(losses(folder)) == 2
        for step in range(3, 5):
            add(journal, step)
        journal.add_evaluation(4, {})
    (row,) = read_rows(folder.evaluations)
    assert row["train_loss"] == pytest.approx(np.mean([1, 1 / 2, 1 / 3, 1 / 4]))


def test_a_loss_that_is_not_a_number_ends_the_run(folder, progress):
    with Journal(folder, progress, step=0, evaluated=0) as journal:
        add(journal, 1)
        with pytest.raises(NotFinite, match=r"step 2: the loss is nan.* lower --learning-rate"):
            add(journal, 2, loss=float("nan"))
    assert len(losses(folder)) == 1
