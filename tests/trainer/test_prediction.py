"""Evaluating and predicting with several models and several views of each sample, against a real server."""

import csv
import dataclasses
import itertools
import json
import re
import shlex
import signal
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest

import inkstream
from inkstream.command_line import UsageError
from inkstream.pipeline import Augment
from trainer.classification import averaged
from trainer.cli import main
from trainer.optimization.updates import Weights
from trainer.parallel import Parallel
from trainer.prediction.ensemble import Ensemble, Samples
from trainer.prediction.views import View, Views
from trainer.progress import ProgressLine
from trainer.records.trained import load
from trainer.service import Service
from trainer.steps import logits_of

DOCS = Path(__file__).parents[2] / "docs"
ALL, PLAIN = Samples("scribbles", "all", None, None), Views()


def fit(server, out, *more):
    given = f"--server {server.address} --dataset scribbles --model mlp --batch-size 256 --epochs 1 --devices cpu:2"
    assert main(["fit", *given.split(), "--out", str(out), *map(str, more)]) == 0
    return out


@pytest.fixture(scope="module")
def runs(server, tmp_path_factory):
    """Two runs that see other pictures of the same drawings."""
    folder = tmp_path_factory.mktemp("runs")
    varied = ["--validation", 0.2, "--rotate-deg", 20, "--seed", 5]
    return (
        fit(server, folder / "gray", "--size", 12, *varied),
        fit(server, folder / "thirds", "--size", 8, "--encoding", "thirds", "--validation", 0.2, "--seed", 6),
    )


@pytest.fixture
def command(server):
    source = ["--server", server.address, "--dataset", "scribbles", "--devices", "cpu:2"]
    return lambda name, *words: main([name, *map(str, words), *source])


@pytest.fixture
def said(server):
    """What an ensemble says of all samples, by key id."""

    def infer(models, views=PLAIN):
        service = Service([server.address])
        with service.connect() as client:
            ensemble = Ensemble(models, ALL, views, Parallel(jax.devices("cpu")))
            classes = client.resolve(ensemble.plain).classes
            rows = [
                (batch["key_id"][batch["mask"] != 0], rows.labelled()[0])
                for batch, rows in ensemble.infer(client, service, classes)
            ]
        return tuple(np.concatenate(column) for column in zip(*rows, strict=True))

    return infer


def table(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def test_an_ensemble_averages_what_its_models_say_of_the_same_samples(runs, said):
    models = [load(run, "best") for run in runs]
    (ids, together), apart = said(models), [said([model]) for model in models]
    assert len(set(ids.tolist())) == 2311
    for own_ids, _ in apart:
        np.testing.assert_array_equal(own_ids, ids)
    assert not np.allclose(apart[0][1], apart[1][1], atol=0.01)
    np.testing.assert_array_equal(together, averaged([rows for _, rows in apart]))


def test_classes_are_matched_by_name(runs, said):
    model = load(runs[0], "best")
    order = [2, 0, 1]
    head = {name: array[..., order] for name, array in model.weights.params["head"]["out"].items()}
    params = model.weights.params | {"head": model.weights.params["head"] | {"out": head}}
    run = dataclasses.replace(model.run, classes=tuple(model.run.classes[place] for place in order))
    twin = dataclasses.replace(model, run=run, weights=Weights(params, model.weights.stats))
    _, alone = said([model])
    _, with_twin = said([model, twin])
    np.testing.assert_allclose(with_twin, alone, atol=1e-5)
    _, led_by_twin = said([twin, model])
    np.testing.assert_allclose(led_by_twin, alone[:, order], atol=1e-5)


def test_views_are_the_pipelines_own_variations(runs, said, server):
    """Against what a loop of one's own makes of the same pictures."""
    model = load(runs[0], "best")
    plain = model.run.pipeline.replace(split="all", batch_size=2311, shuffle=False, augment=None, remainder="short")
    mirrored, varied = plain.replace(augment=Augment(flip_horizontal=1)), plain.replace(augment=Augment(rotate_deg=20))
    both = plain.replace(augment=Augment(rotate_deg=20, flip_horizontal=1))
    views = [(plain, 0), (mirrored, 0), (varied, 1), (both, 1), (varied, 2), (both, 2)]
    apart = []

    @jax.jit
    def say(images):
        return jax.nn.log_softmax(logits_of(model.graph, model.run.pixels, "float32", model.weights, images))

    with inkstream.connect(server.address) as client:
        for pipeline, epoch in views:
            with client.stream(pipeline, epochs=epoch + 1, start=(epoch, 0)) as stream:
                (batch,) = stream
            apart.append(np.asarray(say(batch["image"])))
    assert all(np.abs(one - other).max() > 0.01 for one, other in itertools.combinations(apart, 2))
    ids, together = said([model], Views(passes=2, flip=True))
    np.testing.assert_array_equal(ids, batch["key_id"])
    np.testing.assert_allclose(together, averaged(apart), atol=1e-4)


def test_strokes_are_left_out_of_further_views_alone():
    training = inkstream.Pipeline(dataset="d", batch_size=8, seed=3, augment=Augment(rotate_deg=20))
    plain = training.replace(augment=None, shuffle=False, seed=0)
    first, second = Views(passes=1, stroke_dropout=0.1).of(training, plain)
    assert first == View(plain, 0)
    assert second == View(plain.replace(augment=Augment(stroke_dropout=0.1), seed=3), 1)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["gray", "--tta", "-1"], "trainer: --tta must be a number from 0 to 100, got -1"),
        (
            ["gray", "--tta-stroke-dropout", "0.1"],
            "--tta-stroke-dropout varies the further passes: set it and --tta above 0",
        ),
        (["thirds", "--tta", "2"], "--tta 2 varies pictures as in training, which did not vary them"),
        (["gray", "--checkpoint", "best", "last"], "is named twice"),
        (["gray", "--report", "nowhere/report"], "--report must be a folder in one that exists"),
    ],
)
def test_requests_that_make_no_sense_are_refused(runs, command, monkeypatch, capsys, words, named):
    monkeypatch.chdir(runs[0].parent)
    assert command("evaluate", *words) == 2
    assert named in capsys.readouterr().err


