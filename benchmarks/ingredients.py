"""What each ingredient of the preset `drawings-64` brings: `python -m benchmarks.ingredients FOLDER`.

Twelve trainings of seven minutes on two cores: four settings with three seeds. FOLDER keeps the runs. All are measured
on the same drawings, which no training saw.
"""

import statistics
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax

from benchmarks.dataset import imported_dataset, served
from benchmarks.table import Table
from benchmarks.trainings import DEVICES, Trainings, trainer
from trainer.devices import choose_devices
from trainer.metrics import Tally
from trainer.optimization.settings import Optimization
from trainer.optimization.timetable import Timetable
from trainer.optimization.updates import Updates
from trainer.parallel import Parallel
from trainer.prediction.ensemble import Ensemble, Samples
from trainer.prediction.views import Views
from trainer.records.checkpoints import Checkpoints
from trainer.records.folder import RunFolder
from trainer.records.trained import Trained, load
from trainer.service import Service

SEEDS = (0, 1, 2)
LAST = 3  # checkpoints that are averaged, one of each epoch
PASSES = 4  # of test-time augmentation

BALANCED = "balanced"
NATURAL = "natural"
SETTINGS = {
    BALANCED: "",
    NATURAL: "--no-class-balanced",
    "plain": "--no-class-balanced --rotate-deg 0 --shift 0 --scale 1 1 --stroke-dropout 0",
    "gray": "--no-class-balanced --encoding gray",
}


class Row(NamedTuple):
    """A row of the table.

    Attributes:
        words: What is measured.
        settings: Of the trainings whose models are averaged.
        which: `ema`, as a run saves its model; `raw`, without the moving average of parameters; `average`, of the last
            checkpoints.
        passes: Of test-time augmentation.
    """

    words: str
    settings: tuple[str, ...]
    which: str = "ema"
    passes: int = 0


ROWS = (
    Row("classes drawn equally often (the preset)", (BALANCED,)),
    Row(f"the same, `--tta {PASSES}`", (BALANCED,), passes=PASSES),
    Row("classes as they come, `--no-class-balanced`", (NATURAL,)),
    Row(f"the same, `--tta {PASSES}`", (NATURAL,), passes=PASSES),
    Row(f"the same, average of the last {LAST} epochs", (NATURAL,), which="average"),
    Row("the same, without `--ema-decay`", (NATURAL,), which="raw"),
    Row("the same, without augmentation", ("plain",)),
    Row("the same, `--encoding gray`", ("gray",)),
    Row("both drawings of classes, models averaged", (BALANCED, NATURAL)),
    Row(f"the same, `--tta {PASSES}`", (BALANCED, NATURAL), passes=PASSES),
)
FIGURES = ("top1", "top3", "map3", "class_mean")


def tables(dataset: Path, folder: Path) -> list[Table]:
    """Trains, where that has not been done, on a dataset that is alone in its folder."""
    jax.config.update("jax_num_cpu_devices", int(DEVICES.removeprefix("cpu:")))  # before JAX looks for devices
    with served(dataset) as address:
        trainings = Trainings.on(address, dataset.stem, folder)
        runs = {(name, seed): _run(trainings, name, seed) for seed in SEEDS for name in SETTINGS}
        measuring = _Measuring(trainings, Parallel(choose_devices(DEVICES)))
        cells = []
        for row in ROWS:
            seeds = [measuring.figures([runs[name, seed] for name in row.settings], row) for seed in SEEDS]
            of_figures = (_mean_and_spread([figures[name] for figures in seeds]) for name in FIGURES)
            cells.append((row.words, *of_figures))
            print(*cells[-1], sep=" | ", file=sys.stderr, flush=True)
    notes = f"Means over {len(SEEDS)} seeds, and the lowest and highest of them."
    return [Table("Ingredients", notes, ("what is measured", "top-1", "top-3", "MAP@3", "mean of the classes"), cells)]


def _run(trainings: Trainings, name: str, seed: int) -> Path:
    options = f"--config drawings-64 --keep-every 1 --seed {seed} {SETTINGS[name]}"
    run = trainings.fit(f"{name}-{seed}", *options.split())
    if name == NATURAL and not RunFolder(run).average.exists():
        data = ["--server", trainings.address, "--dataset", trainings.dataset, "--devices", DEVICES]
        trainer("average", str(run), "--last", str(LAST), *data)
    return run


def _mean_and_spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


class _Measuring(NamedTuple):
    trainings: Trainings
    parallel: Parallel

    def figures(self, runs: list[Path], row: Row) -> dict[str, float]:
        """Of what the runs held out."""
        service = Service([self.trainings.address])
        models = list(_models(runs, row.which))
        only = models[0].run.pipeline.filter
        samples = Samples(self.trainings.dataset, "validation", only, batch_size=256)
        ensemble = Ensemble(models, samples, Views(row.passes), self.parallel)
        tally = Tally(len(ensemble.classes))
        with service.connect() as client:
            resolved = client.resolve(ensemble.plain)
            for _, found in ensemble.infer(client, service, resolved.classes):
                tally.add(*found.labelled())
        return tally.summary()


def _models(runs: list[Path], which: str) -> Iterator[Trained]:
    for run in runs:
        model = load(run, "average" if which == "average" else "last")
        yield _without_average(model) if which == "raw" else model


def _without_average(model: Trained) -> Trained:
    """The model as the optimizer left it; the moving average stands beside it in the checkpoint."""
    settings: Optimization = model.run.optimization
    updates = Updates(settings, Timetable.of(settings, steps_per_epoch=1), model.run.learning_rate)
    checkpoints = Checkpoints(RunFolder(model.path).checkpoints)
    state = checkpoints.state(model.step, like=updates.begin(jax.tree.map(jax.numpy.asarray, model.weights)))
    return replace(model, weights=state.weights)


if __name__ == "__main__":
    with imported_dataset() as path:
        for table in tables(path, Path(sys.argv[1])):
            print(table.as_text())
