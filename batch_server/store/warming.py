"""Reads a dataset's file into the page cache, before anybody waits for it.

It is read, not touched through the map: a sector that the disk cannot read is an error here, where it would end the
process there.
"""

import os
from collections.abc import Callable, Iterator

from batch_server.store.errors import UnreadableDataset
from batch_server.store.pages import PAGE_RECORDS, table_bytes_of
from batch_server.store.reader import Dataset
from batch_server.store.schema import RECORDS

# What is read at a time, and how many of these the system is asked for ahead: enough to keep a disk busy.
_PIECE_BYTES = 1 << 20
_PIECES_AHEAD = 16

Place = tuple[int, int]


def read_into_memory(
    dataset: Dataset,
    *,
    records: bool,
    tell: Callable[[int, int], None],
    stopped: Callable[[], bool],
) -> None:
    """Reads a file from its beginning to its end, or what every batch needs of it.

    Args:
        dataset: Of the file.
        records: Whether to read the records, too. Where they do not fit into memory, reading them would drop the rest.
        tell: Told how many bytes are read, and of how many.
        stopped: Whether to give up.

    Raises:
        UnreadableDataset: The disk cannot read it, or it was cut short meanwhile.
    """
    places = [(0, dataset.used_bytes)] if records else list(_without_records(dataset))
    pieces = [piece for place in places for piece in _pieces(place)]
    total_bytes, done_bytes = sum(length for _, length in pieces), 0
    buffer = memoryview(bytearray(_PIECE_BYTES))
    if not records and hasattr(os, "posix_fadvise"):  # else what lies between the pieces is read ahead
        os.posix_fadvise(dataset.file.descriptor, 0, 0, os.POSIX_FADV_RANDOM)
    for number, (start, length) in enumerate(pieces):
        if stopped():
            return
        for piece in pieces[number + _PIECES_AHEAD : number + _PIECES_AHEAD + 1]:
            dataset.file.ask(*piece)
        tell(done_bytes, total_bytes)
        try:
            got = os.preadv(dataset.file.descriptor, [buffer[:length]], start)
        except OSError as error:
            raise UnreadableDataset(
                dataset.path, f"cannot be read near byte {start:,} ({error.strerror}): copy it again from a good one"
            ) from None
        if got < length:
            raise UnreadableDataset(dataset.path, f"was cut short at byte {start + got:,}: copy it again")
        done_bytes += length
    tell(done_bytes, total_bytes)


def _without_records(dataset: Dataset) -> Iterator[Place]:
    """The columns, and where in their pages the records begin: 15 % of a dataset."""
    for name in dataset.columns:
        yield from map(tuple, dataset.places[name].tolist())
    for number, (start, _) in enumerate(dataset.places[RECORDS].tolist()):
        yield start, table_bytes_of(min(PAGE_RECORDS, dataset.samples - number * PAGE_RECORDS))


def _pieces(place: Place) -> Iterator[Place]:
    start, length = place
    for at in range(start, start + length, _PIECE_BYTES):
        yield at, min(_PIECE_BYTES, start + length - at)
