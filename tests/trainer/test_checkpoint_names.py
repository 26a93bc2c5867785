from pathlib import Path

import pytest

from inkstream.pipeline import Pipeline, Render
from trainer.optimization.settings import Optimization
from trainer.optimization.timetable import Timetable
from trainer.records.checkpoint_names import checkpoint_names, link_checkpoints
from trainer.records.folder import RunFolder
from trainer.run import Run
from trainer.settings import ModelSettings

TIMETABLE = Timetable(steps_per_epoch=10, steps=40, accumulate=1, eval_every=10)
EVALUATIONS = [{"step": step, "loss": loss, "map3": None} for step, loss in ((10, 0.3), (20, 0.1), (30, 0.2))]


def named(steps, monitor="loss", evaluations=EVALUATIONS):
    pipeline = Pipeline("doodles", batch_size=8, render=Render(size=64, encoding="thirds"))
    run = Run(ModelSettings("cnn"), Optimization(monitor=monitor), pipeline, "d", "f", 1, "s", ("cat", "dog"))
    return checkpoint_names(run, TIMETABLE, steps, evaluations)


def test_names_have_model_sides_epoch_step_and_the_monitored_figure():
    assert named([10, 20, 30, 35]) == {
        "cnn-64x64x3-epoch001-step000010-loss-0.3000": 10,
        "best-cnn-64x64x3-epoch002-step000020-loss-0.1000": 20,
        "cnn-64x64x3-epoch003-step000030-loss-0.2000": 30,
        "last-cnn-64x64x3-epoch004-step000035": 35,  # between two evaluations
    }
    assert named([10, 30])["best-cnn-64x64x3-epoch003-step000030-loss-0.2000"] == 30  # the best of those that are there


def test_without_the_figure_the_last_is_the_best():
    last = "cnn-64x64x3-epoch003-step000030"
    assert named([20, 30], monitor="map3") == {
        "cnn-64x64x3-epoch002-step000020": 20,
        f"best-{last}": 30,
        f"last-{last}": 30,
    }


def test_links_are_those_of_now_and_lead_to_the_checkpoints(tmp_path):
    folder = RunFolder(tmp_path)
    for step in (5, 10):
        (folder.checkpoints / str(step)).mkdir(parents=True)
    link_checkpoints(folder, {"last-a": 5})
    link_checkpoints(folder, {"last-b": 10, "a": 5})
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert {link.name: link.resolve().name for link in (moved / "models").iterdir()} == {"last-b": "10", "a": "5"}
    assert all(link.is_dir() for link in (moved / "models").iterdir())


@pytest.mark.parametrize("error", [PermissionError(1, "not permitted"), OSError(95, "not supported")])
def test_a_file_system_without_links_does_not_end_a_run(tmp_path, monkeypatch, error):
    def refuse(self, target):
        raise error

    monkeypatch.setattr(Path, "symlink_to", refuse)
    link_checkpoints(RunFolder(tmp_path), {"last-a": 5})
