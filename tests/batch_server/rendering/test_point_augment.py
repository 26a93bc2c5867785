"""Augmentation of points: what it depends on, how far it goes, and that operations leave each other alone.

Matrices are measured in pictures: three dots, each the only one that its channel of `thirds` adds.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from inkstream.pipeline import Augment, Erase, Render

Pictures = Callable[..., npt.NDArray[np.uint8]]
Floats = npt.NDArray[np.float64]

SIZE, WIDTH, SAMPLES = 256, 6.0, 300
ARM = 40  # coordinates from the first dot to the others; the middle between these is that of the box around all
DOT = ([127, 128], [127, 128])
DOTS = [DOT, ([127 + ARM, 128 + ARM], [127, 128]), ([127, 128], [127 + ARM, 128 + ARM])]
PX_PER_UNIT = (SIZE - 2 * WIDTH) / 255

GENTLE = Augment(
    rotate_deg=20,
    shift=0.05,
    shear=0.2,
    scale=(0.8, 1.2),
    zoom=(0.9, 1.1),
    flip_horizontal=0.5,
    flip_vertical=0.5,
    stroke_dropout=0.3,
    jitter=0.01,
)


def centroids(pictures: npt.NDArray[np.uint8]) -> Floats:
    """Centre of the ink of each picture `[n, size, size]`, x and y in pixels from the picture's centre, `[n, 2]`."""
    ink = pictures.astype(float)
    position = np.arange(ink.shape[1]) + 0.5 - ink.shape[1] / 2
    total = ink.sum((1, 2))
    return np.stack([(ink.sum(1) * position).sum(1) / total, (ink.sum(2) * position).sum(1) / total], 1)


def measured(pictures: Pictures, augment: Augment, samples: int = SAMPLES) -> tuple[Floats, Floats]:
    """The matrix of each of so many drawings, `[n, 2, 2]`, and its shift in pixels, `[n, 2]`."""
    thirds = pictures([DOTS] * samples, Render(size=SIZE, encoding="thirds", line_width_px=WIDTH), augment)
    corner, right, low = (
        centroids(dot) for dot in (thirds[..., 0], thirds[..., 1] - thirds[..., 0], thirds[..., 2] - thirds[..., 1])
    )
    return np.stack([right - corner, low - corner], 2) / (ARM * PX_PER_UNIT), (right + low) / 2


def assert_uniform(values: Floats, low: float, high: float, slack: float) -> None:
    """All values lie in the range, and their empirical distribution is near to the uniform one (Kolmogorov-Smirnov)."""
    assert values.min() >= low - slack
    assert values.max() <= high + slack
    share = (np.sort(values) - low) / (high - low)
    assert np.abs(share - (np.arange(len(share)) + 0.5) / len(share)).max() < 1.95 / np.sqrt(len(share))  # p = 0.001


def test_nothing_is_moved_by_default(pictures: Pictures) -> None:
    matrices, shifts = measured(pictures, Augment(), 2)
    np.testing.assert_allclose(matrices, [np.eye(2)] * 2, atol=1e-3)
    np.testing.assert_allclose(shifts, 0, atol=0.02)


def test_rotation_is_uniform(pictures: Pictures) -> None:
    matrices, shifts = measured(pictures, Augment(rotate_deg=30))
    assert_uniform(np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])), -30, 30, 0.1)
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=5e-3)
    np.testing.assert_allclose(matrices @ matrices.transpose(0, 2, 1), [np.eye(2)] * SAMPLES, atol=5e-3)
    np.testing.assert_allclose(shifts, 0, atol=0.05)


def test_shift_is_uniform_in_shares_of_the_side(pictures: Pictures) -> None:
    matrices, shifts = measured(pictures, Augment(shift=0.05))
    for axis in (0, 1):
        assert_uniform(shifts[:, axis], -0.05 * SIZE, 0.05 * SIZE, 0.05)
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.2
    np.testing.assert_allclose(matrices, [np.eye(2)] * SAMPLES, atol=5e-3)


