"""`fit --weights`: a run that begins with another library's file, and goes on without it.

Models that libraries have take long to compile: here the perceptron is one of them.
"""

import re
import shlex
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from trainer.cli import main
from trainer.models import outline
from trainer.optimization.updates import Weights
from trainer.records.checkpoints import Checkpoints
from trainer.records.configuration import environment
from trainer.records.folder import RunFolder
from trainer.run import Run
from trainer.weights import fitting, sources

PAGE = Path(__file__).parents[2] / "docs" / "pretrained.md"
DATA = "--dataset scribbles --devices cpu:2 --size 8 --batch-size 64 --validation 0 --recognized no"
TRAINING = "--schedule constant --freeze 1 --layer-decay 0.5 --ema-decay 0.9 --head-hidden 8"


@pytest.fixture(autouse=True, scope="module")
def a_library_with_our_perceptron():
    layers = {"stages.1.linear": "fc1", "stages.3.linear": "fc2", "head.out": "fc3"}
    key = ("mlp", "torch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "SOURCES", {**sources.SOURCES, key: sources.Source("imagenet")})
        patch.setattr(fitting, "NAMES", {**fitting.NAMES, key: lambda: iter(layers.items())})
        yield


def write(path, first=(512, 64), seed=1):
    """Random weights as PyTorch has them; returns them."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in (("fc1", first), ("fc2", (256, 512)), ("fc3", (1000, 256))):
        arrays[f"{name}.weight"] = rng.normal(0, 0.05, shape).astype(np.float32)
        arrays[f"{name}.bias"] = rng.normal(0, 0.05, shape[0]).astype(np.float32)
    save_file(arrays, path)
    return arrays


def fit(server, out, weights, *more):
    given = f"fit --server {server.address} {DATA} {TRAINING} --model mlp --weights {weights} --out {out}"
    return main([*given.split(), *more])


def test_the_commands_of_the_page_are_understood(monkeypatch):
    asked = []
    monkeypatch.setattr("trainer.fit.fit", lambda request: asked.append(request) or 0)
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE):
        assert main(shlex.split(block.replace("\\\n", " "))[1:]) == 0
    (request,) = asked
    assert request.model.weights == str(Path("resnet18.safetensors").absolute())
    assert request.model.normalize == "imagenet"
    assert request.model.head_hidden == (256,)
    assert (request.optimization.freeze, request.optimization.layer_decay) == (5, 0.8)


def last(out):
    checkpoints = Checkpoints(out / "checkpoints")
    step = checkpoints.newest()
    run = Run.from_json(checkpoints.record(step)["run"])
    model = outline(run.model, run.pictures, classes=len(run.classes))
    return run, checkpoints.weights(step, like=Weights(model.params, model.stats))


@pytest.fixture(scope="module")
def undisturbed(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    written = write(folder / "mlp.safetensors")
    assert fit(server, folder / "run", folder / "mlp.safetensors", "--steps", "4") == 0
    return folder, written


def test_frozen_stages_keep_the_weights_of_the_file_and_its_normalization(undisturbed):
    folder, written = undisturbed
    run, weights = last(folder / "run")
    assert run.model.normalize == "imagenet" and run.model.weights == str(folder / "mlp.safetensors")
    first, second = (weights.params["stages"][number]["linear"] for number in (1, 3))
    np.testing.assert_array_equal(first["kernel"], written["fc1.weight"].T)
    np.testing.assert_array_equal(first["bias"], written["fc1.bias"])
    moved = np.abs(second["kernel"] - written["fc2.weight"].T)
    assert 0 < moved.max() < 0.05
    assert weights.params["head"]["hidden"][0]["linear"]["kernel"].shape == (256, 8)


def test_a_run_goes_on_bit_for_bit_when_the_file_is_gone(server, undisturbed, tmp_path, capsys):
    folder, _ = undisturbed
    file = tmp_path / "copy.safetensors"
    file.write_bytes((folder / "mlp.safetensors").read_bytes())
    assert fit(server, tmp_path / "run", file, "--steps", "2") == 0
    assert f"mlp begins with the weights of {file}; the head is new" in capsys.readouterr().out
    file.unlink()
    assert fit(server, tmp_path / "run", file, "--steps", "4", "--resume") == 0
    (begun, expected), (run, found) = last(folder / "run"), last(tmp_path / "run")
    assert run.model.weights_digest == begun.model.weights_digest is not None
    jax.tree.map(np.testing.assert_array_equal, tuple(found), tuple(expected))


def test_a_run_is_not_repeated_unnoticed_with_another_file_of_that_name(server, tmp_path, monkeypatch):
    requests, file, folder = [], tmp_path / "mlp.safetensors", RunFolder(tmp_path / "run")
    monkeypatch.setattr("trainer.fit.fit", lambda request: requests.append(request) or 0)
    write(file)
    assert fit(server, folder.path, file) == 0
    run = recorded(requests[0])
    folder.describe(run, requests[0].asked, environment([]))
    for _ in range(2):
        assert main(["fit", "--config", str(folder.config), "--out", str(tmp_path / "again")]) == 0
        write(file, seed=2)
    same, other = (
        request.repeats.check(request.asked, recorded(request).to_json(), environment([])) for request in requests[1:]
    )
    assert same == []
    assert f"--weights {file} has changed" in other[0] and len(other) == 1


def recorded(request):
    """The run that a request would become, as a checkpoint has it."""
    return Run(request.model, request.optimization, request.pipeline, "d", "f", 1, "s", ("cat", "dog"))


def test_what_is_wrong_with_a_file_is_said_before_a_run_begins(server, tmp_path, capsys):
    other = tmp_path / "other.safetensors"
    write(other, first=(512, 49))
    for path, says in (
        (tmp_path / "none.safetensors", "there is no file --weights"),
        (other, "fc1 has a kernel of shape (49, 512), stages.1.linear.kernel of mlp has (64, 512)"),
    ):
        assert fit(server, tmp_path / "run", path) == 2
        error = capsys.readouterr().err
        assert says in error and str(path) in error
    assert not (tmp_path / "run").exists()
