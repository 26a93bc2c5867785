"""How long to train on how many drawings, so that the demo takes minutes on two cores."""

from collections.abc import Mapping
from typing import NamedTuple

VALIDATION = 0.1
# The small CNN takes about 1.4 ms per drawing at 64 px on two cores, so this many are two minutes.
BUDGET_DRAWINGS = 85_000
MAX_EPOCHS = 12


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
        counts: Drawings of each class.
    """
    total = sum(counts.values())
    classes = None
    if (1 - VALIDATION) * total > 4 * BUDGET_DRAWINGS:
        classes = _largest(counts, 4 * BUDGET_DRAWINGS)
        total = sum(counts[name] for name in classes)
    samples = round((1 - VALIDATION) * total)
    # A quarter of the pixels takes a quarter of the time.
    size_px, budget = (64, BUDGET_DRAWINGS) if samples <= BUDGET_DRAWINGS else (32, 4 * BUDGET_DRAWINGS)
    epochs = max(1, min(MAX_EPOCHS, round(budget / samples)))
    return Plan(samples, len(classes or counts), classes, epochs, size_px)


def _largest(counts: Mapping[str, int], budget: int) -> list[str]:
    """Classes in order of size, at least two, as long as they fit into the budget."""
    chosen: list[str] = []
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        if len(chosen) >= 2 and sum(counts[each] for each in chosen) + counts[name] > budget:
            break
        chosen.append(name)
    return chosen
