"""The order of an epoch: a keyed permutation, evaluated position by position, so that nothing is shuffled or stored.

A Feistel network (Luby and Rackoff 1988) permutes the numbers of as many bits as the largest position has; a number
beyond the last position is permuted again until it is one ("cycle walking", Black and Rogaway 2002), which takes less
than two rounds on average. The two parts differ by at most one bit, and each is mixed into the other in turn, so that
any number of bits will do.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from batch_server.randomness import bits, mix64, operation, stream_key

_ORDER = operation("order")
# Each part is mixed into the other four times; Luby and Rackoff need two each for a random-looking permutation, parts
# of a few bits need more.
_ROUNDS = 8


def permute(positions: npt.NDArray[np.int64], size: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Where positions of an epoch's order lead.

    Args:
        positions: int64 `[n]`, each from 0 to below `size`.
        size: Number of positions, 1 to 2**62.
        seed: 0 to 2**64 - 1.
        epoch: From 0.

    Returns:
        int64 `[n]`, each from 0 to below `size`; all positions together give each number once.
    """
    return _permute(positions, np.uint64(size), np.uint64(seed), np.uint64(epoch))


@njit(cache=True, nogil=True)
def _permute(positions, size, seed, epoch):  # type: ignore[no-untyped-def]
    keys = round_keys(stream_key(seed, epoch, np.uint64(0), np.uint64(0), _ORDER))
    out = np.empty(len(positions), np.int64)
    for i in range(len(positions)):
        out[i] = permuted(positions[i], size, keys)
    return out


@njit(cache=True, nogil=True)
def round_keys(key):  # type: ignore[no-untyped-def]
    """What a permutation mixes in, uint64 `[rounds]`, from the key of a stream of random numbers."""
    keys = np.empty(_ROUNDS, np.uint64)
    for i in range(_ROUNDS):
        keys[i] = bits(key, np.uint64(i))
    return keys


@njit(cache=True, nogil=True, inline="always")
def permuted(position, size, keys):  # type: ignore[no-untyped-def]
    """Where a permutation leads, int64.

    Args:
        position: From 0 to below `size`.
        size: Number of positions, uint64, 1 to 2**62.
        keys: From `round_keys`.
    """
    width = np.uint64(0)
    while (size - np.uint64(1)) >> width:
        width += np.uint64(1)
    low_width = width >> np.uint64(1)
    low_mask = (np.uint64(1) << low_width) - np.uint64(1)
    high_mask = (np.uint64(1) << (width - low_width)) - np.uint64(1)
    number = np.uint64(position)
    while True:
        high = number >> low_width
        low = number & low_mask
        for j in range(0, _ROUNDS, 2):
            high ^= mix64(low ^ keys[j]) & high_mask
            low ^= mix64(high ^ keys[j + 1]) & low_mask
        number = (high << low_width) | low
        if number < size:
            return np.int64(number)
