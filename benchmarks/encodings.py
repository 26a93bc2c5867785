"""Models and encodings on real drawings: `python -m benchmarks.encodings FOLDER`.

Every model with every encoding, for equally many drawings: twelve trainings on two cores. FOLDER keeps
the runs.
"""

import sys
from pathlib import Path

from benchmarks.dataset import imported_dataset, served
from benchmarks.table import Table
from benchmarks.trainings import LARGE, Trainings, rows_of
from trainer.models import ModelState, count_parameters
from trainer.records.trained import load

SIZE_PX = 32
EPOCHS = 1
MODELS = ("mlp", "cnn_28", "cnn", "mobilenet_v1 --alpha 0.25")
ENCODINGS = ("gray", "order", "thirds")
OPTIONS = (
    f"--size {SIZE_PX} --epochs {EPOCHS} --batch-size 64 --validation 0.1 --ema-decay 0.99 --seed 0 "
    "--rotate-deg 10 --shift 0.05 --scale 0.9 1.1 --stroke-dropout 0.05"
)


def tables(dataset: Path, folder: Path) -> list[Table]:
    """Trains, where that has not been done, on a dataset that is alone in its folder."""
    with served(dataset) as address:
        trainings = Trainings.on(address, dataset.stem, folder)
        found = [_row(trainings, model, encoding) for model in MODELS for encoding in ENCODINGS]
    header = ("model, encoding", "parameters", "top-1", "top-3", "MAP@3", "time of all steps, s", "drawings/s")
    notes = f"{len(trainings.classes)} classes with at least {LARGE} drawings, `{OPTIONS}`. One seed."
    return [Table("Models and encodings", notes, header, found)]


def _row(trainings: Trainings, model: str, encoding: str) -> tuple[str, ...]:
    name = f"{model.split()[0]}-{encoding}"
    run = trainings.fit(name, "--model", *model.split(), "--encoding", encoding, *OPTIONS.split())
    steps, last = rows_of(run / "steps.jsonl")[1:], rows_of(run / "evaluations.jsonl")[-1]  # the first one is compiled
    trained = load(run, "last")
    parameters, _ = count_parameters(ModelState(trained.graph, *trained.weights))
    seconds = sum(step["seconds"] for step in steps)
    return (
        f"{model}, {encoding}",
        f"{parameters:,}",
        *(f"{last[name]:.3f}" for name in ("top1", "top3", "map3")),
        f"{seconds:.0f}",
        f"{sum(step['samples'] for step in steps) / seconds:,.0f}",
    )


if __name__ == "__main__":
    with imported_dataset() as path:
        for table in tables(path, Path(sys.argv[1])):
            print(table.as_text())
