"""The plain loop, in the training process itself: `in_process.py FILE`."""

import random
import sys
from collections.abc import Iterator

from drawing import BATCH_SIZE, Drawings
from rate import print_rate


def batches(drawings: Drawings) -> Iterator[int]:
    """Epoch after epoch, shuffled."""
    while True:
        numbers = random.sample(range(len(drawings)), len(drawings))
        for start in range(0, len(numbers), BATCH_SIZE):
            pictures, _ = drawings.draw_batch(numbers[start : start + BATCH_SIZE])
            yield len(pictures)


if __name__ == "__main__":
    print_rate(batches(Drawings(sys.argv[1])))
