"""A table's first column of figures as horizontal bars."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from benchmarks.table import Table

OURS, OTHERS = "#2f81f7", "#8b949e"
TEXT = "#808890"  # legible on white and on black; the background is left out


def draw_bars(table: Table, path: Path) -> None:
    """Writes an SVG: a bar for each row, with its value and its last cell; Inkstream's in a colour of their own."""
    names = [row[0] for row in table.rows]
    values = [float(row[1].replace(",", "")) for row in table.rows]
    # Reproducible bytes, and text as text: small, and searchable.
    pyplot.rcParams.update({"svg.hashsalt": "inkstream", "svg.fonttype": "none", "font.size": 11, "text.color": TEXT})
    figure, axes = pyplot.subplots(figsize=(8, 0.4 * len(names) + 0.5), layout="constrained")
    bars = axes.barh(names, values, color=[OURS if name.startswith("Inkstream") else OTHERS for name in names])
    axes.bar_label(bars, [f"{row[1]}  ({row[-1]})" for row in table.rows], padding=4)
    axes.set_title(table.header[1], loc="left", fontsize=11)
    axes.margins(x=0.22)
    axes.invert_yaxis()
    axes.xaxis.set_visible(False)
    axes.tick_params(axis="y", length=0, labelcolor=TEXT)
    axes.spines[:].set_visible(False)
    figure.savefig(path, transparent=True, metadata={"Date": None})
    pyplot.close(figure)
