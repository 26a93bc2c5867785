"""Counter-based random numbers: a value is a function of what it is for, never of what was drawn before.

`stream_key` hashes (seed, epoch, key id, visit, operation) into one 64-bit key; `bits(key, i)` is the i-th number of
that stream. Parts are mixed, never added: with `seed + epoch`, (1, 1) would equal (2, 0). Naming operations instead of
numbering them leaves the others' numbers alone when one is added.

The mixer is the finalizer of SplitMix64 (Steele, Lea and Flood 2014, with Stafford's variant 13 of the constants).
"""

import numpy as np
import xxhash
from numba import njit, uint64

# 2**64 divided by the golden ratio, odd: the increment of SplitMix64.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def operation(name: str) -> np.uint64:
    """The number under which an operation draws, from its name."""
    return np.uint64(xxhash.xxh3_64_intdigest(name.encode()))


@njit(uint64(uint64), cache=True, nogil=True, inline="always")
def mix64(x: np.uint64) -> np.uint64:
    """A bijection of 64-bit numbers in which every input bit changes about half of the output bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(uint64(uint64, uint64), cache=True, nogil=True, inline="always")
def combine(state: np.uint64, word: np.uint64) -> np.uint64:
    """Mixes one more word into a hash; the order of words matters."""
    return mix64(state * np.uint64(0xD1342543DE82EF95) + mix64(word + GOLDEN) + GOLDEN)


@njit(uint64(uint64, uint64, uint64, uint64), cache=True, nogil=True, inline="always")
def sample_key(seed: np.uint64, epoch: np.uint64, key_id: np.uint64, visit: np.uint64) -> np.uint64:
    """What the keys of all streams of one sample are made of."""
    return combine(combine(combine(mix64(seed + GOLDEN), epoch), key_id), visit)


@njit(uint64(uint64, uint64, uint64, uint64, uint64), cache=True, nogil=True)
def stream_key(
    seed: np.uint64, epoch: np.uint64, key_id: np.uint64, visit: np.uint64, operation: np.uint64
) -> np.uint64:
    """The key of the stream of random numbers for one operation on one sample."""
    return combine(sample_key(seed, epoch, key_id, visit), operation)


@njit(cache=True, nogil=True)
def visit_names(key_ids, visits):  # type: ignore[no-untyped-def]
    """What visits of samples are called where random numbers are drawn, uint64 `[n]`.

    Args:
        key_ids: uint64 `[n]`.
        visits: uint64 `[n]`, how many visits to the same sample came before; a first one is called like its sample.
    """
    names = key_ids.copy()
    for i in range(len(names)):
        if visits[i]:
            names[i] = combine(names[i], visits[i])
    return names


@njit(uint64(uint64, uint64), cache=True, nogil=True, inline="always")
def bits(key: np.uint64, index: np.uint64) -> np.uint64:
    """The `index`-th number of a stream: 64 random bits."""
    return mix64(key + (index + np.uint64(1)) * GOLDEN)


@njit(cache=True, nogil=True, inline="always")
def uniform(key: np.uint64, index: np.uint64) -> float:
    """The `index`-th number of a stream, uniform in [0, 1), a multiple of 2**-53."""
    return np.float64(bits(key, index) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(cache=True, nogil=True, inline="always")
def below(key: np.uint64, index: np.uint64, n: np.uint64) -> np.uint64:
    """The `index`-th number of a stream, uniform in 0..n-1 for n below 2**32 (bias below 2**-32)."""
    return ((bits(key, index) >> np.uint64(32)) * n) >> np.uint64(32)
