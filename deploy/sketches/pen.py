"""A pen in a hand that shakes: lines that wobble, loops that do not close, corners that miss."""

import math
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]
Stroke: TypeAlias = list[Point]


class Pen:
    """Collects the strokes of one drawing.

    Subjects are drawn in a box of about -1..1, x to the right and y down. What leaves the pen is as sparse as Quick,
    Draw!'s simplified drawings: a straight line has two or three points, a circle about a dozen.

    Attributes:
        rng: Every random choice of the drawing.
        strokes: What has been drawn so far.
    """

    def __init__(self, rng: random.Random, shake: float) -> None:
        """Takes the pen.

        Args:
            rng: The source of all randomness.
            shake: Standard deviation of a point's error, as a share of the line's length: 0.02 neat, 0.08 a scrawl.
        """
        self.rng = rng
        self.shake = shake
        self.strokes: list[Stroke] = []

    def between(self, low: float, high: float) -> float:
        """A number in low..high."""
        return self.rng.uniform(low, high)

    def maybe(self, probability: float) -> bool:
        """True with that probability."""
        return self.rng.random() < probability

    def line(self, *corners: Point) -> None:
        """A polyline in one stroke, its ends too short or too long by a little."""
        self.strokes.append(self._overshoot(self._wobble(corners)))

    def polygon(self, *corners: Point) -> None:
        """A closed outline: in one stroke, or side by side as many people draw boxes."""
        ring = [*corners, corners[0]]
        if self.maybe(0.3):
            for a, b in pairwise(ring):
                self.line(a, b)
        else:
            self.line(*ring)

    def arc(self, x: float, y: float, rx: float, ry: float, start_deg: float, sweep_deg: float) -> None:
        """Part of an ellipse, clockwise on the screen from the angle `start_deg` (0 points right, 90 down)."""
        pieces = max(3, round(abs(sweep_deg) / 28 * min(1.5, 0.6 + max(rx, ry))))
        angles = [math.radians(start_deg + sweep_deg * k / pieces) for k in range(pieces + 1)]
        jitter = self.shake * (rx + ry) / 2
        self.strokes.append([self._near(x + rx * math.cos(a), y + ry * math.sin(a), jitter) for a in angles])

    def ellipse(self, x: float, y: float, rx: float, ry: float) -> None:
        """A loop that starts near the top, and ends a bit before or after its start."""
        gap = self.rng.gauss(0, 10 + 150 * self.shake)
        turn = self.rng.choice((-1, 1))
        self.arc(x, y, rx, ry, -90 + self.rng.gauss(0, 40), turn * (360 + gap))

    def circle(self, x: float, y: float, radius: float) -> None:
        """An ellipse that was meant to be round."""
        self.ellipse(x, y, radius * self.between(0.85, 1.15), radius)

    def dot(self, x: float, y: float) -> None:
        """A touch of the pen: two points at one place, as in Quick, Draw!."""
        point = self._near(x, y, 0.02)
        self.strokes.append([point, point])

    def _near(self, x: float, y: float, jitter: float) -> Point:
        return self.rng.gauss(x, jitter), self.rng.gauss(y, jitter)

    def _wobble(self, corners: Sequence[Point]) -> Stroke:
        """The corners, each missed by a little, and long sides bent at a point on the way."""
        length = sum(math.dist(a, b) for a, b in pairwise(corners))
        jitter = self.shake * length / max(1, len(corners) - 1)
        missed = [self._near(x, y, jitter) for x, y in corners]
        stroke = missed[:1]
        for (ax, ay), (bx, by) in pairwise(missed):
            if math.dist((ax, ay), (bx, by)) > 0.5:
                share = self.between(0.3, 0.7)
                stroke.append(self._near(ax + (bx - ax) * share, ay + (by - ay) * share, 0.5 * jitter))
            stroke.append((bx, by))
        return stroke

    def _overshoot(self, stroke: Stroke) -> Stroke:
        """The stroke, its last piece a little longer or shorter than it should be."""
        (ax, ay), (bx, by) = stroke[-2:]
        share = 1 + self.rng.gauss(0, 1.5 * self.shake)
        return [*stroke[:-1], (ax + (bx - ax) * share, ay + (by - ay) * share)]
