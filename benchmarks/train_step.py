"""What the input costs a training step: steps fed by a batch server against steps on a batch that stays on the devices.

`python -m benchmarks.train_step`. The server runs on the same machine's processors. On an accelerator it measures
models as they are trained there, on a CPU a small one on two devices: then step and server share the processors, and
the cost of the input is at most what is shown.
"""

import itertools
import statistics
from pathlib import Path
from typing import NamedTuple

import jax

import inkstream
from benchmarks.dataset import AUGMENT, imported_dataset, served
from benchmarks.table import Table
from trainer.devices import choose_devices
from trainer.doctor.diagnosis import StepFigures
from trainer.doctor.training import Training, lead_bytes
from trainer.input import DeviceInput
from trainer.optimization.settings import Optimization
from trainer.parallel import Parallel
from trainer.run import Run, outputs_of_labels
from trainer.settings import ModelSettings

ROUNDS = 3
CPU_DEVICES = 2


class Case(NamedTuple):
    """A model and its batches; `seconds` is how long each round of each kind takes."""

    model: str
    size_px: int
    batch_size: int
    seconds: float


ON_ACCELERATOR = (Case("mobilenet_v1", 128, 256, 5.0), Case("resnet50", 128, 256, 5.0))
ON_CPU = (Case("cnn", 64, 64, 2.0),)


class Measured(NamedTuple):
    """Of one round: a step on a batch that stays, and one that is fed."""

    resident: StepFigures
    fed: StepFigures


def tables(dataset: Path) -> list[Table]:
    """Trains on a dataset that is alone in its folder."""
    jax.config.update("jax_num_cpu_devices", CPU_DEVICES)  # before JAX looks for devices
    accelerator = jax.default_backend() != "cpu"
    cases = ON_ACCELERATOR if accelerator else ON_CPU
    parallel = Parallel(choose_devices("all" if accelerator else f"cpu:{CPU_DEVICES}"))
    device = f"{len(parallel.local_devices)} x {parallel.local_devices[0].device_kind}"
    with served(dataset) as address:
        measured = {case: _measure(address, dataset.stem, case, parallel) for case in cases}
    notes = f"{device}, float32; medians of {ROUNDS} rounds in turn. The server runs on the same processors."
    header = ("model", "px", "batch", "step alone, ms", "step fed, ms", "cost of the input", "waiting for data")
    rows = [_row(case, rounds) for case, rounds in measured.items()]
    waiting = max(statistics.median(each.fed.waiting for each in rounds) for rounds in measured.values())
    # On CPUs a step takes so long that it never waits: no answer to how an accelerator would fare.
    figures = {"input_wait_percent": 100 * waiting} if accelerator else {}
    return [Table("Training step, fed and alone", notes, header, rows, figures)]


def _row(case: Case, rounds: list[Measured]) -> tuple[str, ...]:
    resident_s, fed_s = (statistics.median(getattr(each, kind).step_s for each in rounds) for kind in Measured._fields)
    cost = statistics.median(each.fed.step_s / each.resident.step_s - 1 for each in rounds)
    waiting = statistics.median(each.fed.waiting for each in rounds)
    return (
        case.model,
        str(case.size_px),
        str(case.batch_size),
        f"{1e3 * resident_s:.1f}",
        f"{1e3 * fed_s:.1f}",
        f"{cost:+.1%}",
        f"{waiting:.2%}",
    )


def _measure(address: str, dataset: str, case: Case, parallel: Parallel) -> list[Measured]:
    """Rounds of both kinds in turn, so that a busy moment hits both."""
    pipeline = inkstream.Pipeline(
        dataset=dataset,
        batch_size=case.batch_size,
        seed=7,
        remainder="pad",
        render=inkstream.Render(size=case.size_px),
        augment=AUGMENT,
    )
    with inkstream.connect(address) as client:
        resolved = client.resolve(pipeline)
        run = Run.resolve(ModelSettings(case.model), Optimization(), resolved)
        outputs = outputs_of_labels(resolved.classes, run.classes)
        training = Training(run, parallel, resolved.steps_per_epoch)
        with DeviceInput(client.stream(pipeline), parallel, outputs) as batches:
            resident = next(batches)._replace(wait_s=0.0)
        training.measure(itertools.repeat(resident), 0.0)  # compiles
        rounds = []
        for number in range(ROUNDS):
            alone = training.measure(itertools.repeat(resident), case.seconds)
            # Another seed each time: nothing is in the server's cache.
            varied = pipeline.replace(seed=8 + number)
            stream = client.stream(varied, epochs=None, memory_bytes=lead_bytes(varied))
            with DeviceInput(stream, parallel, outputs) as batches:
                rounds.append(Measured(alone, training.measure(batches, case.seconds, settling_s=1.0)))
        return rounds


if __name__ == "__main__":
    with imported_dataset() as path:
        for table in tables(path):
            print(table.as_text())
