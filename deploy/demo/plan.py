"""How long to train on how many drawings, so that the demo takes minutes on two cores."""

from collections.abc import Mapping
from typing import NamedTuple

VALIDATION = 0.1
# The small CNN trains on about 700 drawings a second at 64 px on two cores, and time goes with the pixels: 45 seconds.
BUDGET_PX = 32_000 * 64 * 64
# As large as leaves so many epochs; fewer than that teach less than larger pictures do.
SIZES_PX = (64, 48, 32)
MIN_EPOCHS = 5
MAX_EPOCHS = 20


class Plan(NamedTuple):
    """What to train on, and how.

    Attributes:
        samples: Drawings to train on, about.
        classes_count: Classes among them.
        classes: Their names; None means all that there are.
        epochs: Passes over them.
        size_px: Side of the pictures.
    """

    samples: int
    classes_count: int
    classes: list[str] | None
    epochs: int
    size_px: int

    def options(self) -> list[str]:
        """Of `trainer fit`."""
        options = ["--model", "cnn", "--size", str(self.size_px), "--encoding", "thirds", "--batch-size", "64"]
        options += ["--epochs", str(self.epochs), "--validation", str(VALIDATION), "--seed", "1"]
        options += ["--rotate-deg", "10", "--shift", "0.05", "--scale", "0.9", "1.1", "--stroke-dropout", "0.05"]
        return [*options, "--classes", *self.classes] if self.classes else options


def make_plan(counts: Mapping[str, int]) -> Plan:
    """Spends the budget.

    Args:
        counts: Drawings of each class, more than none.
    """
    most = int(BUDGET_PX / SIZES_PX[-1] ** 2 / (1 - VALIDATION))  # for one epoch of the smallest pictures
    classes = _largest(counts, most)
    samples = round((1 - VALIDATION) * sum(counts[name] for name in classes or counts))
    size_px = next((size for size in SIZES_PX if BUDGET_PX >= MIN_EPOCHS * samples * size**2), SIZES_PX[-1])
    epochs = max(1, min(MAX_EPOCHS, round(BUDGET_PX / (samples * size_px**2))))
    return Plan(samples, len(classes or counts), classes, epochs, size_px)


def _largest(counts: Mapping[str, int], most: int) -> list[str] | None:
    """The largest classes that together have no more than `most` drawings, but at least two; None if that is all."""
    chosen: list[str] = []
    left = most
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        left -= counts[name]
        if len(chosen) >= 2 and left < 0:
            return chosen
        chosen.append(name)
    return None