def test_models_that_cannot_be_averaged_are_refused(runs):
    model, parallel = load(runs[0], "best"), Parallel(jax.devices("cpu"))

    def beside(split, **changes):
        other = dataclasses.replace(model, path=Path("other"), run=dataclasses.replace(model.run, **changes))
        Ensemble([model, other], dataclasses.replace(ALL, split=split), Views(), parallel)

    with pytest.raises(UsageError, match="knows 'The Eiffel Tower', other does not"):
        beside("all", classes=("cat", "dog", "power outlet"))
    less = model.run.pipeline.replace(validation=0.1)
    beside("all", pipeline=less)
    with pytest.raises(UsageError, match=r"held out 0\.2 of the samples for validation, other 0\.1"):
        beside("validation", pipeline=less)


def test_a_report_of_two_models_agrees_with_the_figures(runs, command, tmp_path, capsys):
    assert command("evaluate", *runs, "--tta-flip", "--report", tmp_path / "report", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert [model["run"] for model in figures["models"]] == [str(run) for run in runs]
    head, *rows = table(tmp_path / "report" / "confusion.csv")
    counts = np.array([[int(cell) for cell in row[1:]] for row in rows])
    assert head[1:] == [row[0] for row in rows]
    assert counts.sum() == figures["samples"]
    assert counts.trace() / counts.sum() == pytest.approx(figures["top1"])
    head, *rows = table(tmp_path / "report" / "classes.csv")
    for place, (row, of_class) in enumerate(zip(rows, figures["classes"], strict=True)):
        values = dict(zip(head, row, strict=True))
        assert (values["class"], int(values["samples"])) == (of_class["name"], of_class["samples"])
        assert float(values["top1"]) == pytest.approx(of_class["top1"], abs=1e-4)
        if guessed := counts[:, place].sum():
            assert float(values["precision"]) == pytest.approx(counts[place, place] / guessed, abs=1e-4)
        assert bool(values["precision"]) == bool(guessed)
        assert int(values["how_often"]) == max(np.delete(counts[place], place))
    for name in ("confusion.png", "mistakes.png"):
        assert cv2.imread(str(tmp_path / "report" / name)) is not None


def test_the_likeliest_classes_are_written_with_their_probabilities(runs, command, said, tmp_path):
    out = tmp_path / "guesses.csv"
    assert command("predict", *runs, "--top", "2", "--out", out) == 0
    head, *rows = table(out)
    assert head == ["key_id", "class_1", "probability_1", "class_2", "probability_2"]
    models = [load(run, "best") for run in runs]
    ids, scores = said(models)
    assert [int(row[0]) for row in rows] == ids.tolist()
    assert [row[1] for row in rows] == [models[0].run.classes[place] for place in scores.argmax(axis=1)]
    np.testing.assert_allclose([float(row[2]) for row in rows], np.exp(scores.max(axis=1)), rtol=1e-5)


def test_balanced_predictions_go_on_and_guess_all_classes_alike(runs, command, tmp_path, monkeypatch, capsys):
    plain, balanced = tmp_path / "plain.csv", tmp_path / "balanced.csv"
    assert command("predict", runs[0], "--top", "3", "--out", plain) == 0
    with monkeypatch.context() as patch:
        patch.setattr(ProgressLine, "update", lambda self, done, text: signal.raise_signal(signal.SIGTERM))
        words = ["predict", runs[0], "--top", "3", "--balance-classes", "--out", balanced]
        assert command(*words) == 143
    assert not balanced.exists()
    assert command(*words) == 0
    assert "statistics of all these samples" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["balanced.csv", "plain.csv"]
    assert [row[0] for row in table(balanced)] == [row[0] for row in table(plain)]

    def sums(path):
        found = {}
        for row in table(path)[1:]:
            for name, probability in zip(row[1::2], row[2::2], strict=True):
                found[name] = found.get(name, 0) + float(probability)
        return np.array(list(found.values()))

    assert np.ptp(sums(balanced)) < 0.002 * 2311 / 3 < np.ptp(sums(plain))


def test_the_commands_of_the_pages_run(runs, server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for name, run in zip(("second", "first"), runs, strict=True):
        (tmp_path / "runs" / name).symlink_to(run)
    text = "".join((DOCS / page).read_text() for page in ("prediction.md", "export.md"))
    for block in re.findall(r"^```sh\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            program, *words = shlex.split(
                line.replace("localhost:50051", server.address).replace("doodles", "scribbles")
            )
            assert program == "trainer"
            assert main(words if words[0] == "export" else [*words, "--devices", "cpu:2"]) == 0, line
    left = {path.name for path in tmp_path.iterdir()}
    assert left >= {"report", "submission.csv", "guesses.png", "balanced.csv", "model.zip", "model.safetensors"}
