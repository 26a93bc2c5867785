import dataclasses
import json

import pytest

from inkstream.command_line import Failure, UsageError
from inkstream.pipeline import Augment, Erase, Filter, Pipeline, Render
from trainer.optimization.settings import Cadence, Optimization
from trainer.prediction.evaluate import check_known
from trainer.records.configuration import Asked
from trainer.records.folder import RunFolder
from trainer.records.logs import best_step
from trainer.run import Run, output_classes, outputs_of_labels
from trainer.settings import ModelSettings

PIPELINE = Pipeline(
    dataset="doodles",
    batch_size=32,
    seed=2**63,
    render=Render(size=64, encoding="thirds"),
    augment=Augment(rotate_deg=10, scale=(0.9, 1.1), erase=Erase(0.25, fill="value", value=7)),
    filter=Filter(classes=("cat", "power outlet"), recognized=True),
    remainder="pad",
)


def run(**changes):
    made = Run(ModelSettings(), Optimization(), PIPELINE, "d1", "f1", 1, "s1", ("cat", "power outlet"))
    return dataclasses.replace(made, **changes)


@pytest.mark.parametrize(
    "pipeline", [PIPELINE, PIPELINE.replace(augment=None, filter=None), PIPELINE.replace(augment=Augment(shift=0.1))]
)
def test_a_record_survives_json(pipeline):
    weighed = Optimization(milestones=(0.3, 0.6), class_weights=(("cat", 2.0),), sample_weights="d1", early_stopping=8)
    made = run(pipeline=pipeline, optimization=weighed)
    assert Run.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_a_record_of_another_version_is_refused():
    with pytest.raises(Failure, match="format 99"):
        Run.from_json(run().to_json() | {"format": 99})


@pytest.mark.parametrize(
    ("now", "named"),
    [
        (
            run(pipeline=PIPELINE.replace(render=Render(size=32, encoding="thirds")), digest="d2"),
            "render.size was 64, is 32",
        ),
        (run(pipeline=PIPELINE.replace(augment=None), digest="d2"), "augment.rotate_deg was 10.0, is 0.0"),
        (run(pipeline=PIPELINE.replace(filter=None), digest="d2"), "filter.recognized was True, is None"),
        (run(pipeline=PIPELINE.replace(seed=3), digest="d2"), "seed was 9223372036854775808, is 3"),
        (run(digest="d2", fingerprint="f2"), "fingerprint was 'f1', is 'f2'"),
        (run(digest="d2", renderer_version=2), "renderer_version was 1, is 2"),
        (run(self_test_digest="s2"), "self_test_digest was 's1', is 's2'"),
        (run(digest="d2"), "digest was 'd1', is 'd2'"),
        (run(model=ModelSettings("mobilenet_v1")), "model.name was 'cnn', is 'mobilenet_v1'"),
        (run(optimization=Optimization(epochs=9)), "optimization.epochs was 8, is 9"),
    ],
)
def test_another_run_is_refused_by_the_name_of_the_setting(tmp_path, now, named):
    with pytest.raises(UsageError) as refusal:
        RunFolder(tmp_path).check_same(run(), now)
    assert named in str(refusal.value)


def test_the_digest_is_named_only_where_nothing_else_is():
    differences = run().differences(run(pipeline=PIPELINE.replace(seed=3), digest="d2"))
    assert len(differences) == 1 and differences[0].startswith("seed")


def test_what_does_not_change_the_batches_may_change(tmp_path):
    RunFolder(tmp_path).check_same(run(), run(pipeline=PIPELINE.replace(dataset="renamed")))
    constant = Optimization(schedule="constant")
    longer = dataclasses.replace(constant, epochs=20)
    RunFolder(tmp_path).check_same(run(optimization=constant), run(optimization=longer))


def test_outputs_are_the_classes_that_the_filter_lets_through_in_label_order():
    classes = ("apple", "cat", "dog", "power outlet")
    assert output_classes(classes, PIPELINE) == ("cat", "power outlet")
    assert output_classes(classes, PIPELINE.replace(filter=Filter(recognized=True))) == classes
    assert outputs_of_labels(classes, ("power outlet", "cat")).tolist() == [-1, 1, -1, 0]
    with pytest.raises(UsageError, match="no labels"):
        output_classes((), PIPELINE)


def test_classes_that_the_model_does_not_know_are_refused():
    check_known(run(), ("power outlet",), "d")
    with pytest.raises(UsageError, match=r"does not know 7 of .*'c0', 'c1', 'c2', 'c3', 'c4' and 2 more"):
        check_known(run(), ("cat", *(f"c{number}" for number in range(7))), "d")


def test_the_best_checkpoint_has_the_best_figure_then_the_lowest_loss():
    def row(step, map3, loss):
        return {"step": step, "map3": map3, "loss": loss}

    assert best_step([row(10, 0.5, 1.0), row(20, 0.7, 0.9), row(30, 0.7, 0.8), row(40, 0.6, 0.1)], "map3") == 30
    assert best_step([row(10, 0.5, 1.0), row(20, 0.7, 0.9), row(30, 0.9, 0.91)], "loss") == 20
    assert best_step([row(10, None, None)], "map3") is None


def test_a_folder_is_not_overwritten(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.check_free(resume=False)
    folder.check_free(resume=True)
    folder.describe(run(), Asked({}, ""), {})
    folder.check_free(resume=True)
    with pytest.raises(UsageError, match="--resume"):
        folder.check_free(resume=False)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to my aunt.txt").write_text("Dear aunt")
    with pytest.raises(UsageError, match="is not a run"):
        RunFolder(tmp_path / "letters").check_free(resume=True)


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        (ModelSettings, {"name": "resnet"}),
        (ModelSettings, {"alpha": 0}),
        (ModelSettings, {"dropout": 1.0}),
        (ModelSettings, {"normalize": "none"}),
        (Optimization, {"epochs": 0}),
        (Optimization, {"learning_rate": float("nan")}),
        (Optimization, {"schedule": "steps"}),
        (Optimization, {"optimizer": "lion"}),
        (Optimization, {"accumulate": 0}),
        (Optimization, {"ema_decay": 1.0}),
        (Optimization, {"milestones": (0.5, 1.0)}),
        (Optimization, {"milestones": (0.7, 0.5)}),
        (Optimization, {"class_weights": (("cat", -1.0),)}),
        (Optimization, {"class_weights": (("cat", 1.0), ("cat", 2.0))}),
        (Optimization, {"monitor": "top5"}),
        (Optimization, {"weight_decay": -1}),
        (Optimization, {"label_smoothing": 1.0}),
        (Cadence, {"every_steps": 0}),
        (Cadence, {"every_minutes": 0}),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_rule_and_value(settings, values):
    with pytest.raises(ValueError, match=r"must .*, got "):
        settings(**values)
