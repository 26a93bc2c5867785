"""Exported models, run by the programs of docs/export.md where nothing of this project can be imported."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import jax.export
import numpy as np
import pytest

import inkstream
from trainer.cli import main
from trainer.export import export
from trainer.models import Pictures, build
from trainer.optimization.settings import Optimization
from trainer.optimization.updates import Weights
from trainer.records.trained import Trained
from trainer.run import Run
from trainer.settings import ModelSettings
from trainer.steps import logits_of

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
# Runs programs as `python` would, but for what they must not need.
ISOLATED = """
import os, runpy, sys
for name in ("inkstream", "trainer", "batch_server", "flax", "orbax", "optax", "matplotlib"):
    sys.modules[name] = None
for program, model in (("run_function.py", "model.zip"), ("run_weights.py", "model.safetensors")):
    sys.argv = [program, model, "pictures.npy"]
    runpy.run_path(program, run_name="__main__")
    os.rename("probabilities.npy", program + ".npy")
"""
CLASSES = ("The Eiffel Tower", "cat", "power outlet")


def trained(name, size, encoding, scale):
    """A model with random weights and statistics; `scale` is that of the head's, so that its outputs spread."""
    rng = np.random.default_rng(1)
    settings = ModelSettings(name, normalize="imagenet")
    render = inkstream.Render(size=size, encoding=encoding)
    model = build(settings, Pictures(size, render.channels), classes=len(CLASSES), seed=0)
    params = jax.tree.map(lambda leaf: np.asarray(leaf + rng.normal(0, 0.1, leaf.shape), np.float32), model.params)
    params["head"]["out"]["kernel"] = params["head"]["out"]["kernel"] * scale
    stats = jax.tree.map(lambda leaf: rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32), model.stats)
    pipeline = inkstream.Pipeline(dataset="d", batch_size=8, render=render)
    run = Run(settings, Optimization(), pipeline, "digest", "fingerprint", 1, "self-test", CLASSES)
    return Trained(Path("run"), Path("run/checkpoints/7"), 7, run, model.graph, Weights(params, stats))


def pictures(model, rows):
    size, channels = model.run.pictures
    return np.random.default_rng(rows).integers(0, 256, (rows, size, size, channels), np.uint8)


def probabilities(model, images):
    @jax.jit
    def function(images):
        return jax.nn.softmax(logits_of(model.graph, model.run.pixels, "float32", model.weights, images))

    return np.asarray(function(images))


def programs():
    for text in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE):
        yield re.match(r"# (\w+\.py)", text)[1], text


def test_the_programs_of_the_page_run_without_this_project(tmp_path):
    model = trained("cnn", 20, "thirds", scale=0.2)
    images = pictures(model, 5)
    expected = probabilities(model, images)
    assert np.ptp(expected, axis=0).min() > 0.05  # they tell the pictures apart
    np.save(tmp_path / "pictures.npy", images)
    names = []
    for name, text in programs():
        names.append(name)
        (tmp_path / name).write_text(text)
    for file in ("model.zip", "model.safetensors"):
        export(model, tmp_path / file)
    isolated = [sys.executable, "-c", ISOLATED]
    ran = subprocess.run(isolated, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0, ran.stderr
    for name in names:
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), expected, atol=1e-5)
    guessed = [line.split(":")[0] for line in ran.stdout.splitlines()]
    assert guessed == [CLASSES[best] for best in expected.argmax(axis=1)] * 2


def test_a_function_takes_any_number_of_pictures_and_says_what_it_is(tmp_path):
    model = trained("mlp", 12, "gray", scale=0.2)
    export(model, tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        about = json.loads(archive.read("model.json"))
        function = jax.export.deserialize(bytearray(archive.read("function.jax")))
    assert function.platforms == ("cpu", "cuda")
    for rows in (1, 6):
        images = pictures(model, rows)
        np.testing.assert_allclose(function.call(images), probabilities(model, images), atol=1e-5)
    assert tuple(about["classes"]) == CLASSES
    assert inkstream.Render(**about["render"]) == model.run.pipeline.render
    assert about["normalization"] == {"mean": [pytest.approx(0.449)], "std": [pytest.approx(0.226)]}


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["--out", "model.onnx"], 2, "--out must end in .zip (a function that JAX runs) or .safetensors"),
        (["--out", "nowhere/model.zip"], 2, "--out must be a file in a folder that exists"),
        (["--out", "model.zip"], 1, "holds no checkpoint"),
    ],
)
def test_what_cannot_be_exported_is_refused(tmp_path, monkeypatch, capsys, words, code, named):
    monkeypatch.chdir(tmp_path)
    assert main(["export", ".", *words]) == code
    assert named in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
