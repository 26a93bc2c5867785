"""`trainer average`, and its statistics on a model that has some."""

import json

import jax
import numpy as np
import pytest

from tests.trainer.test_train_step import MODEL, PIXELS, batch
from trainer.cli import main
from trainer.optimization.settings import Optimization
from trainer.optimization.updates import Weights
from trainer.parallel import Parallel
from trainer.prediction.ensemble import Ensemble, Samples
from trainer.prediction.views import Views
from trainer.randomness import Position
from trainer.records.trained import load
from trainer.service import Service
from trainer.steps import make_statistics_step

STEPS = [3, 6, 9]


@pytest.fixture(scope="module")
def run(server, tmp_path_factory):
    out = tmp_path_factory.mktemp("averaged") / "run"
    given = "--dataset scribbles --size 8 --model mlp --batch-size 64 --recognized no --validation 0.3 --devices cpu:2"
    words = ["--steps", "9", "--eval-every", "3", "--keep-every", "1", "--out", str(out)]
    assert main(["fit", "--server", server.address, *given.split(), *words]) == 0
    return out


def average(server, run, *more):
    return main(
        ["average", str(run), *more, "--server", server.address, "--dataset", "scribbles", "--devices", "cpu:2"]
    )


def test_the_average_is_the_mean_of_the_last_checkpoints_and_is_used_by_its_name(server, run, capsys):
    assert average(server, run, "--last", "2") == 0
    before = identity(server, run)
    assert average(server, run, "--last", "3") == 0  # in place of the first
    assert before != identity(server, run) == identity(server, run)  # a prediction by the first does not go on
    assert "the average of checkpoints 3, 6, 9 is in" in capsys.readouterr().out
    trained = [load(run, str(step)).weights for step in STEPS]
    expected = jax.tree.map(lambda *arrays: np.mean(arrays, axis=0), *trained)
    found = load(run, "average")
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-7), tuple(found.weights), tuple(expected))
    words = ["--server", server.address, "--dataset", "scribbles", "--devices", "cpu:2", "--json"]
    assert main(["evaluate", str(run), "--checkpoint", "last", "average", *words]) == 0
    models = json.loads(capsys.readouterr().out)["models"]
    assert [(model["checkpoint"], model["step"]) for model in models] == [("9", 9), ("average", 9)]


def identity(server, run):
    with Service([server.address]).connect() as client:
        models, samples = [load(run, "average")], Samples("scribbles", "all", None, None)
        return Ensemble(models, samples, Views(), Parallel(jax.devices("cpu")[:1])).identity(client)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--last", "4"), "--last must be at most 3, the checkpoints that"),
        (("--last", "1"), "--last must be at least 2, got 1"),
        (("--batches", "0"), "--batches must be at least 1, got 0"),
    ],
)
def test_what_makes_no_sense_is_refused(server, run, words, says, capsys):
    assert average(server, run, *words) == 2
    assert says in capsys.readouterr().err


def test_a_run_without_an_average_says_how_to_make_one(server, run, tmp_path, capsys):
    (tmp_path / "checkpoints").symlink_to(run / "checkpoints")
    words = ["--server", server.address, "--dataset", "scribbles", "--devices", "cpu:2"]
    assert main(["evaluate", str(tmp_path), "--checkpoint", "average", *words]) == 2
    assert "holds no average of its checkpoints: make one by `trainer average`" in capsys.readouterr().err


def test_statistics_are_the_means_over_the_batches_of_all_devices_whatever_they_were():
    """Of the convolution at the entrance, whose inputs no other statistics touch."""
    batches = [batch(), batch(5), batch(1)]
    kernel = MODEL.params["stages"][0]["conv"]["kernel"]

    def moments(rows):
        images = PIXELS.normalize(rows["image"])
        x = jax.lax.conv_general_dilated(images, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        valid = np.asarray(x)[rows["mask"] == 1]
        return valid.mean((0, 1, 2)), valid.var((0, 1, 2))

    counts = [rows["mask"].sum() for rows in batches]
    expected = [np.average(each, axis=0, weights=counts) for each in zip(*map(moments, batches), strict=True)]
    parallel = Parallel(jax.devices("cpu")[:2])
    step = parallel.train(make_statistics_step(MODEL.graph, PIXELS, Optimization(), seed=1))
    before = jax.tree.map(np.array, Weights(MODEL.params, jax.tree.map(lambda leaf: leaf + 7, MODEL.stats)))
    state = parallel.replicate(before)
    for number, rows in enumerate(batches):
        state, _ = step(
            state, parallel.split(rows), Position(0, number), 1 - counts[number] / sum(counts[: number + 1])
        )
    norm = state.stats["stages"][0]["norm"]
    np.testing.assert_allclose(norm["mean"], expected[0], atol=1e-5)
    np.testing.assert_allclose(norm["var"], expected[1], rtol=1e-4)
    jax.tree.map(np.testing.assert_array_equal, state.params, before.params)
