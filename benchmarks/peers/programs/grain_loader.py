"""Grain: `grain_loader.py FILE WORKERS`.

One reading thread a worker: with more, which share the worker's GIL, it was 10 % slower.
"""

import sys
from typing import Any

import grain
from drawing import BATCH_SIZE, Drawings
from rate import print_rate


class Draw(grain.transforms.Map):
    """The drawings of a batch of numbers."""

    def __init__(self, drawings: Drawings):
        self.drawings = drawings

    def map(self, element: Any) -> dict[str, Any]:
        """Draws a batch."""
        pictures, labels = self.drawings.draw_batch(element.tolist())
        return {"image": pictures, "label": labels}


if __name__ == "__main__":
    drawings = Drawings(sys.argv[1])
    batches = grain.MapDataset.range(len(drawings)).shuffle(seed=7).repeat().batch(BATCH_SIZE).map(Draw(drawings))
    reading = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
    working = grain.MultiprocessingOptions(num_workers=int(sys.argv[2]), per_worker_buffer_size=4)
    print_rate(len(batch["image"]) for batch in batches.to_iter_dataset(reading).mp_prefetch(working))
