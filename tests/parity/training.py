"""One training step of each model on two devices, saved and restored: `python -m tests.parity.training MODEL`.

A model a process, whose memory is shown; pytest does the same with small ones.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_disable_most_optimizations", True)  # nearly all of the time is compiling, for a single step

import numpy as np

from trainer.models import Pictures, build, count_parameters
from trainer.optimization.settings import Optimization
from trainer.optimization.timetable import Timetable
from trainer.optimization.updates import Updates, Weights
from trainer.parallel import Parallel
from trainer.randomness import Position
from trainer.records.checkpoints import Checkpoints
from trainer.settings import ModelSettings
from trainer.steps import Pixels, make_train_step

PICTURES = Pictures(size_px=64, channels=3)
CLASSES = 340
ROWS = 8
SETTINGS = Optimization(optimizer="sgd", learning_rate=0.01)  # with momentum, half of the memory that Adam takes
TITLES = ("model", f"parameters, {CLASSES} classes", "loss", "kernels changed", "restored to the bit")
HEADER = f"| {' | '.join(TITLES)} |\n|{'---|' * len(TITLES)}"


def main(name: str) -> int:
    """Prints a row of Markdown; 1 if the loss is no number, a kernel is as before, or not all was restored as saved."""
    parallel = Parallel(jax.devices("cpu"))
    model = build(ModelSettings(name), PICTURES, classes=CLASSES, seed=1)
    updates = Updates(SETTINGS, Timetable.of(SETTINGS, steps_per_epoch=10), rate=0.01)
    train_step = parallel.train(make_train_step(model.graph, Pixels([0.5] * 3, [0.25] * 3), SETTINGS, updates, seed=1))
    parameters, _ = count_parameters(model)
    before = _kernels(model.params)
    state = parallel.replicate(updates.begin(Weights(model.params, model.stats)))
    batch = parallel.split(_batch())
    lap_s = _stopwatch()

    compiled = train_step.lower(state, batch, Position(0, 0), 1.0).compile()
    compile_s = lap_s()
    state, figures = jax.block_until_ready(compiled(state, batch, Position(0, 0), 1.0))
    step_s = lap_s()
    changed = sum(bool((one != other).any()) for one, other in zip(before, _kernels(state.weights.params), strict=True))

    saved = jax.tree.map(np.array, state)
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder))
        checkpoints.prepare()
        lap_s()
        checkpoints.save(1, state, {})
        save_s = lap_s()
        del state, model
        restored = Checkpoints(Path(folder)).state(1, like=saved)
        restore_s = lap_s()
    same = jax.tree.structure(restored) == jax.tree.structure(saved) and all(
        one.tobytes() == other.tobytes()
        for one, other in zip(jax.tree.leaves(restored), jax.tree.leaves(saved), strict=True)
    )

    loss, kernels = float(figures["loss"]), f"{changed} of {len(before)}"
    print(f"| `{name}` | {parameters:,} | {loss:.2f} | {kernels} | {'yes' if same else 'NO'} |", flush=True)
    memory_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    print(
        f"{name}: compiled in {compile_s:.0f} s, a step {step_s:.1f} s, saved in {save_s:.1f} s, "
        f"restored in {restore_s:.1f} s; at most {memory_gib:.1f} GiB",
        file=sys.stderr,
    )
    return int(not (np.isfinite(loss) and changed == len(before) and same))


def _kernels(params: Any) -> list[np.ndarray]:
    """What a step must change: of the vectors, a bias before a normalization has no part in the loss."""
    return [np.array(leaf) for leaf in jax.tree.leaves(params) if leaf.ndim > 1]


def _batch() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    ones = np.ones(ROWS, np.float32)
    images = rng.integers(0, 256, (ROWS, PICTURES.size_px, PICTURES.size_px, PICTURES.channels)).astype(np.uint8)
    labels = rng.integers(0, CLASSES, ROWS).astype(np.int32)
    return {"image": images, "label": labels, "mask": ones, "weight": ones, "void": 0 * ones}


def _stopwatch() -> Callable[[], float]:
    """Seconds since it was last asked."""
    laps = [time.perf_counter()]

    def lap_s() -> float:
        laps.append(time.perf_counter())
        return laps[-1] - laps[-2]

    return lap_s


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
