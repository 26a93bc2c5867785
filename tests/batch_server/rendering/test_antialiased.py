"""The antialiased style: how near it is to the truth, and what its encodings promise."""

import colorsys
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from batch_server.drawing.record import pack
from batch_server.store.records import Records
from benchmarks.kernel import errors
from inkstream.pipeline import Augment, Erase, Render

Pictures = Callable[..., npt.NDArray[np.uint8]]
WIDEST = ([0, 255], [0, 255])  # a stroke that makes the box around a drawing that of 0..255


@pytest.mark.parametrize(
    ("size", "width", "over_all", "over_ink"), [(128, 2.0, 0.32, 3.1), (64, 2.0, 0.9, 4.5), (64, 1.0, 0.8, 5.8)]
)
def test_near_to_supersampled_truth(real: list[Any], size: int, width: float, over_all: float, over_ink: float) -> None:
    records = Records.of([pack(drawing) for drawing in real[::10]])
    of_all, of_ink, far = errors(records, np.zeros(len(records), np.uint64), size, width)
    print(f"{size} px, {width} px lines: {of_all:.3f} over all, {of_ink:.2f} over ink, {far:.2%} off by 64")
    assert of_all < over_all
    assert of_ink < over_ink
    assert far < 0.005


@pytest.mark.parametrize("width", [0.5, 1.0, 2.0, 3.7, 32.0])
def test_lines_along_the_grid_are_exact(pictures: Pictures, width: float) -> None:
    across, down = pictures(
        [[([0, 255], [127, 127])], [([127, 127], [0, 255])]], Render(size=128, line_width_px=width)
    )[..., 0]
    assert abs(int(across[:, 64].sum()) - width * 255) <= 2
    np.testing.assert_array_equal(across.T, down)


@pytest.mark.parametrize("width", [2.0, 9.0, 32.0])
def test_dot_is_a_disc_of_the_lines_width(pictures: Pictures, width: float) -> None:
    one, two = pictures([[([99], [99])], [([99, 99], [99, 99])]], Render(size=128, line_width_px=width))
    assert abs(one.sum() / 255 - math.pi * width * width / 4) < 0.05 * width * width
    np.testing.assert_array_equal(one, two)


