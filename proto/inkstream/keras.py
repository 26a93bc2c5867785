"""Batches for `fit`, `evaluate` and `predict` of Keras 3, on any of its backends: `inkstream.keras.StreamDataset`.

It is a `PyDataset` and not a generator: Keras learns from it how many batches an epoch has, and takes its first batch
again after it has built a model with it. A generator loses batches at that, and at every evaluation.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkstream.batch import Batch
from inkstream.budget import DEFAULT_BUDGET_BYTES
from inkstream.client import Client
from inkstream.compression import DEFAULT_COMPRESSION
from inkstream.epochs import Epochs
from inkstream.errors import InvalidRequest, MissingFramework
from inkstream.pipeline import Pipeline

try:
    from keras.utils import PyDataset
except ImportError as error:
    raise MissingFramework(
        "inkstream.keras needs Keras 3 and one of its backends: pip install 'keras>=3', and tensorflow, jax or torch"
    ) from error


class StreamDataset(PyDataset):
    """The batches of a pipeline, each a tuple of inputs, targets and sample weights.

    Inputs are images, uint8 `[rows, size, size, channels]`. Targets are labels, int32 `[rows]`. Sample weights,
    float32 `[rows]`, are 1, and 0 for rows whose mask is 0 or that have no label; their target is 0.

    Keras goes through it once an epoch. When an epoch's last batch was taken, the next pass gives the epoch after it;
    a pass that is left before that is begun again by the next one. Batches come in the stream's order only.

    Args:
        client: Whom to ask.
        pipeline: What batches hold.
        epochs: Where to end, as `fit` counts it, so that nothing is read beyond; None for never.
        initial_epoch: The first epoch, as of `fit`.
        shard: Index and count: part `index` of `count` equal parts of every global batch.
        compression: How images travel: `sparse`, `none` or `zstd`.
        memory_bytes: What batches that were not taken yet, and messages on their way, may hold.

    Raises:
        InkstreamError: What `Client.stream` raises; `fit` may raise any error of `inkstream.errors`.
        InvalidRequest: `fit` shuffles, as it does unless it is told `shuffle=False`.
    """

    def __init__(
        self,
        client: Client,
        pipeline: Pipeline,
        *,
        epochs: int | None = None,
        initial_epoch: int = 0,
        shard: tuple[int, int] = (0, 1),
        compression: str = DEFAULT_COMPRESSION,
        memory_bytes: int = DEFAULT_BUDGET_BYTES,
    ):
        super().__init__()
        self._epochs = Epochs(
            client,
            pipeline,
            epochs=epochs,
            start=(initial_epoch, 0),
            shard=shard,
            compression=compression,
            memory_bytes=memory_bytes,
        )
        self._pass: Iterator[Batch] = iter(())
        self._next = 0

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self._epochs.resolved.steps_per_epoch

    def __getitem__(self, index: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float32]]:
        if index == 0:
            self._pass, self._next = iter(self._epochs), 0
        if index != self._next or index >= len(self):
            raise InvalidRequest(
                f"batch {index} was asked for where batch {self._next % len(self)} comes next: a stream keeps its "
                "order. Use fit(..., shuffle=False); the pipeline shuffles every epoch"
            )
        batch = next(self._pass)
        self._next += 1
        counts = (batch["mask"] != 0) & (batch["label"] >= 0)
        return batch["image"], np.where(counts, batch["label"], 0), counts.astype(np.float32)

    def close(self) -> None:
        """Closes the stream."""
        self._epochs.close()
