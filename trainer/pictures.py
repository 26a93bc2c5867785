"""A contact sheet of predictions: each picture with what the model takes it for."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from inkstream.pipeline import Render
from trainer.montage import on_white

COLUMNS = 6


class Guessed(NamedTuple):
    """A sample and its guesses.

    Args:
        image: uint8 `[size, size, channels]`.
        guesses: Class names, best first.
        truth: The right one, if known.
    """

    image: np.ndarray
    guesses: Sequence[str]
    truth: str | None


def draw_guesses(path: Path, samples: Sequence[Guessed], render: Render) -> None:
    """Writes a PNG; where the truth is known, a right first guess is green and a wrong one red.

    Args:
        path: Of the picture.
        samples: At least one.
        render: How the images were drawn.
    """
    rows = -(-len(samples) // COLUMNS)
    apart = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.12)  # else a row's guesses touch the next row's titles
    figure = Figure(figsize=(COLUMNS * 1.8, rows * 2.4), layout=apart, dpi=120)
    for axes, sample in zip(figure.subplots(rows, COLUMNS, squeeze=False).flat, samples, strict=False):
        first, *others = sample.guesses
        colour = "black" if sample.truth is None else "tab:green" if sample.truth == first else "tab:red"
        if sample.truth not in (None, first):
            others = [*others, f"(is {sample.truth})"]
        axes.imshow(on_white(sample.image, render), cmap="gray", vmin=0, vmax=255)
        axes.set_title(first, fontsize=10, color=colour, weight="bold")
        axes.set_xlabel("\n".join(others), fontsize=7, color="gray")
    for axes in figure.axes:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    figure.savefig(path)