def test_no_ink_is_cut_without_augmentation(pictures: Pictures) -> None:
    frame = [([0, 255, 255, 0, 0], [0, 0, 255, 255, 0])]
    for size, width in ((8, 2.0), (28, 1.5), (128, 2.0), (128, 32.0), (1280, 64.0)):
        picture = pictures([frame], Render(size=size, line_width_px=width))[0, ..., 0]
        assert (picture[: int(width / 2)] == 0).all()  # half a line's width stays free
        upper_half = picture[: size // 2, size // 2 - 1 : size // 2 + 1].astype(int)
        np.testing.assert_allclose(upper_half.sum(0) / 255, width, atol=0.01)
        assert (upper_half[math.ceil(width / 2) : int(1.5 * width)] == 255).all()
        for other in (picture.T, picture[::-1], picture[:, ::-1]):
            np.testing.assert_allclose(picture, other, atol=1)


def test_a_lone_point_is_in_the_middle(pictures: Pictures) -> None:
    corners = [[([x], [y])] for x in (0, 255) for y in (0, 255)]
    for size in (9, 65):
        dots = pictures(corners, Render(size=size))
        assert (dots == dots[0]).all()
        assert dots[0, size // 2, size // 2, 0] == 255
        for other in (dots[:, ::-1], dots[:, :, ::-1]):
            np.testing.assert_array_equal(dots, other)


@pytest.mark.parametrize("encoding", ["gray", "order", "thirds", "rainbow"])
def test_where_in_its_coordinates_a_drawing_lies_matters_in_classic_only(
    pictures: Pictures, generated: list[Any], encoding: str
) -> None:
    small = [[([x // 2 for x in xs], [y // 3 for y in ys]) for xs, ys in drawing] for drawing in generated]
    moved = [
        [([x + 1 + 2 * i for x in xs], [y + 170 - 2 * i for y in ys]) for xs, ys in drawing]
        for i, drawing in enumerate(small)
    ]
    augment = Augment(rotate_deg=180, shift=0.1, shear=0.3, scale=(0.5, 1.5), stroke_dropout=0.3, jitter=0.01)
    render = Render(size=50, encoding=encoding)
    for chosen in (None, augment):
        np.testing.assert_array_equal(pictures(small, render, chosen), pictures(moved, render, chosen))
    classic = Render(size=50, encoding=encoding, style="classic")
    assert (pictures(small, classic) != pictures(moved, classic)).any((1, 2, 3)).all()


def test_coverage_ends_at_exactly_ink_and_paper(pictures: Pictures, generated: list[Any]) -> None:
    coverage = pictures(generated, Render(size=64, line_width_px=3)).astype(int)
    assert coverage.min() == 0
    assert coverage.max() == 255
    for ink, paper in ((0, 255), (200, 30), (99, 98)):
        mixed = pictures(generated, Render(size=64, line_width_px=3, ink=ink, paper=paper))
        np.testing.assert_array_equal(mixed, np.floor(paper + (ink - paper) * coverage / 255 + 0.5))
        thirds = pictures(generated, Render(size=64, line_width_px=3, ink=ink, paper=paper, encoding="thirds"))
        np.testing.assert_array_equal(thirds[..., 2:], mixed)


def test_order_darkens_stroke_by_stroke(pictures: Pictures) -> None:
    strokes = [([20, 230], [y, y]) for y in range(10, 250, 20)]  # 12 strokes that do not touch
    for ink, paper in ((255, 0), (0, 255), (200, 40)):
        picture = pictures([strokes], Render(size=256, encoding="order", ink=ink, paper=paper))[0, ..., 0].astype(int)
        rows = [int(128 + (y - 120) * 252 / 255) for y in range(10, 250, 20)]
        expected = [math.floor(paper + (ink - paper) * (255 - 13 * min(k, 10)) / 255 + 0.5) for k in range(12)]
        assert [int(picture[row, 128]) for row in rows] == expected


def test_later_strokes_lie_on_top(pictures: Pictures) -> None:
    cross = [([128, 128], [0, 255]), ([0, 255], [128, 128])]
    render = Render(size=129, encoding="order", line_width_px=6)
    assert pictures([cross], render)[0, 65, 65, 0] == 255 - 13
    assert pictures([cross[::-1]], render)[0, 65, 65, 0] == 255 - 13
    red_then_cyan = pictures([cross], Render(size=129, encoding="rainbow", line_width_px=6))[0]
    assert red_then_cyan[65, 65].tolist() == [0, 255, 255]
    assert red_then_cyan[20, 65].tolist() == [255, 0, 0]


def test_thirds_are_pictures_of_the_first_strokes(pictures: Pictures, generated: list[Any]) -> None:
    whole = [[WIDEST, *drawing] for drawing in generated]  # so that the first strokes lie where they lie in the whole
    thirds = pictures(whole, Render(size=64, encoding="thirds"))
    for channel in range(3):
        shown = [drawing[: math.ceil(len(drawing) * (channel + 1) / 3)] for drawing in whole]
        np.testing.assert_array_equal(thirds[..., channel], pictures(shown, Render(size=64))[..., 0])


def test_rainbow_turns_by_whole_hues(pictures: Pictures) -> None:
    for count in (1, 2, 7, 12):
        strokes = [([20, 230], [10 + 20 * k] * 2) for k in range(count)]
        picture = pictures([strokes], Render(size=256, encoding="rainbow", ink=220, paper=40))[0]
        for k in range(count):
            colour = picture[int(128 + (20 * k - 10 * (count - 1)) * 252 / 255), 128].astype(float)
            np.testing.assert_allclose(
                colour, np.multiply(colorsys.hsv_to_rgb(k * (180 // count) / 180, 1, 1), 220), atol=0.5
            )
        assert (picture[255, 255] == 40).all()


def test_one_stroke_is_ink_in_gray_and_order(pictures: Pictures, generated: list[Any]) -> None:
    single = [drawing[:1] for drawing in generated]
    np.testing.assert_array_equal(
        pictures(single, Render(size=64)), pictures(single, Render(size=64, encoding="order"))
    )


@pytest.mark.parametrize("style", ["antialiased", "classic"])
@pytest.mark.parametrize("encoding", ["gray", "order", "thirds", "rainbow"])
def test_empty_record_is_paper(pictures: Pictures, generated: list[Any], style: str, encoding: str) -> None:
    augment = Augment(rotate_deg=30, crop=0.2, erase=Erase(probability=1))
    colours = {} if (style, encoding) == ("classic", "rainbow") else {"ink": 10, "paper": 200}
    render = Render(size=32, encoding=encoding, style=style, **colours)
    rows = pictures([None, generated[0], None], render, augment)
    paper = np.frombuffer(render.paper_pixel, np.uint8)
    assert (rows[0] == paper).all()
    assert (rows[2] == paper).all()
    assert (rows[1] != paper).any()
    np.testing.assert_array_equal(rows[1], pictures([generated[0]], render, augment, key_ids=[1])[0])


def test_a_picture_at_every_size(pictures: Pictures, generated: list[Any]) -> None:
    for size in (*range(8, 40), 127, 128, 129, 640, 1279, 1280):
        for style in ("antialiased", "classic"):
            picture = pictures(generated[:2], Render(size=size, style=style, encoding="order"))
            assert len(np.unique(picture)) > 2
