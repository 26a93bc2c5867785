"""Test-time augmentation: a model is shown several views of each sample, and its probabilities are averaged."""

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

from inkstream.command_line import UsageError
from inkstream.pipeline import Augment, Pipeline
from trainer.rules import number

MOST_PASSES = 100  # a stream each


class View(NamedTuple):
    """What a model is shown of every sample: the pictures of a pipeline in one epoch, in dataset order."""

    pipeline: Pipeline
    epoch: int


@dataclass(frozen=True)
class Views:
    """Which views of a sample are averaged; the first is always the plain picture.

    Variations are the pipeline's own: they follow from the run's seed, the number of the pass and the key id.

    Args:
        passes: So many further views, each varied anew, 0 to 100.
        flip: Each view also as its mirror image, left to right.
        stroke_dropout: The further views differ from the plain one only in strokes that are left out with this
            probability, 0 to below 1; None varies them as the run's training did.

    Raises:
        ValueError: A setting breaks its rule.
    """

    passes: int = 0
    flip: bool = False
    stroke_dropout: float | None = None

    def __post_init__(self) -> None:
        number("tta", self.passes, 0, MOST_PASSES)
        if self.stroke_dropout is not None:
            number("tta_stroke_dropout", self.stroke_dropout, 0, 1, below=True)
            if not (self.passes and self.stroke_dropout):
                raise ValueError("tta_stroke_dropout varies the further passes: set it and --tta above 0")

    def of(self, training: Pipeline, plain: Pipeline) -> list[View]:
        """The views for a model.

        Args:
            training: That it was trained with.
            plain: Of its plain pictures, not shuffled.

        Raises:
            UsageError: There is nothing to vary.
        """
        varied = training.augment
        if self.stroke_dropout is not None:
            varied = Augment(stroke_dropout=self.stroke_dropout)
        if self.passes and varied is None:
            raise UsageError(
                f"--tta {self.passes} varies pictures as in training, which did not vary them: leave it out, or set "
                "--tta-stroke-dropout"
            )
        seeded = plain.replace(seed=training.seed)
        views = [View(plain, 0), *(View(seeded.replace(augment=varied), epoch + 1) for epoch in range(self.passes))]
        return [flipped for view in views for flipped in _both_ways(view)] if self.flip else views


def _both_ways(view: View) -> list[View]:
    """A view as it is and mirrored; a variation that mirrors some pictures would not give every pair."""
    augment = view.pipeline.augment or Augment()
    return [
        view._replace(pipeline=view.pipeline.replace(augment=dataclasses.replace(augment, flip_horizontal=probability)))
        for probability in (0.0, 1.0)
    ]
