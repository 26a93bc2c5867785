"""The pure function at the heart of the server: a position in, the tensors of a chunk out."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from batch_server.ordering import EpochPlan
from batch_server.randomness import visit_names
from batch_server.rendering import draw
from batch_server.store.reader import Dataset
from inkstream.chunking import Span
from inkstream.errors import RottenData
from inkstream.pipeline import Pipeline, Render


class RottenRecord(RottenData):
    """A record does not match its checksum."""

    def __init__(self, dataset: str, key_id: int):
        self.dataset, self.key_id = dataset, key_id
        super().__init__(
            f"dataset {dataset}: the record of key id {key_id} does not match its checksum; ask another server, or ask "
            "for blanks when every server has failed"
        )


class TensorSpec(NamedTuple):
    """What one of a batch's tensors looks like.

    Attributes:
        name: `image`, `label`, `key_id` or `mask`.
        dtype: Of an element.
        row_shape: Dimensions of one row.
        paper: Values of one pixel of the background; empty for a tensor without one.
    """

    name: str
    dtype: np.dtype[Any]
    row_shape: tuple[int, ...]
    paper: bytes


class ChunkTensors(NamedTuple):
    """Consecutive rows of a batch.

    Attributes:
        image: uint8 `[rows, size, size, channels]`.
        label: int32 `[rows]`, -1 for padding and where the dataset has none.
        key_id: uint64 `[rows]`, 0 for padding.
        mask: uint8 `[rows]`, 0 for padding and blanks, else 1.
        blanks: Key ids of the rows that are blank because their record is rotten.
    """

    image: NDArray[np.uint8]
    label: NDArray[np.int32]
    key_id: NDArray[np.uint64]
    mask: NDArray[np.uint8]
    blanks: tuple[int, ...]

    @property
    def tensors(self) -> dict[str, NDArray[Any]]:
        """By name, in the order of `tensor_specs`."""
        return {"image": self.image, "label": self.label, "key_id": self.key_id, "mask": self.mask}


def tensor_specs(render: Render) -> tuple[TensorSpec, ...]:
    """The tensors of a batch, in the order in which they travel."""
    return (
        TensorSpec("image", np.dtype("u1"), (render.size, render.size, render.channels), render.paper_pixel),
        TensorSpec("label", np.dtype("<i4"), (), b""),
        TensorSpec("key_id", np.dtype("<u8"), (), b""),
        TensorSpec("mask", np.dtype("u1"), (), b""),
    )


class BatchMaker:
    """Makes chunks of the batches of one pipeline; threads may share it.

    Args:
        dataset: Where the samples are.
        pipeline: What a batch holds. Its seed, and the epoch and step asked for, decide the rest.

    Raises:
        InvalidPipeline: The filter names classes that the dataset does not have.
        EmptySplit: No sample passes split and filter, or `drop` leaves no batch.
        RottenColumn: A column that decides the order does not match its checksum.
    """

    def __init__(self, dataset: Dataset, pipeline: Pipeline):
        self.dataset, self.pipeline = dataset, pipeline
        self.epoch_plan = EpochPlan(dataset, pipeline)

    def chunk(
        self,
        epoch: int,
        step: int,
        rows: Span,
        *,
        blank_rotten: bool = False,
        image: NDArray[np.uint8] | None = None,
    ) -> ChunkTensors:
        """Draws consecutive rows of one global batch.

        Args:
            epoch: From 0.
            step: From 0 to below the steps of an epoch.
            rows: Within the global batch, at least one.
            blank_rotten: Whether a rotten record gives a row of paper instead of an error.
            image: As for `samples`.

        Raises:
            RottenRecord: A record does not match its checksum, and blanks were not asked for.
            RottenColumn: A column does not match its checksum.
        """
        indices = self.epoch_plan.rows(epoch, step, rows)
        visits = self.epoch_plan.visit_numbers(epoch, step, rows) if self.pipeline.class_balanced else None
        return self.samples(epoch, indices, visits=visits, blank_rotten=blank_rotten, image=image)

    def ask_ahead(self, epoch: int, step: int, rows: Span) -> None:
        """Asks the system to have in memory what `chunk` will read; it hardly ever waits for the disk.

        Args:
            epoch: From 0.
            step: From 0 to below the steps of an epoch.
            rows: Within the global batch, at least one.
        """
        self.dataset.ask_ahead(self.epoch_plan.rows(epoch, step, rows), ("label", "key_id"))

    def samples(
        self,
        epoch: int,
        indices: NDArray[np.int64],
        *,
        visits: NDArray[np.uint64] | None = None,
        blank_rotten: bool = False,
        image: NDArray[np.uint8] | None = None,
    ) -> ChunkTensors:
        """Draws samples as an epoch varies them.

        Args:
            epoch: From 0.
            indices: int64 `[n]`, of the dataset's samples; -1 for padding.
            visits: uint64 `[n]`, how many times each was drawn before in this run, to vary it anew; None for 0.
            blank_rotten: Whether a rotten record gives a row of paper instead of an error.
            image: uint8 `[n, size, size, channels]`, C-contiguous; receives the pictures and becomes the chunk's
                `image`. Memory that is used again is faster: the first write to a new page costs more than drawing
                on it. None takes new memory.

        Raises:
            RottenRecord: A record does not match its checksum, and blanks were not asked for.
            RottenColumn: A column does not match its checksum.
            ValueError: `image` is not as it should be.
        """
        pipeline = self.pipeline
        label, key_id = self.dataset.take("label", indices), self.dataset.take("key_id", indices)
        records = self.dataset.records(indices)
        blanks = tuple(key_id[records.rotten].tolist())
        if blanks and not blank_rotten:
            raise RottenRecord(pipeline.dataset, blanks[0])
        mask = ((indices >= 0) & ~records.rotten).astype(np.uint8)
        if image is None:
            image = np.empty((len(indices), *tensor_specs(pipeline.render)[0].row_shape), np.uint8)
        draw(
            records,
            key_id if visits is None else visit_names(key_id, visits),
            seed=pipeline.seed,
            epoch=epoch,
            render=pipeline.render,
            augment=pipeline.augment,
            out=image,
        )
        return ChunkTensors(image, label, key_id, mask, blanks)
