"""What `trainer fit` costs beside its steps: a real fit against a bare loop of the same step over batches in memory.

`python -m benchmarks.fit`. The fit is the command as people run it, with its server, logs and progress. The bare loop
takes the same compiled step over batches that lie on the devices, and waits for each as the fit does: on a CPU its
devices share one thread pool and must not run ahead. Neither counts compiling, evaluating and saving.
"""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

import inkstream
from benchmarks.dataset import AUGMENT, imported_dataset, served
from benchmarks.table import Table
from benchmarks.trainings import rows_of, trainer
from trainer.devices import choose_devices
from trainer.input import DeviceInput
from trainer.models import build
from trainer.optimization.settings import Optimization
from trainer.optimization.timetable import Timetable
from trainer.optimization.updates import Updates, Weights
from trainer.parallel import Parallel
from trainer.randomness import Position
from trainer.run import Run, outputs_of_labels
from trainer.settings import ModelSettings
from trainer.steps import make_train_step

ROUNDS = 4
STEPS = 120
UNTIMED = 5  # of them, at the beginning
CPU_DEVICES = 2
BATCHES = 16  # in memory
AUGMENTED = "--rotate-deg 10 --shift 0.05 --scale 0.9 1.1 --stroke-dropout 0.05".split()  # AUGMENT


class Case(NamedTuple):
    """A model and its batches."""

    model: str
    size_px: int
    batch_size: int


ON_ACCELERATOR = (Case("mobilenet_v1", 128, 256), Case("resnet50", 128, 256))
ON_CPU = (Case("cnn", 64, 64),)


def tables(dataset: Path) -> list[Table]:
    """Trains on a dataset that is alone in its folder."""
    jax.config.update("jax_num_cpu_devices", CPU_DEVICES)  # before JAX looks for devices
    accelerator = jax.default_backend() != "cpu"
    devices = "all" if accelerator else f"cpu:{CPU_DEVICES}"
    parallel = Parallel(choose_devices(devices))
    rows, shares = [], []
    for case in ON_ACCELERATOR if accelerator else ON_CPU:
        with served(dataset) as address:
            bare = _bare_loop(address, dataset.stem, case, parallel)
            rates = [(_fit(address, dataset.stem, case, devices, seed), bare()) for seed in range(ROUNDS)]
        fit, alone = (statistics.median(rate) for rate in zip(*rates, strict=True))
        of_rounds = [one / other for one, other in rates]
        shares.append(statistics.median(of_rounds))
        cells = (f"{fit:,.0f}", f"{alone:,.0f}", f"{shares[-1]:.3f}", f"{min(of_rounds):.3f} to {max(of_rounds):.3f}")
        rows.append((f"{case.model}, {case.size_px} px, {case.batch_size}", *cells))
    notes = (
        f"{len(parallel.local_devices)} x {parallel.local_devices[0].device_kind}, float32; {ROUNDS} rounds in turn of "
        f"{STEPS} steps. The server runs on the same processors."
    )
    header = ("model, size, batch", "fit, samples/s", "bare loop, samples/s", "share", "share in each round")
    return [Table("Fit against a bare loop", notes, header, rows, {"fit_percent_of_bare_loop": 100 * min(shares)})]


def _fit(address: str, dataset: str, case: Case, devices: str, seed: int) -> float:
    """Samples per second of a fit; with a seed of its own nothing is in the server's cache."""
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        words = f"--dataset {dataset} --model {case.model} --size {case.size_px} --batch-size {case.batch_size}"
        words += f" --steps {STEPS} --eval-every {STEPS} --validation 0.1 --devices {devices} --seed {seed}"
        trainer("fit", "--server", address, *words.split(), *AUGMENTED, "--out", str(run))
        timed = rows_of(run / "steps.jsonl")[UNTIMED:]
    return float(sum(step["samples"] for step in timed) / sum(step["seconds"] for step in timed))


def _bare_loop(address: str, dataset: str, case: Case, parallel: Parallel) -> Callable[[], float]:
    """A function that trains for as many steps as the fit and returns its samples per second."""
    pipeline = inkstream.Pipeline(
        dataset=dataset,
        batch_size=case.batch_size,
        split="train",
        validation=0.1,
        remainder="pad",
        render=inkstream.Render(size=case.size_px),
        augment=AUGMENT,
    )
    with inkstream.connect(address) as client:
        resolved = client.resolve(pipeline)
        run = Run.resolve(ModelSettings(case.model), Optimization(), resolved)
        outputs = outputs_of_labels(resolved.classes, run.classes)
        with DeviceInput(client.stream(pipeline), parallel, outputs) as batches:
            arrays = [batch.arrays for batch in itertools.islice(batches, BATCHES)]
    model = build(run.model, run.pictures, classes=len(run.classes), seed=0)
    weights = jax.tree.map(np.asarray, Weights(model.params, model.stats))  # on the host: steps use up what they get
    updates = Updates(run.optimization, Timetable.of(run.optimization, resolved.steps_per_epoch), run.learning_rate)
    step = parallel.train(make_train_step(model.graph, run.pixels, run.optimization, updates, seed=0))

    def train() -> float:
        state = parallel.replicate(updates.begin(weights))
        for number in range(STEPS):
            if number == UNTIMED:
                begun = time.perf_counter()
            state, figures = step(state, arrays[number % BATCHES], Position(0, number), 1.0)
            jax.block_until_ready(figures)
        return (STEPS - UNTIMED) * case.batch_size / (time.perf_counter() - begun)

    train()  # compiles
    return train


if __name__ == "__main__":
    with imported_dataset() as path:
        for table in tables(path):
            print(table.as_text())