def test_scale_is_per_axis_and_zoom_is_not(pictures: Pictures) -> None:
    scaled, _ = measured(pictures, Augment(scale=(0.5, 1.5)))
    for axis in (0, 1):
        assert_uniform(scaled[:, axis, axis], 0.5, 1.5, 0.01)
    assert abs(np.corrcoef(scaled[:, 0, 0], scaled[:, 1, 1])[0, 1]) < 0.2
    np.testing.assert_allclose(scaled[:, [0, 1], [1, 0]], 0, atol=5e-3)
    zoomed, _ = measured(pictures, Augment(zoom=(0.5, 1.5)))
    assert_uniform(zoomed[:, 0, 0], 0.5, 1.5, 0.01)
    np.testing.assert_allclose(zoomed[:, 0, 0], zoomed[:, 1, 1], atol=5e-3)


def test_shear_is_uniform_per_axis(pictures: Pictures) -> None:
    matrices, _ = measured(pictures, Augment(shear=0.4))
    assert_uniform(matrices[:, 0, 1], -0.4, 0.4, 0.01)
    assert_uniform(matrices[:, 1, 0], -0.4, 0.4, 0.01)
    np.testing.assert_allclose(matrices[:, [0, 1], [0, 1]], 1, atol=5e-3)


def test_flips_happen_as_often_as_asked(pictures: Pictures) -> None:
    matrices, _ = measured(pictures, Augment(flip_horizontal=0.25, flip_vertical=0.75))
    assert 0.15 < (matrices[:, 0, 0] < 0).mean() < 0.35
    assert 0.65 < (matrices[:, 1, 1] < 0).mean() < 0.85
    always, _ = measured(pictures, Augment(flip_horizontal=1), 20)
    np.testing.assert_allclose(always, [np.diag([-1, 1])] * 20, atol=5e-3)


def test_operations_have_their_own_numbers_and_a_fixed_order(pictures: Pictures) -> None:
    """What each operation does alone, multiplied in the documented order, is what all do together."""
    flips, _ = measured(pictures, Augment(flip_horizontal=0.5, flip_vertical=0.5))
    scales, _ = measured(pictures, Augment(scale=(0.8, 1.2)))
    zooms, _ = measured(pictures, Augment(zoom=(0.9, 1.1)))
    shears, _ = measured(pictures, Augment(shear=0.2))
    turns, _ = measured(pictures, Augment(rotate_deg=20))
    _, shifts = measured(pictures, Augment(shift=0.05))
    matrices, together = measured(
        pictures,
        Augment(
            rotate_deg=20,
            shift=0.05,
            shear=0.2,
            scale=(0.8, 1.2),
            zoom=(0.9, 1.1),
            flip_horizontal=0.5,
            flip_vertical=0.5,
        ),
    )
    np.testing.assert_allclose(matrices, turns @ shears @ zooms @ scales @ flips, atol=0.02)
    np.testing.assert_allclose(together, shifts, atol=0.1)


@pytest.mark.parametrize("style", ["antialiased", "classic"])
def test_what_a_drawing_gets_depends_on_seed_epoch_and_key_id_alone(
    pictures: Pictures, generated: list[Any], style: str
) -> None:
    width = {"line_width": (0.5, 2.0)} if style == "antialiased" else {}
    augment = Augment(**(vars(GENTLE) | {"crop": 0.1, "erase": Erase()} | width))
    render = Render(size=48, style=style, encoding="order")
    key_ids = [7919 * i + 3 for i in range(len(generated))]
    whole = pictures(generated, render, augment, key_ids=key_ids)
    order = np.random.default_rng(1).permutation(len(generated))
    permuted = pictures([generated[i] for i in order], render, augment, key_ids=[key_ids[i] for i in order])
    np.testing.assert_array_equal(permuted, whole[order])
    for size in (1, 7):
        parts = [
            pictures(generated[start : start + size], render, augment, key_ids=key_ids[start : start + size])
            for start in range(0, len(generated), size)
        ]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    for change in ({"seed": 2}, {"epoch": 1}, {"key_ids": [key + 1 for key in key_ids]}):
        other = pictures(generated, render, augment, **({"key_ids": key_ids} | change))
        assert (other != whole).any((1, 2, 3)).mean() > 0.95
    # (seed 1, epoch 1) is not (seed 2, epoch 0).
    shifted = pictures(generated, render, augment, seed=2, epoch=0, key_ids=key_ids)
    assert (shifted != pictures(generated, render, augment, seed=1, epoch=1, key_ids=key_ids)).any(
        (1, 2, 3)
    ).mean() > 0.9


