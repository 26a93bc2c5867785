"""The curve of a learning-rate range test as a picture."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from trainer.learning_rate.range_test import Point, Suggestion

ROOM = 1.6  # how high the axis goes, over the first loss: what diverges may leave the picture


def draw_rates(path: Path, points: Sequence[Point], suggestion: Suggestion, title: str) -> None:
    """Writes a PNG: the loss over the learning rate, on a logarithmic axis, with what it suggests.

    Args:
        path: Of the picture.
        points: Updates.
        suggestion: What they suggest.
        title: What was trained.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained", dpi=120)
    axes = figure.subplots()
    rates, losses, smoothed = zip(*points, strict=True)
    axes.semilogx(rates, losses, color="tab:blue", alpha=0.3, label="loss of an update's rows")
    axes.semilogx(rates, smoothed, color="tab:blue", label="smoothed")
    for rate, text, style in (
        (suggestion.steepest, "steepest descent", ":"),
        (suggestion.rate, "suggested", "-"),
        (suggestion.lowest, "lowest loss", "--"),
    ):
        axes.axvline(rate, color="tab:orange", linestyle=style, label=f"{text}, {rate:.1e}")
    axes.set(title=title, xlabel="learning rate", ylabel="loss", ylim=(0, ROOM * smoothed[0]))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)
