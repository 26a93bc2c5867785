"""Pages: 1,024 records in one value, so that a batch needs no look-up in Python for each sample.

A page of n records is an offset table, uint32 `[n + 1]`, from 0 to the number of bytes of the records; a checksum
of each record, uint32 `[n]`: its XXH32 seeded with the low 32 bits of its sample index, so that a record found in the
wrong place does not pass; and the records back to back. Only the last page of a dataset has fewer than 1,024.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from batch_server.store.checksum import load32, xxh32
from batch_server.store.kinds import Kind, is_well_formed
from batch_server.store.records import Records

PAGE_RECORDS = 1024
# A drawing of half a million points; with it a page stays within the 4 GiB of its offsets, and of an LMDB value.
MAX_RECORD_BYTES = 1 << 20


def build_page(records: Records, first_index: int, kind: Kind) -> npt.NDArray[np.uint8]:
    """Lays out a page.

    Args:
        records: 1 to 1,024 of them.
        first_index: Sample index of the first.
        kind: Of the samples.

    Returns:
        uint8 `[bytes]`.

    Raises:
        ValueError: A record is not one of its kind, or longer than 1 MiB.
    """
    lengths = np.diff(records.offsets)
    if lengths.max(initial=0) > MAX_RECORD_BYTES:
        where = int(lengths.argmax())
        raise ValueError(
            f"a record has at most {MAX_RECORD_BYTES:,} bytes, sample {first_index + where} has {lengths[where]:,}: "
            "reject it at import"
        )
    table_bytes = table_bytes_of(len(records))
    page = np.empty(table_bytes + int(records.offsets[-1]), np.uint8)
    page[table_bytes:] = records.data
    words = page[:table_bytes].view("<u4")
    words[: len(records) + 1] = records.offsets
    bad = _check_and_sum(kind.code, page[table_bytes:], records.offsets, first_index, words[len(records) + 1 :])
    if bad >= 0:
        raise ValueError(f"sample {first_index + bad} is not a well-formed {kind.name}: {records[bad][:16].hex()}...")
    return page


def gather(
    file: npt.NDArray[np.uint8],
    pages: npt.NDArray[np.int64],
    samples: int,
    kind: Kind,
    indices: npt.NDArray[np.int64],
) -> Records:
    """Reads samples in one call of a kernel, checking all that a later kernel trusts.

    Args:
        file: uint8 `[bytes]`, the mapped file.
        pages: int64 `[pages, 2]`, where each page begins in it and how long it is, within `file`.
        samples: Number of samples of the dataset.
        kind: Of the samples.
        indices: int64 `[n]`, each below `samples`; -1 gives an empty record that is not rotten.
    """
    data, offsets, rotten = _gather(file, pages, samples, kind.code, indices)
    return Records(data, offsets, rotten)


def rotten_slots(page: npt.NDArray[np.uint8], first_index: int, records: int, kind: Kind) -> npt.NDArray[np.bool_]:
    """Which records of a page do not match their checksum, or are not well-formed.

    Args:
        page: uint8 `[bytes]`, as it was found; it may be shorter than it was written.
        first_index: Sample index of its first record.
        records: How many it holds, 1 to 1,024.
        kind: Of the samples.

    Returns:
        bool `[records]`.
    """
    rotten = np.ones(records, np.bool_)
    _check_page(page, kind.code, first_index, rotten)
    return rotten


@njit(cache=True, nogil=True, inline="always")
def table_bytes_of(records):  # type: ignore[no-untyped-def]
    """Size of what comes before the records of a page of so many: their offsets and checksums."""
    return 4 * (2 * records + 1)


@njit(cache=True, nogil=True)
def _check_and_sum(kind, data, offsets, first_index, checksums):  # type: ignore[no-untyped-def]
    """Fills in the checksums; the first record that is not well-formed, or -1."""
    for i in range(len(offsets) - 1):
        if not is_well_formed(kind, data, offsets[i], offsets[i + 1]):
            return i
        checksums[i] = xxh32(data, offsets[i], offsets[i + 1], np.uint32(first_index + i))
    return -1


@njit(cache=True, nogil=True)
def _gather(file, pages, samples, kind, indices):  # type: ignore[no-untyped-def]
    """Finds, copies, then checks: a step for all records at a time, so that their cache misses overlap."""
    n = len(indices)
    starts = np.zeros(n, np.int64)
    checksums = np.zeros(n, np.uint32)
    offsets = np.zeros(n + 1, np.int64)
    rotten = np.zeros(n, np.bool_)
    for i in range(n):
        length = np.int64(0)
        if indices[i] >= 0:
            starts[i], length, checksums[i] = find(file, pages, samples, indices[i])
            if length < 0:
                rotten[i] = True
                length = np.int64(0)
        offsets[i + 1] = offsets[i] + length
    data = np.empty(offsets[n], np.uint8)
    for i in range(n):
        _copy(file, starts[i], data, offsets[i], offsets[i + 1])
    all_sound = True
    for i in range(n):
        if indices[i] >= 0 and not (
            xxh32(data, offsets[i], offsets[i + 1], np.uint32(indices[i])) == checksums[i]
            and is_well_formed(kind, data, offsets[i], offsets[i + 1])
        ):
            rotten[i] = True
            all_sound = False
    if all_sound:
        return data, offsets, rotten
    return _without_rotten(data, offsets, rotten)


@njit(cache=True, nogil=True)
def find(file, pages, samples, index):  # type: ignore[no-untyped-def]
    """Where a record begins in the file, its length (-1 if its offsets are rotten) and its checksum.

    Args:
        file: uint8 `[bytes]`, the mapped file.
        pages: int64 `[pages, 2]`, where each page begins in it and how long it is, within `file`.
        samples: Number of samples of the dataset.
        index: From 0 to below `samples`.
    """
    page = index // PAGE_RECORDS
    count = min(PAGE_RECORDS, samples - page * PAGE_RECORDS)
    return _find_slot(file, pages[page, 0], pages[page, 0] + pages[page, 1], count, index - page * PAGE_RECORDS)


@njit(cache=True, nogil=True, inline="always")
def _find_slot(file, start, end, count, slot):  # type: ignore[no-untyped-def]
    """`find` in the page of `count` records that is `file[start:end]`."""
    first_byte = start + table_bytes_of(count)
    if first_byte > end:
        return start, np.int64(-1), np.uint32(0)
    begin = first_byte + np.int64(load32(file, np.uint64(start + 4 * slot)))
    stop = first_byte + np.int64(load32(file, np.uint64(start + 4 * slot + 4)))
    if begin > stop or stop > end:
        return start, np.int64(-1), np.uint32(0)
    return begin, stop - begin, load32(file, np.uint64(start + 4 * (count + 1 + slot)))


@njit(cache=True, nogil=True)
def _check_page(page, kind, first_index, rotten):  # type: ignore[no-untyped-def]
    """Clears the marks of the sound records."""
    for slot in range(len(rotten)):
        begin, length, checksum = _find_slot(page, np.int64(0), np.int64(len(page)), len(rotten), slot)
        rotten[slot] = length < 0 or not (
            xxh32(page, begin, begin + length, np.uint32(first_index + slot)) == checksum
            and is_well_formed(kind, page, begin, begin + length)
        )


@njit(cache=True, nogil=True)
def _without_rotten(data, offsets, rotten):  # type: ignore[no-untyped-def]
    """Empties the rotten records."""
    kept = np.zeros_like(offsets)
    for i in range(len(rotten)):
        kept[i + 1] = kept[i] + (np.int64(0) if rotten[i] else offsets[i + 1] - offsets[i])
    sound = np.empty(kept[len(rotten)], np.uint8)
    for i in range(len(rotten)):
        if not rotten[i]:
            _copy(data, offsets[i], sound, kept[i], kept[i + 1])
    return sound, kept, rotten


@njit(cache=True, nogil=True)
def _copy(source, first, target, start, stop):  # type: ignore[no-untyped-def]
    """Fills `target[start:stop]` from `source[first:]`; assigning slices takes Numba three times as long."""
    from_bytes = source[first : first + stop - start]
    to_bytes = target[start:stop]
    for i in range(len(to_bytes)):
        to_bytes[i] = from_bytes[i]
