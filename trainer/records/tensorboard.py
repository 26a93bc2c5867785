"""TensorBoard's event files: the rows of both logs as scalars, and the first batch of each epoch as the model gets it.

Each start of a run opens a file of its own in the folder; TensorBoard reads them as one.
"""

import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import image

from trainer.montage import montage

PICTURES = 64
_FILES = "events"  # their names begin so
_EVALUATION = "evaluation"
_HEADER = struct.Struct("<QI")  # of a record: bytes of its data, and their checksum
_CHECKSUM_BYTES = 4  # behind the data


class EventLog:
    """Writes events; each is on its way to the disk when its call returns."""

    def __init__(self, folder: Path, step: int, evaluated: int):
        """Opens a new file, having cut the others back.

        Args:
            folder: Of the event files; it is created if missing.
            step: Events of steps after this one are removed.
            evaluated: Events of evaluations after this step are.
        """
        folder.mkdir(exist_ok=True)
        before = sorted(folder.glob(f"{_FILES}.*"))  # and nothing else that somebody may have put there
        for path in before:
            _cut(path, step, evaluated)
        # Its name has the second, in which a run may be started twice.
        self._writer = EventsWriter(str(folder / _FILES), f".{len(before)}")

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()

    def add_step(self, row: Mapping[str, Any]) -> None:
        """Writes the numbers of a row of the log of steps, at its `step`, as scalars `step/NAME`."""
        self._add("step", row)

    def add_evaluation(self, row: Mapping[str, Any]) -> None:
        """The same of the log of evaluations, as `evaluation/NAME`."""
        self._add(_EVALUATION, row)

    def add_pictures(self, step: int, images: np.ndarray) -> None:
        """Writes the first 64 of `images`, uint8 `[rows, size, size, channels]`, as one picture."""
        self._write(step, image("batch", montage(images[:PICTURES]), dataformats="HWC"))

    def _add(self, kind: str, row: Mapping[str, Any]) -> None:
        values = [
            Summary.Value(tag=f"{kind}/{name}", simple_value=value)
            for name, value in row.items()
            if name != "step" and value is not None
        ]
        self._write(row["step"], Summary(value=values))

    def _write(self, step: int, summary: Summary) -> None:
        self._writer.write_event(Event(step=step, wall_time=time.time(), summary=summary))
        self._writer.flush()


def events(path: Path) -> Iterator[tuple[Event, int]]:
    """The whole events of a file, each with the number of bytes up to its end."""
    data, at = path.read_bytes(), 0
    while at + _HEADER.size <= len(data):
        length, _ = _HEADER.unpack_from(data, at)
        begin, at = at + _HEADER.size, at + _HEADER.size + length + _CHECKSUM_BYTES
        if at > len(data):
            return
        yield Event.FromString(data[begin : begin + length]), at


def _cut(path: Path, step: int, evaluated: int) -> None:
    """Removes what is behind the first event that is too new, and an event that was being written when all ended."""
    kept = 0
    for event, end in events(path):
        of_evaluation = any(value.tag.startswith(f"{_EVALUATION}/") for value in event.summary.value)
        if event.step > (evaluated if of_evaluation else step):
            break
        kept = end
    with open(path, "rb+") as file:
        file.truncate(kept)
