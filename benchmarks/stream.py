"""Drawings per second from a batch server on this machine into this process, by compression.

`python -m benchmarks.stream [DATASET.lmdb]`; without a dataset it imports generated sketches. Server and client share
the machine's cores. The ratio compares with `none` in the same run.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import inkstream
from deploy.sketches import write_labelled

ROUNDS = 3
COMPRESSIONS = ("none", "sparse", "zstd")
AUGMENT = inkstream.Augment(rotate_deg=10, shift=0.05, scale=(0.9, 1.1), stroke_dropout=0.05)
BATCH_SERVER = (sys.executable, "-m", "batch_server")


def main() -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as scratch:
        dataset = Path(sys.argv[1]) if len(sys.argv) > 1 else _sketches(Path(scratch))
        command = [*BATCH_SERVER, "serve", "--data", str(dataset.parent), "--listen", "127.0.0.1:0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
            assert server.stdout is not None
            address = server.stdout.readline().removeprefix("listening on ").strip()
            try:
                rates = _measure(address, dataset.stem)
            finally:
                server.terminate()
    print("128x128 gray, batch 256, rotation, shift, scale and stroke dropout; medians of", ROUNDS)
    print(f"{'compression':<12}{'drawings/s':>12}{'against none':>14}")
    for name, rate in rates.items():
        print(f"{name:<12}{rate:>12,.0f}{rate / rates['none']:>13.2f}x")


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


def _sketches(folder: Path) -> Path:
    write_labelled(folder / "sketches", per_class=500, seed=1)
    dataset = folder / "data" / "sketches.lmdb"
    dataset.parent.mkdir()
    command = [*BATCH_SERVER, "import", str(folder / "sketches"), "--dataset", str(dataset)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return dataset


if __name__ == "__main__":
    main()
