"""A contact sheet: pictures, each with what a model takes it for."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from inkstream.pipeline import Render
from trainer.montage import on_white

COLUMNS = 6


class Captioned(NamedTuple):
    """A picture with words.

    Args:
        image: uint8 `[size, size, channels]`.
        title: Above it.
        colour: Of the title.
        lines: Below it.
    """

    image: np.ndarray
    title: str
    colour: str
    lines: Sequence[str]


def guessed(image: np.ndarray, guesses: Sequence[str], truth: str | None) -> Captioned:
    """A sample with its guesses, best first; where the truth is known, a right first one is green, a wrong one red."""
    first, *others = guesses
    if truth not in (None, first):
        others.append(f"(is {truth})")
    return Captioned(image, first, "black" if truth is None else "tab:green" if truth == first else "tab:red", others)


def draw_sheet(path: Path, pictures: Sequence[Captioned], render: Render) -> None:
    """Writes a PNG.

    Args:
        path: Of the sheet.
        pictures: At least one.
        render: How they were drawn.
    """
    rows = -(-len(pictures) // COLUMNS)
    apart = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.12)  # else a row's words touch the next row's titles
    figure = Figure(figsize=(COLUMNS * 1.8, rows * 2.4), layout=apart, dpi=120)
    for axes, picture in zip(figure.subplots(rows, COLUMNS, squeeze=False).flat, pictures, strict=False):
        axes.imshow(on_white(picture.image, render), cmap="gray", vmin=0, vmax=255)
        axes.set_title(picture.title, fontsize=10, color=picture.colour, weight="bold", parse_math=False)
        axes.set_xlabel("\n".join(picture.lines), fontsize=7, color="gray", parse_math=False)
    for axes in figure.axes:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    figure.savefig(path)
