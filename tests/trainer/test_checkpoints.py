import shutil

import jax
import numpy as np
import pytest

from inkstream.command_line import Failure
from trainer.optimization.settings import Cadence, Optimization
from trainer.optimization.timetable import Timetable
from trainer.optimization.updates import Updates, Weights
from trainer.parallel import Parallel
from trainer.records.checkpoints import Checkpoints, SaveClock, keeping
from trainer.records.not_finite import NotFinite

PLAIN = Optimization()
GATHERING = Optimization(accumulate=3, ema_decay=0.9)
TIMETABLE = Timetable(steps_per_epoch=10, steps=95, accumulate=1, eval_every=5)


def state(seed, width=3, settings=PLAIN):
    rng = np.random.default_rng(seed)
    params = {"blocks": {0: {"kernel": rng.normal(size=(2, width)).astype(np.float32)}, 1: {"bias": np.zeros(width)}}}
    params["blocks"][1]["bias"] = rng.normal(size=width).astype(np.float32)
    stats = {"norm": {"mean": rng.normal(size=width).astype(np.float32)}}
    begun = Updates(settings, TIMETABLE, rate=0.1).begin(Weights(params, stats))
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype), begun)


@pytest.fixture
def checkpoints(tmp_path):
    opened = Checkpoints(tmp_path / "run" / "checkpoints")
    opened.prepare()
    return opened


def assert_same(left, right):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    jax.tree.map(np.testing.assert_array_equal, left, right)


@pytest.mark.parametrize("settings", [PLAIN, GATHERING])
def test_what_was_saved_comes_back_in_another_process(checkpoints, tmp_path, settings):
    saved = Parallel(jax.devices("cpu")).replicate(state(1, settings=settings))
    record = {"cursor": [3, 17], "run": {"classes": ["cat", "power outlet"], "alpha": 0.1}}
    checkpoints.save(20, saved, record)
    reopened = Checkpoints(tmp_path / "run" / "checkpoints")
    assert reopened.newest() == 20 and reopened.record(20) == record
    assert_same(reopened.state(20, like=state(2, settings=settings)), state(1, settings=settings))
    assert_same(reopened.weights(20, like=state(2).weights), state(1, settings=settings).evaluated)


def test_the_newest_two_and_the_best_are_kept(checkpoints):
    for step in (5, 10, 15, 20):
        checkpoints.save(step, state(step), {"cursor": [0, step]})
    checkpoints.prune(lambda step: step == 5)
    assert checkpoints.steps() == [5, 15, 20]
    checkpoints.save(25, state(25), {})
    checkpoints.prune(lambda step: step == 20)
    assert checkpoints.steps() == [20, 25]
    assert_same(checkpoints.state(20, like=state(0)), state(20))


def test_a_damaged_checkpoint_is_told_and_without_it_the_one_before_counts(checkpoints, tmp_path):
    for step in (5, 10):
        checkpoints.save(step, state(step), {})
    damaged = tmp_path / "run" / "checkpoints" / "10"
    shutil.rmtree(damaged / "model")
    reopened = Checkpoints(damaged.parent)
    with pytest.raises(Failure, match=r"checkpoint 10 in .* cannot be read: .* Delete its folder"):
        reopened.state(10, like=state(0))
    shutil.rmtree(damaged)
    assert_same(Checkpoints(damaged.parent).state(5, like=state(0)), state(5))


def test_every_nth_evaluation_is_kept_if_asked_for():
    kept = keeping(Cadence(keep_every=3), TIMETABLE, best=20)
    assert [step for step in range(1, 96) if kept(step)] == [15, 20, 30, 45, 60, 75, 90]
    assert [step for step in range(1, 96) if keeping(Cadence(), TIMETABLE, best=7)(step)] == [7]


def test_what_a_killed_save_left_is_removed_and_the_rest_is_usable(checkpoints, tmp_path):
    checkpoints.save(5, state(5), {"cursor": [0, 5]})
    folder = tmp_path / "run" / "checkpoints"
    leftover = folder / "7.orbax-checkpoint-tmp"
    (leftover / "model").mkdir(parents=True)
    (leftover / "model" / "d").write_bytes(b"half")
    reopened = Checkpoints(folder)
    assert reopened.steps() == [5] and leftover.exists()
    reopened.prepare()
    assert not leftover.exists()
    reopened.save(7, state(7), {})
    assert reopened.steps() == [5, 7]


def test_a_checkpoint_that_was_being_deleted_does_not_matter(checkpoints, tmp_path):
    for step in (5, 10):
        checkpoints.save(step, state(step), {"cursor": [0, step]})
    folder = tmp_path / "run" / "checkpoints"
    (folder / "5" / "_CHECKPOINT_METADATA").unlink()
    for file in (folder / "5" / "model").rglob("*"):
        if file.is_file():
            file.unlink()
    reopened = Checkpoints(folder)
    assert reopened.newest() == 10
    assert_same(reopened.state(10, like=state(0)), state(10))


def test_numbers_that_are_not_finite_are_not_saved(checkpoints):
    checkpoints.save(5, state(5), {})
    broken = state(10)
    broken.weights.params["blocks"][1]["bias"][2] = np.inf
    with pytest.raises(NotFinite, match=r"step 10: .*blocks.*bias.* is not finite"):
        checkpoints.save(10, broken, {})
    assert checkpoints.steps() == [5]


def test_another_model_is_refused_by_name(checkpoints):
    checkpoints.save(5, state(5), {})
    with pytest.raises(Failure, match=r"params\.blocks\.0\.kernel has shape \(2, 3\) there and \(2, 4\) here"):
        checkpoints.state(5, like=state(5, width=4))


def test_a_folder_that_is_not_there_holds_none(tmp_path):
    checkpoints = Checkpoints(tmp_path / "none")
    assert checkpoints.steps() == [] and checkpoints.newest() == 0
    assert not (tmp_path / "none").exists()


def test_checkpoints_fall_due_by_steps():
    due = SaveClock(Cadence(every_steps=3, every_minutes=None))
    assert [step for step in range(1, 10) if due(step)] == [3, 6, 9]


def test_checkpoints_fall_due_by_minutes(monkeypatch):
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    due = SaveClock(Cadence(every_steps=None, every_minutes=2))
    assert not due(1)
    now += 121
    assert due(2) and not due(3)
    now += 119
    assert not due(4)
    now += 2
    assert due(5)
