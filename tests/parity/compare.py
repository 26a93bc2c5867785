"""Compares logits: `python -m tests.parity.compare MODEL...` in the environment of the references."""

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)

import numpy as np
from flax import nnx

from tests.parity.references import CLASSES, make
from trainer.models import ModelState, Pictures, count_parameters, functional, outline
from trainer.models.efficientnet import efficientnet_b0
from trainer.models.layers import TrainingRows
from trainer.models.network import Head
from trainer.parallel import Parallel, gather_rows, joined
from trainer.settings import ModelSettings
from trainer.weights.files import read_weights
from trainer.weights.fitting import fit_weights

SIZES_PX = (65, 96)
ROWS = 8
ALLOWED = 1e-4  # of the standard deviation of the logits


def main() -> int:
    """Prints a row of Markdown for each model; 1 if one has another number of parameters, or differs."""
    modes = [f"{size} px, {mode}" for size in SIZES_PX for mode in ("evaluation", "training")]
    titles = ["model", f"parameters, {CLASSES} classes", *modes, "of the deviation, between pictures"]
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}", flush=True)
    failed = False
    for name in sys.argv[1:]:
        figures, shares = [], []
        for size_px in SIZES_PX:
            with tempfile.TemporaryDirectory() as folder:
                images = _images(size_px)
                reference, path, parameters = make(name, images, Path(folder))
                ours = _with_weights(name, path, size_px)
                for training in (False, True):
                    expected = reference(images, training)
                    got = _logits(ours, images, training=training)
                    figures.append(float(np.abs(got - expected).max() / expected.std()))
                    shares.append(float((expected - expected.mean(0)).std() / expected.std()))
        same_count = parameters in count_parameters(ours)  # Keras counts running statistics, PyTorch does not
        failed |= not same_count or not all(figure < ALLOWED for figure in figures)  # nor is what is no number
        cells = [f"`{name}`", f"{parameters:,}{'' if same_count else ', OURS DIFFER'}"]
        cells += [f"{figure:.1e}{'' if figure < ALLOWED else ', TOO LARGE'}" for figure in figures]
        print(f"| {' | '.join(cells)} | {min(shares):.0%} or more |", flush=True)
    return int(failed)


def _images(size_px: int) -> np.ndarray:
    """Fields of random colours, 8 px wide: noise looks all alike to a network that takes means over pixels."""
    fields = np.random.default_rng(6).normal(0, 1, (ROWS, -(-size_px // 8), -(-size_px // 8), 3))
    return np.kron(fields, np.ones((1, 8, 8, 1)))[:, :size_px, :size_px].astype(np.float32)


def _with_weights(name: str, path: Path, size_px: int) -> ModelState:
    settings = ModelSettings(name, dropout=0.0)
    if name == "efficientnet_b0":  # its stochastic depth is no setting
        model = functional(
            nnx.eval_shape(
                lambda: efficientnet_b0(
                    channels=3,
                    head=partial(Head, classes=CLASSES, dropout=0.0, rngs=nnx.Rngs(0)),
                    stochastic_depth=0.0,
                    rngs=nnx.Rngs(0),
                )
            )
        )
    else:
        model = outline(settings, Pictures(size_px, 3), classes=CLASSES)
    fitted = fit_weights(read_weights(path), name, model)
    assert not fitted.head_is_new
    return fitted.model


def _logits(model: ModelState, images: np.ndarray, *, training: bool) -> np.ndarray:
    """On two devices, which share the rows."""
    parallel = Parallel(jax.devices("cpu"))

    def step(state: Any, batch: Any) -> Any:
        rows = TrainingRows(jax.numpy.ones(len(batch["image"])), None) if training else None
        return gather_rows(nnx.merge(model.graph, *state)(batch["image"], rows))

    state = parallel.replicate((model.params, model.stats))
    return joined(parallel.infer(step)(state, parallel.split({"image": images})))


if __name__ == "__main__":
    sys.exit(main())
