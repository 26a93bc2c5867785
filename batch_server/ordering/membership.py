"""The samples of a split as a bitmap that finds its k-th sample: 6.7 MB for 50 million samples.

Select by a directory of ranks and population counts (Jacobson 1989; Vigna 2008, "Broadword implementation of
rank/select queries").
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from batch_server.ordering.selection import Selection, Selector
from batch_server.store.columns import BLOCK_VALUES
from batch_server.store.reader import Dataset

_WORD_BITS = 64
# Of the directory: it costs one bit in 16, and a search within a block looks at 8 words on average.
_RANK_WORDS = 16


class Membership:
    """Which samples of a dataset pass a selection, in dataset order."""

    def __init__(self, words: npt.NDArray[np.uint64]):
        """Counts the members.

        Args:
            words: uint64 `[words]`, sample i being bit i % 64 of word i // 64; the number of words is a multiple of 16.
        """
        self._words = words
        self._ranks = _rank_directory(words)

    @classmethod
    def build(cls, dataset: Dataset, selection: Selection) -> "Membership":
        """Looks at the columns that the selection needs, block by block; 50 million key ids take about a second.

        Raises:
            InvalidPipeline: The filter names a class that the dataset does not have.
            RottenColumn: A block of a column does not match its checksum.
        """
        selector = Selector(dataset, selection)
        words = np.zeros(-(-dataset.samples // (_WORD_BITS * _RANK_WORDS)) * _RANK_WORDS, np.uint64)
        columns = zip(*(dataset.blocks(name) for name in selector.columns), strict=True)
        for block, values in enumerate(columns):
            passes = selector.passing(dict(zip(selector.columns, values, strict=True)))
            _set_bits(words[block * BLOCK_VALUES // _WORD_BITS :], passes)
        return cls(words)

    @property
    def count(self) -> int:
        """Number of members."""
        return int(self._ranks[-1])

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return self._words.nbytes + self._ranks.nbytes

    def select(self, ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The sample indices of members.

        Args:
            ranks: int64 `[n]`, which members, counted in dataset order from 0 to below `count`.

        Returns:
            int64 `[n]`.
        """
        return _select(self._words, self._ranks, ranks)


@njit(cache=True, nogil=True)
def _set_bits(words, passes):  # type: ignore[no-untyped-def]
    for i in range(len(passes)):
        words[i // _WORD_BITS] |= np.uint64(passes[i]) << np.uint64(i % _WORD_BITS)


@njit(cache=True, nogil=True)
def _rank_directory(words):  # type: ignore[no-untyped-def]
    """How many members come before each 16 words, and in all: int64 `[words // 16 + 1]`."""
    ranks = np.zeros(len(words) // _RANK_WORDS + 1, np.int64)
    for block in range(len(ranks) - 1):
        members = ranks[block]
        for word in range(block * _RANK_WORDS, (block + 1) * _RANK_WORDS):
            members += _population(words[word])
        ranks[block + 1] = members
    return ranks


@njit(cache=True, nogil=True)
def _select(words, ranks, wanted):  # type: ignore[no-untyped-def]
    out = np.empty(len(wanted), np.int64)
    for i in range(len(wanted)):
        low, high = np.int64(0), np.int64(len(ranks) - 1)  # ranks[low] <= wanted < ranks[high]
        while high - low > 1:
            middle = (low + high) // 2
            if ranks[middle] <= wanted[i]:
                low = middle
            else:
                high = middle
        left = wanted[i] - ranks[low]
        word = low * _RANK_WORDS
        members = _population(words[word])
        while left >= members:
            left -= members
            word += 1
            members = _population(words[word])
        out[i] = word * _WORD_BITS + _bit_of_rank(words[word], left)
    return out


@njit(cache=True, nogil=True)
def _bit_of_rank(word, rank):  # type: ignore[no-untyped-def]
    """Position of the set bit of a word that `rank` set bits precede, by halving."""
    position = np.int64(0)
    width = np.int64(_WORD_BITS // 2)
    while width:
        lower = word & ((np.uint64(1) << np.uint64(width)) - np.uint64(1))
        members = _population(lower)
        if rank >= members:
            rank -= members
            position += width
            word >>= np.uint64(width)
        else:
            word = lower
        width //= 2
    return position


@njit(cache=True, nogil=True, inline="always")
def _population(word):  # type: ignore[no-untyped-def]
    """Number of set bits; LLVM makes one instruction of it where the processor has one."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))
