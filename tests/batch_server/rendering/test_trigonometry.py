"""The renderer's own sine and cosine."""

import math

import numpy as np

from batch_server.rendering.trigonometry import sine_cosine


def test_near_to_the_true_values() -> None:
    for angle in np.linspace(-180, 180, 20_001):
        sine, cosine = sine_cosine(angle)
        assert abs(sine - math.sin(math.radians(angle))) < 1e-15
        assert abs(cosine - math.cos(math.radians(angle))) < 1e-15


def test_exact_at_quarter_turns() -> None:
    assert [sine_cosine(float(angle)) for angle in (-180, -90, 0, 90, 180)] == [
        (0, -1),
        (-1, 0),
        (0, 1),
        (1, 0),
        (0, -1),
    ]
