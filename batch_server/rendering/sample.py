"""The random numbers of one sample: each operation has a stream of its own, named after it.

What a sample gets follows from (seed, epoch, key id) and the operation's name, whatever else is in the batch. A number
on which nothing depends is not drawn: as each has its own place in its stream, that changes no other.
"""

import numpy as np

from batch_server.randomness import below, combine, sample_key, uniform
from batch_server.rendering.compiled import piece

# Which drawing, in which epoch of which run, as one number: `randomness.sample_key`.
Sample = np.uint64


@piece
def sample_of(seed: np.uint64, epoch: np.uint64, key_id: np.uint64) -> Sample:
    """The sample of a key id in an epoch of a run."""
    visit = np.uint64(0)  # an epoch visits each sample once
    return sample_key(seed, epoch, key_id, visit)


@piece
def stream(sample: Sample, operation: np.uint64) -> np.uint64:
    """The key of the stream of an operation on a sample: `randomness.stream_key`."""
    return combine(sample, operation)


@piece
def between(sample: Sample, operation: np.uint64, index: int, low: float, high: float) -> float:
    """The `index`-th number of an operation's stream, uniform in low..high; `low` itself where both are equal."""
    if low == high:
        return low
    return low + (high - low) * uniform(stream(sample, operation), np.uint64(index))


@piece
def happens(sample: Sample, operation: np.uint64, index: int, probability: float) -> bool:
    """Whether an event of this probability happens, by the `index`-th number of a stream: 0 never, 1 always."""
    return probability > 0.0 and uniform(stream(sample, operation), np.uint64(index)) < probability


@piece
def choice(sample: Sample, operation: np.uint64, index: int, choices: int) -> np.int64:
    """The `index`-th number of an operation's stream, uniform in 0..choices - 1, for fewer than 2**32 choices."""
    if choices == 1:
        return np.int64(0)
    return np.int64(below(stream(sample, operation), np.uint64(index), np.uint64(choices)))