GRID = [([x, x], [y, y]) for y in range(8, 256, 48) for x in range(8, 256, 48)]  # 36 dots


def dots_left(pictures: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.bool_]:
    """Which dots of `GRID` are in each picture of lines of 4 px, `[n, 36]`."""
    at = [[int(size / 2 + (c - 128) * (size - 8) / 255) for c in (ys[0], xs[0])] for xs, ys in GRID]
    return np.stack([pictures[:, y, x, 0] > 0 for y, x in at], 1)


def test_dropout_leaves_out_each_stroke_alike_but_never_all(pictures: Pictures) -> None:
    render = Render(size=SIZE, line_width_px=4)
    left = dots_left(pictures([GRID] * SAMPLES, render, Augment(stroke_dropout=0.3)), SIZE)
    assert abs(left.mean() - 0.7) < 0.02
    assert (np.abs(left.mean(0) - 0.7) < 0.12).all()
    more = dots_left(pictures([GRID] * SAMPLES, render, Augment(stroke_dropout=0.6)), SIZE)
    assert (left | ~more).all()  # a stroke that stays at 0.6 stays at 0.3
    nearly_all = dots_left(pictures([GRID] * SAMPLES, render, Augment(stroke_dropout=0.999999)), SIZE)
    assert (nearly_all.sum(1) == 1).all()
    assert nearly_all.any(0).mean() > 0.9  # which one stays is random


@pytest.mark.parametrize("style", ["antialiased", "classic"])
@pytest.mark.parametrize("encoding", ["order", "thirds", "rainbow"])
def test_strokes_count_after_dropout(pictures: Pictures, style: str, encoding: str) -> None:
    """A drawing without some strokes is encoded as if it never had them."""
    left = dots_left(pictures([GRID] * 40, Render(size=SIZE, line_width_px=4), Augment(stroke_dropout=0.5)), SIZE)
    render = Render(size=SIZE, style=style, encoding=encoding)
    dropped = pictures([GRID] * 40, render, Augment(stroke_dropout=0.5))
    remaining = [[stroke for stroke, stays in zip(GRID, row, strict=True) if stays] for row in left]
    # A new drawing is centred by what is left; it compares where all four sides of the grid still have a dot.
    sides = left.reshape(-1, 6, 6)[:, [0, -1]].any(2).all(1) & left.reshape(-1, 6, 6)[:, :, [0, -1]].any(1).all(1)
    comparable = sides if style == "antialiased" else np.full(40, True)
    assert comparable.sum() >= 30
    np.testing.assert_array_equal(dropped[comparable], pictures(remaining, render)[comparable])


def test_jitter_moves_each_point_within_its_range(pictures: Pictures) -> None:
    lines = pictures([[DOT]] * SAMPLES, Render(size=SIZE, line_width_px=WIDTH), Augment(jitter=0.1))
    dots = pictures([[([64], [192])]] * SAMPLES, Render(size=SIZE, line_width_px=WIDTH), Augment(jitter=0.1))
    moved = centroids(dots[..., 0])
    for axis in (0, 1):
        assert_uniform(moved[:, axis], -0.1 * SIZE, 0.1 * SIZE, 0.05)
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.2
    assert lines.sum((1, 2, 3)).std() > 255 * WIDTH  # the two ends of a line move apart


def test_jitter_of_a_stroke_does_not_depend_on_dropped_ones(pictures: Pictures) -> None:
    render = Render(size=SIZE, line_width_px=4)
    jittered = pictures([GRID] * 30, render, Augment(jitter=0.02))[..., 0]
    fewer = pictures([GRID] * 30, render, Augment(jitter=0.02, stroke_dropout=0.5))[..., 0]
    assert (fewer <= jittered).all()
    assert fewer.sum() < 0.6 * jittered.sum()


def test_line_width_is_multiplied(pictures: Pictures) -> None:
    areas = pictures([[([128], [128])]] * SAMPLES, Render(size=SIZE, line_width_px=20), Augment(line_width=(0.5, 2)))
    widths = np.sqrt(areas.sum((1, 2, 3)) / 255 / np.pi * 4)
    assert_uniform(widths, 10, 40, 0.3)
