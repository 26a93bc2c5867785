"""From rates to tables."""

import statistics
from collections.abc import Mapping, Sequence

from benchmarks.peers.settings import DATALOADER, KERNEL, NONE, PINS, SPARSE
from benchmarks.table import Table

Rates = Mapping[tuple[str, str], Sequence[float]]

_COMPARED = ("torch", "grain", "tensorflow-cpu", "opencv-python-headless", "lmdb", "orjson")
_VERSIONS = dict(line.split("==") for line in PINS.read_text().split())
_NOTES = (
    "Everybody reads the same drawings, augments their points alike and draws them antialiased, with the same cores "
    "for everything. Peers keep a drawing as JSON text in LMDB and draw with OpenCV, a batch a call; of each the best "
    "setting is shown. Inkstream's batches come over gRPC from a server process on the same cores. "
    f"{', '.join(f'{name} {_VERSIONS[name]}' for name in _COMPARED)}."
)


def tables_of(rates: Rates) -> list[Table]:
    """The best setting of each way, the highest rate first; then all settings.

    Args:
        rates: Drawings per second, by way and setting, a value a round.
    """
    medians = {key: statistics.median(values) for key, values in rates.items()}
    best: dict[str, float] = {}
    for (way, _), rate in medians.items():
        best[way] = max(rate, best.get(way, 0))
    dataloader = best[DATALOADER]

    def row(name: str, rate: float) -> tuple[str, str, str]:
        return name, f"{rate:,.0f}", f"{rate / dataloader:.1f}x"

    summary = Table(
        "Against what people use today",
        _NOTES,
        ("way", "drawings/s into the training process", f"against {DATALOADER}"),
        [row(way, rate) for way, rate in sorted(best.items(), key=lambda item: -item[1]) if way != KERNEL],
        {
            "sparse_against_dataloader": best[SPARSE] / dataloader,
            "none_against_dataloader": best[NONE] / dataloader,
            "percent_of_kernel": 100 * best[SPARSE] / best[KERNEL],
        },
    )
    everything = Table(
        "The same, in every setting",
        "The kernels alone draw on all cores, into memory that nobody reads: what a wire without any cost would give.",
        ("way", "drawings/s", "against the best DataLoader", "lowest", "highest"),
        [
            (*row(", ".join(filter(None, key)), medians[key]), f"{min(values):,.0f}", f"{max(values):,.0f}")
            for key, values in rates.items()
        ],
    )
    return [summary, everything]
