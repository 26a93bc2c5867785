"""Drawings per second from a batch server on this machine into this process, by compression.

`python -m benchmarks.stream`. Server and client share the machine's cores. The ratio compares with `none` in the same
run.
"""

import statistics
import subprocess
import time
from pathlib import Path

import inkstream
from benchmarks.dataset import AUGMENT, BATCH_SERVER, imported_dataset
from benchmarks.table import Table

ROUNDS = 3
COMPRESSIONS = ("none", "sparse", "zstd")


def tables(dataset: Path) -> list[Table]:
    """Streams a dataset that is alone in its folder."""
    command = [*BATCH_SERVER, "serve", "--data", str(dataset.parent), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().removeprefix("listening on ").strip()
        try:
            rates = _measure(address, dataset.stem)
        finally:
            server.terminate()
    notes = f"128x128 gray, batch 256, rotation, shift, scale and stroke dropout; medians of {ROUNDS}."
    rows = [(name, f"{rate:,.0f}", f"{rate / rates['none']:.2f}x") for name, rate in rates.items()]
    return [
        Table("Stream into a process on the same cores", notes, ("compression", "drawings/s", "against none"), rows)
    ]


def _measure(address: str, dataset: str) -> dict[str, float]:
    """Median drawings per second by compression; rounds alternate, so that a busy moment hits all alike."""
    pipeline = inkstream.Pipeline(dataset=dataset, batch_size=256, seed=7, augment=AUGMENT)
    rates: dict[str, list[float]] = {name: [] for name in COMPRESSIONS}
    with inkstream.connect(address) as client:
        epochs = max(1, 40_000 // client.resolve(pipeline).samples)
        for _ in range(ROUNDS):
            for name in COMPRESSIONS:
                with client.stream(pipeline, epochs=epochs, compression=name) as stream:
                    first = next(stream)  # the rest is timed, not the start
                    begun = time.perf_counter()
                    rows = sum(batch.rows.size for batch in stream)
                    rates[name].append(rows / (time.perf_counter() - begun))
                    del first
    return {name: statistics.median(values) for name, values in rates.items()}


if __name__ == "__main__":
    with imported_dataset() as path:
        for table in tables(path):
            print(table.as_text())
