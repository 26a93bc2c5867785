"""The learning curve of a run as a picture."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

POINTS = 200  # of a line over the steps, each the mean of as many steps as need be


def draw_curve(path: Path, steps: Iterable[Mapping[str, Any]], evaluations: Iterable[Mapping[str, Any]]) -> None:
    """Writes a PNG: loss on the left, accuracies on the right, both over the steps.

    Args:
        path: Of the picture.
        steps: Rows of the step log.
        evaluations: Rows of the log of evaluations; those without validation show only the training split.
    """
    evaluations = list(evaluations)
    figure = Figure(figsize=(11, 4.2), layout="constrained", dpi=120)
    left, right = figure.subplots(1, 2, sharex=True)  # so that one evaluation alone stands at its place

    losses = np.array([(row["step"], row["loss"]) for row in steps])
    block = -(-len(losses) // POINTS)
    means = np.array([losses[first : first + block].mean(axis=0) for first in range(0, len(losses), block)])
    left.plot(*means.T, color="tab:blue", label=f"training, mean of {block} steps" if block > 1 else "training")
    validated = [row for row in evaluations if row["loss"] is not None]
    left.plot(*_series(validated, "loss"), "o-", color="tab:orange", label="validation")
    left.set(title="loss", xlabel="step", ylim=(0, None))

    right.plot(*_series(evaluations, "train_accuracy"), "o-", color="tab:blue", label="training, top-1")
    for name, label, colour in (("top1", "top-1", "orange"), ("map3", "MAP@3", "green"), ("top3", "top-3", "red")):
        right.plot(*_series(validated, name), "o-", color=f"tab:{colour}", label=f"validation, {label}")
    right.set(title="accuracy", xlabel="step", ylim=(None, 1.02))

    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path)


def _series(rows: list[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    return [row["step"] for row in rows], [row[name] for row in rows]
