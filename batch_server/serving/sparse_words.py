"""Sparse words: only the 8-byte words of a tensor that differ from paper; the contract's Compression has the format.

Lossless, and about four times smaller for drawings. Two passes without the GIL: the first writes the gaps, skipping
paper eight words at a time, the second gathers the words that the gaps point at.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

WORD_BYTES = 8
_MAX_GAP = 255
# Words compared at a time: two AVX2 or one AVX-512 register, and most rows of a drawing have such stretches of paper.
_BLOCK = 8


def encode_sparse_words(values: NDArray[np.uint8], paper: bytes) -> NDArray[np.uint8]:
    """Encodes a tensor.

    Args:
        values: uint8 of any shape, C-contiguous, made of whole pixels of `len(paper)` bytes.
        paper: Values of one pixel of the background, 1 to 8 bytes.

    Returns:
        uint8 `[bytes]`, at most 4 + 9/8 of the tensor's bytes.
    """
    flat = values.reshape(-1)
    words = flat[: flat.size // WORD_BYTES * WORD_BYTES].view(np.uint64)
    tail = flat[words.size * WORD_BYTES :]
    background = paper_words(paper)
    gaps = np.empty(words.size, np.uint8)
    count = _find(words, background, gaps)
    encoded = np.empty(4 + (1 + WORD_BYTES) * count + tail.size, np.uint8)
    encoded[:4].view("<u4")[0] = count
    encoded[4 : 4 + count] = gaps[:count]
    _gather(words, gaps[:count], encoded[4 + count : encoded.size - tail.size])
    encoded[encoded.size - tail.size :] = tail
    return encoded


def paper_words(paper: bytes) -> NDArray[np.uint64]:
    """The words of a tensor of nothing but paper until they repeat: uint64 `[1]` where all channels are equal."""
    pixel = paper[:1] if len(set(paper)) == 1 else paper
    return np.frombuffer(bytearray(pixel * WORD_BYTES), np.uint64)


@njit(cache=True, nogil=True)
def _find(words, paper, gaps):  # type: ignore[no-untyped-def]
    """Writes the distance of each word to send from the one before it; returns how many there are.

    Positions count from 1 here, so that the gap before the first word is its position too, and are unsigned, which
    spares a test for negative indices.
    """
    count, last = np.uint64(0), np.uint64(0)
    blocks = len(words) // _BLOCK if len(paper) == 1 else 0
    for block in range(blocks):
        eight = words[block * _BLOCK : (block + 1) * _BLOCK]
        different = np.uint64(0)
        for j in range(_BLOCK):
            different |= eight[j] ^ paper[0]
        if different == np.uint64(0):
            continue
        first = np.uint64(block * _BLOCK + 1)
        if first + np.uint64(_BLOCK - 1) - last > np.uint64(_MAX_GAP):
            count, last = _find_one_by_one(words, paper, block * _BLOCK, (block + 1) * _BLOCK, gaps, count, last)
            continue
        for j in range(_BLOCK):  # without a branch: where ink begins and ends cannot be predicted
            position = first + np.uint64(j)
            gaps[count] = np.uint8(position - last)
            sent = eight[np.uint64(j)] != paper[0]
            count += np.uint64(sent)
            last = position if sent else last
    return _find_one_by_one(words, paper, blocks * _BLOCK, len(words), gaps, count, last)[0]


@njit(cache=True, nogil=True)
def _find_one_by_one(words, paper, start, stop, gaps, count, last):  # type: ignore[no-untyped-def]
    """The same for any gap and any paper; returns the new count and the position of the last word to send."""
    for i in range(start, stop):
        if words[i] != paper[i % len(paper)]:
            position = np.uint64(i + 1)
            while position - last > np.uint64(_MAX_GAP):
                gaps[count] = _MAX_GAP
                count += np.uint64(1)
                last += np.uint64(_MAX_GAP)
            gaps[count] = np.uint8(position - last)
            count += np.uint64(1)
            last = position
    return count, last


@njit(cache=True, nogil=True)
def _gather(words, gaps, out):  # type: ignore[no-untyped-def]
    """Copies the words at the running sums of `gaps` to `out`, which may begin at any address."""
    position = np.int64(-1)
    for i in range(len(gaps)):
        position += np.int64(gaps[i])
        word = words[position]
        eight = out[i * WORD_BYTES : (i + 1) * WORD_BYTES]
        for byte in range(WORD_BYTES):  # LLVM makes one store of it
            eight[byte] = word >> np.uint64(8 * byte)
