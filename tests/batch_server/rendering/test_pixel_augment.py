"""Augmentation on pixels: the window of a crop and random erasing, the same in both styles."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from inkstream.pipeline import Augment, Erase, Render

Pictures = Callable[..., npt.NDArray[np.uint8]]
STYLES = ("antialiased", "classic")
CORNERS = [([0], [0]), ([255], [255])]  # two dots, out of sight when magnified


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("size", "crop", "side"), [(48, 0.25, 64), (50, 0.5, 100), (30, 0.04, 31)])
def test_crop_is_a_window_of_the_larger_picture(
    pictures: Pictures, generated: list[Any], style: str, size: int, crop: float, side: int
) -> None:
    cropped = pictures(generated, Render(size=size, style=style, encoding="thirds"), Augment(crop=crop))
    larger = pictures(generated, Render(size=side, style=style, encoding="thirds"))
    places = set()
    for window, whole in zip(cropped, larger, strict=True):
        found = [
            (top, left)
            for top in range(side - size + 1)
            for left in range(side - size + 1)
            if np.array_equal(whole[top : top + size, left : left + size], window)
        ]
        assert found
        if len(found) == 1:
            places.add(found[0])
    assert {0, side - size} <= {top for top, _ in places} or len(places) > 25
    assert len({left for _, left in places}) > min(side - size, 10)


def test_windows_are_uniform(pictures: Pictures) -> None:
    crosses = pictures([[([128, 128], [0, 255]), ([0, 255], [128, 128])]] * 600, Render(size=60), Augment(crop=0.25))[
        ..., 0
    ].astype(int)
    columns, rows = crosses.sum(1).argmax(1), crosses.sum(2).argmax(1)
    for places in (columns, rows):
        counts = np.unique(places, return_counts=True)[1]
        assert len(counts) == 21
        assert counts.min() > 8  # 29 expected


def rectangles(pictures: Pictures, erase: Erase, style: str = "antialiased", encoding: str = "gray") -> Any:
    """For each of 400 drawings that leave the picture: height, width, top, left, value; or None."""
    render = Render(size=100, style=style, encoding=encoding, ink=254, paper=255)
    drawn = pictures([CORNERS] * 400, render, Augment(erase=erase, zoom=(10, 10)))
    out = []
    for picture in drawn:
        erased = (picture != 255).all(2)
        if not erased.any():
            out.append(None)
            continue
        rows, columns = np.flatnonzero(erased.any(1)), np.flatnonzero(erased.any(0))
        inside = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert (inside == inside[0, 0, 0]).all()  # one value, all channels
        out.append((len(rows), len(columns), rows[0], columns[0], int(inside[0, 0, 0])))
    return out


def test_erased_rectangles_follow_the_paper(pictures: Pictures) -> None:
    found = rectangles(pictures, Erase(probability=1, fill="value", value=5))
    height, width, top, left, value = np.array(found).T
    area, aspect = height * width / 10_000, height / width
    assert area.min() > 0.015
    assert area.max() < 0.41
    assert abs(area.mean() - 0.2) < 0.03
    assert aspect.min() > 0.27
    assert aspect.max() < 3.3
    assert (value == 5).all()
    assert (top + height).max() == 100
    assert (left + width).max() == 100
    assert top.min() == left.min() == 0
    assert len(set(zip(top, left, strict=True))) > 300


def test_erasing_happens_as_often_as_asked(pictures: Pictures) -> None:
    share = np.mean([found is not None for found in rectangles(pictures, Erase(fill="value", value=0))])
    assert 0.42 < share < 0.58


def test_fills(pictures: Pictures) -> None:
    values = [found[4] for found in rectangles(pictures, Erase(probability=1)) if found]
    assert len(set(values)) > 150
    assert abs(np.mean(values) - 127) < 15
    assert rectangles(pictures, Erase(probability=1, fill="paper")) == [None] * 400
    assert {len(found) for found in rectangles(pictures, Erase(probability=1), encoding="thirds") if found} == {5}


def test_both_styles_erase_the_same_rectangles(pictures: Pictures) -> None:
    assert rectangles(pictures, Erase()) == rectangles(pictures, Erase(), "classic")


def test_rectangles_that_never_fit_erase_nothing(pictures: Pictures) -> None:
    assert rectangles(pictures, Erase(probability=1, area=(1, 1), aspect=(20, 20))) == [None] * 400
    everything = rectangles(pictures, Erase(probability=1, area=(1, 1), aspect=(1, 1), fill="value", value=9))
    assert everything == [(100, 100, 0, 0, 9)] * 400


def test_the_least_rectangle_is_a_pixel(pictures: Pictures) -> None:
    tiny = pictures(
        [CORNERS] * 50, Render(size=8), Augment(erase=Erase(probability=1, area=(0.001, 0.001)), zoom=(10, 10))
    )
    assert ((tiny > 0).sum((1, 2, 3)) <= 1).all()
    assert ((tiny > 0).sum((1, 2, 3)) == 1).mean() > 0.9
