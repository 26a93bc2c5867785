"""Device input: while the devices work on one batch, the next is already on its way to them."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from trainer.classification import head_indices
from trainer.parallel import Parallel
from trainer.row_weights import RowWeights

POLL_S = 0.05  # how often a wait for data looks whether the run is to stop
CLOSE_TIMEOUT_S = 10  # a stream that is closed ends at once; the thread is a daemon if it does not


class HostBatch(Protocol):
    """What a stream yields: arrays by name, and the position (`inkstream.Batch`).

    `image` uint8 `[batch, size, size, channels]`, `label` int32, `key_id` uint64 and `mask` uint8, each `[batch]`.
    """

    epoch: int
    step: int
    cursor: Any

    def __getitem__(self, name: str) -> np.ndarray:
        """The array called `name`."""


class DeviceBatch(NamedTuple):
    """A batch on the devices.

    Args:
        arrays: For a step: `image`, `label`, `mask`, `weight` and `void`, `[devices, rows, ...]`
            (`trainer.steps.Batch`).
        host: The batch as it came.
        asked_at: When the caller asked for it (`time.perf_counter`).
        wait_s: For how long the caller then had to wait.
    """

    arrays: Mapping[str, jax.Array]
    host: HostBatch
    asked_at: float
    wait_s: float


class DeviceInput:
    """Batches of a stream, each put on the devices by a thread while the one before it is worked on."""

    def __init__(
        self,
        batches: Iterable[HostBatch],
        parallel: Parallel,
        outputs: np.ndarray,
        *,
        labelled: bool = True,
        weights: RowWeights | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ):
        """Takes batches from a stream.

        Args:
            batches: The stream. If it has `close()`, that is called at the end and must end a wait for a batch.
            parallel: Where the batches go.
            outputs: int32 `[classes of the dataset]`, the model's output for each label, -1 for none.
            labelled: Rows without a label get mask 0.
            weights: Of the rows in the loss; None means 1 for each.
            stopping: Asked before each batch and while waiting for it; when it says yes, the iteration ends.
        """
        self._batches = batches
        self._parallel = parallel
        self._outputs = outputs
        self._labelled = labelled
        self._weights = weights
        self._stopping = stopping
        self._ready: queue.SimpleQueue[DeviceBatch | BaseException | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(1)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="device-input", daemon=True)

    def __enter__(self) -> Iterator[DeviceBatch]:
        self._thread.start()
        return self._drain()

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._closed.set()
        close = getattr(self._batches, "close", None)
        if close is not None:
            close()
        self._room.release()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _drain(self) -> Iterator[DeviceBatch]:
        while not self._stopping():
            asked = time.perf_counter()
            while True:
                try:
                    item = self._ready.get(timeout=POLL_S)
                    break
                except queue.Empty:
                    if self._stopping():
                        return
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            self._room.release()
            yield item._replace(asked_at=asked, wait_s=time.perf_counter() - asked)

    def _fill(self) -> None:
        try:
            for batch in self._batches:
                self._room.acquire()
                if self._closed.is_set():
                    return
                self._ready.put(self._place(batch))
            self._ready.put(None)
        except BaseException as error:  # raised again where the batch was awaited
            self._ready.put(error)

    def _place(self, batch: HostBatch) -> DeviceBatch:
        label, known = head_indices(batch["label"], self._outputs)
        mask = batch["mask"].astype(np.float32)
        if self._labelled:
            mask *= known
        weight = mask if self._weights is None else mask * self._weights.of(label, batch["key_id"])
        rows = {"image": batch["image"], "label": label, "mask": mask, "weight": weight, "void": np.zeros_like(mask)}
        return DeviceBatch(self._parallel.split(rows), batch, 0.0, 0.0)
