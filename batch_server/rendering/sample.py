"""The random numbers of one sample: each operation has a stream of its own, named after it.

What a sample gets follows from (seed, epoch, key id) and the operation's name, whatever else is in the batch.
"""

from typing import NamedTuple

import numpy as np

from batch_server.randomness import below, stream_key, uniform
from batch_server.rendering.compiled import piece


class Sample(NamedTuple):
    """Which drawing, in which epoch of which run."""

    seed: np.uint64
    epoch: np.uint64
    key_id: np.uint64


@piece
def stream(sample: Sample, operation: np.uint64) -> np.uint64:
    """The key of the stream of an operation on a sample."""
    visit = np.uint64(0)  # an epoch visits each sample once
    return stream_key(sample.seed, sample.epoch, sample.key_id, visit, operation)


@piece
def between(key: np.uint64, index: int, low: float, high: float) -> float:
    """The `index`-th number of a stream, uniform in low..high; `low` itself where both are equal."""
    return low + (high - low) * uniform(key, np.uint64(index))


@piece
def happens(key: np.uint64, index: int, probability: float) -> bool:
    """Whether an event of this probability happens, by the `index`-th number of a stream: 0 never, 1 always."""
    return uniform(key, np.uint64(index)) < probability


@piece
def choice(key: np.uint64, index: int, choices: int) -> np.int64:
    """The `index`-th number of a stream, uniform in 0..choices - 1, for fewer than 2**32 choices."""
    return np.int64(below(key, np.uint64(index), np.uint64(choices)))
