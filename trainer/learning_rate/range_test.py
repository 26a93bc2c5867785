"""The learning-rate range test (Smith 2017, arXiv 1506.01186): losses while the rate rises, and what they suggest.

Each update is made at a higher rate than the one before, by one factor. At first nothing happens, then the loss falls,
then it grows until it is beyond all bounds. The loss is smoothed, since that of one batch is mostly chance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trainer.rules import number

MEMORY = 0.9  # share of what was before in the smoothed loss
DIVERGED = 4.0  # the smoothed loss over its lowest, where the test ends, as in fastai
MOVED = 0.1  # by which share the smoothed loss must have fallen to its lowest and risen from it: less may be chance
SAFETY = 10.0  # the suggested rate is that of the lowest loss, divided by this


@dataclass(frozen=True)
class Rise:
    """How the rate rises.

    Args:
        low: The first rate, above 0.
        high: The last one, above `low`.
        updates: How many there are, at least 10.

    Raises:
        ValueError: A setting breaks its rule.
    """

    low: float = 1e-5
    high: float = 10.0
    updates: int = 150

    def __post_init__(self) -> None:
        number("min_rate", self.low, 1e-12, 100)
        number("max_rate", self.high, 1e-12, 1e6)
        number("updates", self.updates, 10, 10**6)
        if self.low >= self.high:
            raise ValueError(f"min_rate must be below --max-rate, got {self.low:g} and {self.high:g}")

    def factor(self, update: int) -> float:
        """What the first rate is multiplied by in an update, counted from 0."""
        return (self.high / self.low) ** (update / (self.updates - 1))


class Point(NamedTuple):
    """An update of the test.

    Args:
        rate: At which it was made.
        loss: Of its rows, before it.
        smoothed: Exponential average of the losses so far, as if it had begun with none (Adam's correction).
    """

    rate: float
    loss: float
    smoothed: float


class Curve:
    """Takes losses as they come.

    Attributes:
        points: What came.
    """

    def __init__(self) -> None:
        self.points: list[Point] = []
        self._average = 0.0

    def add(self, rate: float, loss: float) -> None:
        """Adds the loss of an update."""
        self._average = MEMORY * self._average + (1 - MEMORY) * loss
        self.points.append(Point(rate, loss, self._average / (1 - MEMORY ** (len(self.points) + 1))))

    @property
    def diverged(self) -> bool:
        """Whether higher rates are not worth trying."""
        last = self.points[-1].smoothed
        return not math.isfinite(last) or last > DIVERGED * min(point.smoothed for point in self.points)


class Suggestion(NamedTuple):
    """What a curve suggests.

    Args:
        rate: To train at, rounded to two digits.
        lowest: Rate with the lowest smoothed loss.
        steepest: Rate at which the smoothed loss fell fastest, per factor of the rate.
    """

    rate: float
    lowest: float
    steepest: float


def suggestion(points: Sequence[Point]) -> Suggestion | None:
    """The rate to train at: a tenth of that with the lowest smoothed loss.

    That is the rule of fastai's `lr_find` (Howard and Gugger 2020, arXiv 2002.04688): at the lowest loss training is
    about to diverge. None where the loss has not fallen, or not risen again: then the curve says nothing.

    Args:
        points: With finite losses, at rates that rise by one factor.
    """
    smoothed = np.array([point.smoothed for point in points])
    lowest = int(smoothed.argmin())
    if min(smoothed[0], smoothed[-1]) <= (1 + MOVED) * smoothed[lowest]:
        return None
    falls = np.diff(smoothed[: lowest + 1])
    rate = points[lowest].rate / SAFETY
    return Suggestion(float(f"{rate:.1e}"), points[lowest].rate, points[int(falls.argmin())].rate)
