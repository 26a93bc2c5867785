"""The confusion matrix: how often samples of each class were taken for each class."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

# Cells of a few classes are large enough for their percentages; those of many only for a name beside each row.
WRITTEN_CLASSES = 25
_WRITTEN_CELL_IN, _CELL_IN, _LARGEST_IN = 0.55, 0.1, 60.0
_POINTS_PER_IN = 72
_GAMMA = 0.4  # shares are coloured by this power of them, else a confusion of 1 % could not be seen beside 95 %


class Confusion:
    """Counts, batch by batch.

    Attributes:
        counts: int64 `[classes, classes]`: of each true class (row), how often each was guessed first (column).
    """

    def __init__(self, classes: Sequence[str]):
        """Of these classes, in the order of the outputs."""
        self._classes = classes
        self.counts = np.zeros((len(classes), len(classes)), np.int64)

    def add(self, labels: np.ndarray, guesses: np.ndarray) -> None:
        """Adds samples: true class and first guess, whole numbers `[samples]` each."""
        np.add.at(self.counts, (labels, guesses), 1)

    def most_taken_for(self) -> list[tuple[str, int]]:
        """Of each class, the other one that it was most often taken for, and how often; no name where it never was."""
        wrong = self.counts.copy()
        np.fill_diagonal(wrong, 0)
        most = [(int(row.argmax()), int(row.max())) for row in wrong]
        return [(self._classes[other] if count else "", count) for other, count in most]

    def write(self, path: Path) -> None:
        """Writes the counts as CSV: a row for each true class, a column for each first guess."""
        with open(path, "w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["class", *self._classes])
            table.writerows([name, *row] for name, row in zip(self._classes, self.counts.tolist(), strict=True))

    def draw(self, path: Path) -> None:
        """Draws a PNG: the shares of each true class's samples. Classes without a sample are left gray."""
        count, total = len(self._classes), self.counts.sum(axis=1, keepdims=True)
        shares = np.divide(self.counts, total, out=np.full(self.counts.shape, np.nan), where=total > 0)
        written = count <= WRITTEN_CLASSES
        cell_in = _WRITTEN_CELL_IN if written else min(_CELL_IN, _LARGEST_IN / count)
        points = 9.0 if written else 0.8 * cell_in * _POINTS_PER_IN
        side_in = max(2.0, count * cell_in)
        figure = Figure(figsize=(side_in + 2.6, side_in + 2.0), layout="constrained", dpi=100)
        axes = figure.subplots()
        axes.set_facecolor("lightgray")
        shown = axes.imshow(shares, cmap="Blues", norm=PowerNorm(_GAMMA, 0, 1), interpolation="nearest")
        axes.set_xticks(range(count), self._classes, rotation=90, fontsize=points, parse_math=False)
        axes.set_yticks(range(count), self._classes, fontsize=points, parse_math=False)
        axes.tick_params(length=0, pad=2)
        axes.set(xlabel="first guess", ylabel="true class")
        axes.xaxis.set_label_position("top")
        axes.xaxis.tick_top()
        if written:
            for row, column in np.argwhere(self.counts):
                share = shares[row, column]
                text = f"{100 * share:.1f}" if share < 0.995 else f"{100 * share:.0f}"
                axes.text(column, row, text, ha="center", va="center", fontsize=8, color="w" if share > 0.3 else "k")
        bar = figure.colorbar(shown, ax=axes, fraction=0.04, aspect=30, ticks=[0, 0.001, 0.01, 0.05, 0.2, 0.5, 1])
        bar.ax.set_yticklabels(["0 %", "0.1 %", "1 %", "5 %", "20 %", "50 %", "100 %"])
        bar.set_label("of the true class")
        figure.savefig(path)
