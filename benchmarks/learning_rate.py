"""Whether what `trainer find-lr` suggests holds: on other devices, and on batches of another size.

`python -m benchmarks.learning_rate`, some minutes. The range test on one device and on two that share the same global
batch, and on twice the batch; then short trainings of equally many drawings at the suggested rate, at that which the
linear rule makes of it, and at a tenth and ten times as much.
"""

import json
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.dataset import imported_dataset, served
from benchmarks.table import Table
from benchmarks.trainings import LARGE, Trainings, rows_of, trainer

ROWS = 64  # of the smaller batch
DRAWINGS = 19_200  # that each training sees
OPTIONS = "--model cnn --size 28 --validation 0.1 --optimizer sgd --nesterov --seed 0"


class Case(NamedTuple):
    """How many devices of the CPU share a global batch of so many rows."""

    devices: int
    rows: int


CASES = (Case(1, ROWS), Case(2, ROWS), Case(2, 2 * ROWS))
FACTORS = (0.1, 1.0, 10.0)


def tables(dataset: Path) -> list[Table]:
    """Trains on a dataset that is alone in its folder."""
    with served(dataset) as address, tempfile.TemporaryDirectory() as scratch:
        classes = Trainings.on(address, dataset.stem, Path(scratch)).classes
        data = ["--server", address, "--dataset", dataset.stem, *OPTIONS.split(), "--classes", *classes]
        reference = None
        rows = []
        for case in CASES:
            suggested = _suggested(data, case)
            reference = reference or suggested
            by_rule = reference * case.rows / ROWS
            accuracies = [_accuracy(data, case, by_rule * factor, Path(scratch)) for factor in FACTORS]
            cells = (f"{suggested:.2g}", f"{by_rule:.2g}", *(f"{accuracy:.3f}" for accuracy in accuracies))
            rows.append((f"{case.devices}, {case.rows}", *cells))
    accuracies_of = (f"top-1 at {factor:g} x" for factor in FACTORS)
    header = ("devices, rows of a batch", "suggested", "by the linear rule", *accuracies_of)
    notes = (
        f"{len(classes)} classes with at least {LARGE} drawings, `{OPTIONS}`. Top-1 in validation, after {DRAWINGS:,} "
        "drawings at so many times the rate by the rule."
    )
    return [Table("Learning rates found and used", notes, header, rows)]


def _suggested(data: list[str], case: Case) -> float:
    answer = trainer("find-lr", *data, *_batches(case), "--json")
    return float(json.loads(answer)["suggestion"]["rate"])


def _accuracy(data: list[str], case: Case, rate: float, scratch: Path) -> float:
    run = scratch / f"{case.devices}-{case.rows}-{rate:g}"
    end = ["--steps", str(DRAWINGS // case.rows), "--eval-every", str(DRAWINGS // case.rows)]
    trainer("fit", *data, *_batches(case), "--out", str(run), *end, "--learning-rate", str(rate))
    return float(rows_of(run / "evaluations.jsonl")[-1]["top1"])


def _batches(case: Case) -> list[str]:
    return ["--devices", f"cpu:{case.devices}", "--batch-size", str(case.rows)]


if __name__ == "__main__":
    with imported_dataset() as path:
        for table in tables(path):
            print(table.as_text())
