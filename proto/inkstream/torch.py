"""Batches as tensors of PyTorch: `inkstream.torch.StreamDataset`, for a `DataLoader` or a loop of its own."""

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from inkstream.batch import Batch
from inkstream.budget import DEFAULT_BUDGET_BYTES
from inkstream.client import Client
from inkstream.compression import DEFAULT_COMPRESSION
from inkstream.epochs import Epochs
from inkstream.errors import InvalidRequest, MissingFramework
from inkstream.pipeline import Pipeline

try:
    import torch
    import torch.utils.data
except ImportError as error:
    raise MissingFramework("inkstream.torch needs PyTorch 2.3 or newer: pip install torch") from error


class StreamDataset(torch.utils.data.IterableDataset):
    """The batches of one epoch each time that it is iterated over, as dictionaries of tensors.

    `image` uint8 `[rows, channels, size, size]`, a view in PyTorch's `channels_last` memory format; `label` int64
    `[rows]`, a copy, since losses ask for that type; `key_id` uint64 and `mask` uint8 `[rows]`; `cursor` int64 `[2]`,
    the position after this batch. All but `label` and `cursor` are the memory of the stream's arrays, not copies.

    When an epoch's last batch was taken, the next pass gives the epoch after it. A pass that is left before that closes
    its stream, and the next one begins where it began. There is one pass at a time.

    Args:
        client: Whom to ask.
        pipeline: What batches hold.
        epochs: Where to end, counted from epoch 0 whatever `start` is, so that nothing is read beyond; None for never.
        start: Where the first pass begins: `batch["cursor"].tolist()` of the last batch that was used.
        shard: Index and count: part `index` of `count` equal parts of every global batch. None: rank and world size
            of `torch.distributed` where it is initialized, and otherwise the whole batch.
        compression: How images travel: `sparse`, `none` or `zstd`.
        memory_bytes: What batches that were not taken yet, and messages on their way, may hold.

    Raises:
        InkstreamError: What `Client.stream` raises; iterating may raise any error of `inkstream.errors`.
        InvalidRequest: It is iterated over in a worker process of a `DataLoader`.
    """

    def __init__(
        self,
        client: Client,
        pipeline: Pipeline,
        *,
        epochs: int | None = None,
        start: Sequence[int] = (0, 0),
        shard: tuple[int, int] | None = None,
        compression: str = DEFAULT_COMPRESSION,
        memory_bytes: int = DEFAULT_BUDGET_BYTES,
    ):
        super().__init__()
        self._epochs = Epochs(
            client,
            pipeline,
            epochs=epochs,
            start=start,
            shard=_own_shard() if shard is None else shard,
            compression=compression,
            memory_bytes=memory_bytes,
        )

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return self._epochs.resolved.steps_per_epoch

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if torch.utils.data.get_worker_info() is not None:
            _refuse_workers()
        for batch in self._epochs:
            yield _tensors(batch)

    def __reduce__(self) -> NoReturn:
        _refuse_workers()  # a worker process that is spawned gets a pickled copy

    def close(self) -> None:
        """Closes the stream."""
        self._epochs.close()


def _tensors(batch: Batch) -> dict[str, Any]:
    tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
    tensors["image"] = tensors["image"].permute(0, 3, 1, 2)
    tensors["label"] = tensors["label"].long()
    tensors["cursor"] = torch.from_numpy(np.array(batch.cursor, np.int64))
    return tensors


def _own_shard() -> tuple[int, int]:
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def _refuse_workers() -> NoReturn:
    raise InvalidRequest(
        "a stream cannot be read in worker processes: use DataLoader(dataset, batch_size=None, num_workers=0); batches "
        "are drawn by the servers, and the stream reads them ahead already"
    )
