"""Stopping after the same step: a process that is to stop, or whose stream has failed, gives void batches.

What a step computes is shared, so none of the processes can leave out one that the others take. A void batch on one
of them makes the step void on all (`trainer.steps`): nothing changes, everybody sees it, and everybody stops.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

import inkstream
from inkstream.command_line import EXIT_FAILED, UsageError
from trainer.hosts.peers import Alone, Peers
from trainer.input import DeviceBatch, DeviceInput
from trainer.interrupts import StopSignals
from trainer.parallel import Parallel
from trainer.records.standing import Standing
from trainer.run import Run


class Stopped(Exception):
    """A process was told to stop, or its stream has failed: the step or batch that showed it does not count."""


class Agreement:
    """How the processes of a training begin alike and stop after the same step."""

    def __init__(self, peers: Alone | Peers, stop: StopSignals):
        """Agrees with `peers` when a signal has come."""
        self._peers = peers
        self._stop = stop
        self._failure: inkstream.InkstreamError | None = None

    def begin(self, run: Run, devices: str, standing: Standing) -> Standing:
        """Where process 0 begins.

        Args:
            run: What this process was started with.
            devices: As the user wrote them.
            standing: Looked at only in process 0.

        Raises:
            UsageError: Process 0 was started with other settings; names each with both values.
        """
        mine = {"run": run.to_json(), "devices": devices}
        first = self._peers.from_first("begin", mine | {"standing": standing.to_json()})
        differences = Run.from_json(first["run"]).differences(run)
        if devices != first["devices"]:
            differences.append(f"devices was {first['devices']!r}, is {devices!r}")
        if differences:
            raise UsageError(
                f"all processes need the same settings; compared with process 0, in process {self._peers.process} "
                f"{'; '.join(differences)}"
            )
        return Standing.from_json(first["standing"])

    @contextmanager
    def until_one_stops(self, batches: DeviceInput, void: DeviceBatch) -> Iterator[Iterator[DeviceBatch]]:
        """The batches, and then void ones for as long as the others may need to see one.

        A process that is alone need not tell anybody: its iterator raises `Stopped`, or the error of the stream.
        """
        with batches as stream:
            yield self._until_stopped(stream) if self._peers.processes == 1 else self._voting(stream, void)

    def conclude(self) -> int:
        """After `Stopped`: the exit code, having said who wanted it.

        Raises:
            InkstreamError: This process's stream has failed.
        """
        self._peers.agreed = True
        if self._failure is not None:
            raise self._failure
        if self._stop.exit_code is not None:
            return self._stop.exit_code
        reasons = self._peers.leaving()
        print(f"trainer: {'; '.join(text for text, _ in reasons)}", file=sys.stderr, flush=True)
        return max((code for _, code in reasons), default=EXIT_FAILED)

    def _until_stopped(self, stream: Iterator[DeviceBatch]) -> Iterator[DeviceBatch]:
        yield from stream
        if self._stop.asked():
            raise Stopped

    def _voting(self, stream: Iterator[DeviceBatch], void: DeviceBatch) -> Iterator[DeviceBatch]:
        try:
            yield from stream
            if self._stop.exit_code is None:
                return
            self._peers.leave("was told to stop", self._stop.exit_code)
        except inkstream.InkstreamError as error:
            self._failure = error
            self._peers.leave(f"failed: {error}", EXIT_FAILED)
        while True:
            yield void


def void_batch(parallel: Parallel, rows: int, image: tuple[int, ...]) -> DeviceBatch:
    """A batch that must not count.

    Args:
        parallel: Where it goes.
        rows: Of this process.
        image: Shape of one.
    """
    none = np.zeros(rows, np.float32)
    images = np.zeros((rows, *image), np.uint8)
    arrays: dict[str, np.ndarray] = {"image": images, "label": none.astype(np.int32), "mask": none, "weight": none}
    return DeviceBatch(parallel.split(arrays | {"void": none + 1}), _Nothing(), 0.0, 0.0)


class _Nothing:
    """The host's side of a void batch."""

    epoch, step, cursor = 0, 0, None

    def __getitem__(self, name: str) -> np.ndarray:
        raise KeyError(name)
