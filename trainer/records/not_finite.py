"""A loss or a parameter that is not a finite number: the run ends, and the batch in which that was found is kept."""

import json
from pathlib import Path

from matplotlib.image import imsave

from inkstream.command_line import Failure
from inkstream.pipeline import Render
from trainer.input import HostBatch
from trainer.montage import montage, on_white

MOST_PICTURES = 1024


class NotFinite(Failure):
    """Something that is not finite was found after a step."""

    def __init__(self, what: str, step: int):
        """Says what.

        Args:
            what: As in `the loss is nan`.
            step: Steps done, this one included.
        """
        super().__init__(
            f"step {step:,}: {what}. No checkpoint has it. Resuming would repeat it: start another run, "
            "with a lower --learning-rate, with --warmup, or with --clip-norm 1"
        )
        self._what, self._step = what, step

    def shown(self, path: Path, render: Render, batch: HostBatch | None) -> Failure:
        """The failure to end with, having written the last batch down.

        Args:
            path: Of the .json file; the picture beside it is a .png.
            render: How it was drawn.
            batch: Of several processes, this one's rows; None if there was no step.
        """
        if batch is None:
            return self
        known = {
            "what": self._what,
            "steps_done": self._step,
            "epoch": batch.epoch,
            "step": batch.step,
            "cursor": list(batch.cursor),
            "key_ids": batch["key_id"].tolist(),
            "labels": batch["label"].tolist(),
            "mask": batch["mask"].tolist(),
        }
        path.write_text(json.dumps(known) + "\n")
        picture = path.with_suffix(".png")
        imsave(picture, montage(on_white(batch["image"][:MOST_PICTURES], render)))
        return Failure(
            f"{self}. The batch was that of epoch {batch.epoch}, step {batch.step}: its key ids are in {path}, its "
            f"pictures in {picture}, and batch-server preview --pipeline draws it again"
        )
