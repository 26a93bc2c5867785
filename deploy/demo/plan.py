"""How long to train on how many drawings, so that the demo takes minutes on two cores."""

from collections.abc import Mapping
from typing import NamedTuple

VALIDATION = 0.1
BUDGET_S = 55
# Seconds for which the small CNN trains on one drawing, on two cores, by the side of its picture in pixels.
COST_S = {64: 1.7e-3, 48: 1.3e-3, 32: 0.9e-3}
SMALLEST_PX = min(COST_S)
# Pictures are as large as leaves so many epochs; fewer teach less than larger pictures do.
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
    most = int(BUDGET_S / COST_S[SMALLEST_PX] / (1 - VALIDATION))  # for one epoch of the smallest pictures
    classes = _largest(counts, most)
    samples = round((1 - VALIDATION) * sum(counts[name] for name in classes or counts))
    enough = [size_px for size_px, cost_s in COST_S.items() if MIN_EPOCHS * samples * cost_s <= BUDGET_S]
    size_px = max(enough, default=SMALLEST_PX)
    epochs = max(1, min(MAX_EPOCHS, round(BUDGET_S / (samples * COST_S[size_px]))))
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
