"""The classic style against a straightforward OpenCV program, pixel for pixel."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from batch_server.rendering.hues import CLASSIC_RGB
from inkstream.pipeline import Augment, Render

Pictures = Callable[..., npt.NDArray[np.uint8]]
SIZES = (8, 28, 64, 100, 128, 255, 256, 257, 512, 1280)


def drawn_by_opencv(drawing: Any, encoding: str) -> npt.NDArray[np.uint8]:
    """256 x 256, as the competition's pipelines drew."""
    if encoding == "gray":
        canvas = np.full((256, 256), 255, np.uint8)
    else:
        canvas = np.zeros((256, 256, 3), np.uint8)
        canvas[:] = (0, 0, 255)
    hue = 0
    for xs, ys in drawing:
        colour = 0 if encoding == "gray" else (hue, 255, 220)
        for i in range(len(xs) - 1):
            cv2.line(canvas, (xs[i], ys[i]), (xs[i + 1], ys[i + 1]), colour, 3, cv2.LINE_4)
        hue += 180 // len(drawing)
    return canvas if encoding == "gray" else cv2.cvtColor(canvas, cv2.COLOR_HSV2RGB)


def resized(picture: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR).reshape(size, size, -1)


def check_equal(pictures: Pictures, drawings: list[Any], encoding: str) -> None:
    drawings = [drawing for drawing in drawings if min(len(xs) for xs, _ in drawing) > 1]  # OpenCV draws no lone point
    references = [drawn_by_opencv(drawing, encoding) for drawing in drawings]
    for size in SIZES:
        some = slice(0, 10) if size > 300 else slice(None)
        ours = pictures(drawings[some], Render(size=size, style="classic", encoding=encoding))
        for picture, reference in zip(ours, references[some], strict=True):
            np.testing.assert_array_equal(picture, resized(reference, size), err_msg=f"size {size}")


@pytest.mark.parametrize("encoding", ["gray", "rainbow"])
def test_generated_drawings_equal_opencv(pictures: Pictures, generated: list[Any], encoding: str) -> None:
    check_equal(pictures, generated, encoding)


@pytest.mark.parametrize("encoding", ["gray", "rainbow"])
def test_real_drawings_equal_opencv(pictures: Pictures, real: list[Any], encoding: str) -> None:
    check_equal(pictures, real, encoding)


@pytest.mark.parametrize("encoding", ["gray", "rainbow"])
def test_difference_to_a_resize_in_floating_point(
    pictures: Pictures, real: list[Any], encoding: str, record_property: Callable[[str, object], None]
) -> None:
    """The system it comes from divided by 255 before it resized: rounding is then all that differs."""
    drawings = real[::4]
    for size, bound in ((64, 0.5), (128, 0.5), (256, 0.0)):
        ours = pictures(drawings, Render(size=size, style="classic", encoding=encoding)) / 255.0
        theirs = [resized(drawn_by_opencv(drawing, encoding).astype(np.float32) / 255, size) for drawing in drawings]
        largest = float(np.abs(ours - np.stack(theirs)).max() * 255)
        print(f"{encoding} at {size}: largest difference to float32 {largest:.4f} / 255")
        record_property(f"largest_difference_{encoding}_{size}", largest)
        assert largest <= bound + 1e-3


def test_table_of_hues_is_opencvs() -> None:
    hsv = np.full((1, 192, 3), (0, 255, 220), np.uint8)
    hsv[0, :180, 0] = np.arange(180)
    # Only the vectorised body of the conversion is meant, which takes 32 pixels at a time.
    converted = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, :180]
    np.testing.assert_array_equal(CLASSIC_RGB, converted)


def test_lone_point_is_the_dot_of_two_equal_points(pictures: Pictures) -> None:
    render = Render(size=256, style="classic")
    one, two = pictures([[([40], [50])], [([40, 40], [50, 50])]], render)
    np.testing.assert_array_equal(one, two)
    assert (one == 0).sum() == (pictures([[([40, 40], [50, 50])]], render) == 0).sum() > 0


def test_whole_turns_and_mirrors_move_pixels_without_changing_them(pictures: Pictures, generated: list[Any]) -> None:
    render = Render(size=256, style="classic", encoding="order")
    plain = pictures(generated, render)
    mirrored = pictures([[([255 - x for x in xs], ys) for xs, ys in drawing] for drawing in generated], render)
    np.testing.assert_array_equal(pictures(generated, render, Augment(flip_horizontal=1)), mirrored)
    upended = pictures([[(xs, [255 - y for y in ys]) for xs, ys in drawing] for drawing in generated], render)
    np.testing.assert_array_equal(pictures(generated, render, Augment(flip_vertical=1)), upended)
    np.testing.assert_array_equal(pictures(generated, render, Augment(zoom=(1, 1), rotate_deg=0)), plain)


def test_encodings_without_reference(pictures: Pictures) -> None:
    strokes = [([20, 230], [y, y]) for y in range(10, 250, 20)]  # 12 strokes that do not touch
    order = pictures([strokes], Render(size=256, style="classic", encoding="order"))[0, :, 128, 0]
    assert [order[y] for y in range(10, 250, 20)] == [min(k, 10) * 13 for k in range(12)]
    thirds = pictures([strokes], Render(size=256, style="classic", encoding="thirds", ink=200, paper=10))[0, :, 128]
    shown = [[thirds[y, c] == 200 for y in range(10, 250, 20)] for c in range(3)]
    assert shown == [[k < n for k in range(12)] for n in (4, 8, 12)]
    crossing = pictures(
        [[([128, 128], [0, 255]), ([0, 255], [128, 128])]], Render(size=256, style="classic", encoding="thirds")
    )
    assert (crossing[0, 128, 128] == 0).all()  # the first stroke is in all channels, whatever lies on top
