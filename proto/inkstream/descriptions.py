"""What servers say about datasets, pipelines and themselves: contract messages in, plain values out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from inkstream.errors import ServerFailure
from inkstream.pipeline import SPLITS, Pipeline
from inkstream.v1 import batch_service_pb2 as pb
from inkstream.wire import DTYPES

_SPLIT_NAMES: dict[Any, str] = {pb.Split.Value(f"SPLIT_{name.upper()}"): name for name in SPLITS}


@dataclass(frozen=True)
class SplitInfo:
    """A split at the default validation share, without a filter.

    Attributes:
        samples: How many it has.
    """

    samples: int


@dataclass(frozen=True)
class DatasetInfo:
    """What a dataset holds.

    Attributes:
        name: On the server.
        fingerprint: Equal contents, equal fingerprint.
        kind: What a sample is: `drawing`.
        samples: All splits together.
        classes: Names in label order; empty for a dataset without labels.
        class_counts: Samples per class, in label order.
        splits: `train`, `validation` and `all`.
    """

    name: str
    fingerprint: str
    kind: str
    samples: int
    classes: tuple[str, ...]
    class_counts: tuple[int, ...]
    splits: Mapping[str, SplitInfo]


@dataclass(frozen=True)
class RendererInfo:
    """What draws batches; equal ones draw equal pixels.

    Attributes:
        version: Raised by any change of pixels.
        self_test_digest: Of the batch that a server draws when it starts.
    """

    version: int
    self_test_digest: str

    def __str__(self) -> str:
        return f"renderer version {self.version} (self-test {self.self_test_digest or 'unknown'})"


class TensorSpec(NamedTuple):
    """What a tensor looks like.

    Attributes:
        name: `image`, `label`, `key_id` or `mask`.
        dtype: Of an element, little endian.
        shape: The global batch first.
        paper: Values of one pixel of the background; empty for a tensor without one.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    paper: bytes = b""

    @property
    def row_bytes(self) -> int:
        """Uncompressed size of one row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


@dataclass(frozen=True)
class Resolved:
    """What a pipeline yields.

    Attributes:
        pipeline: That was resolved.
        digest: Equal digests, equal batches.
        fingerprint: Of the dataset.
        renderer: What draws the batches.
        samples: That an epoch visits (with `drop`, those in whole batches).
        steps_per_epoch: Batches of an epoch.
        tensors: Of a global batch, in order.
        classes: Names in label order, those too which a filter leaves out.
    """

    pipeline: Pipeline
    digest: str
    fingerprint: str
    renderer: RendererInfo
    samples: int
    steps_per_epoch: int
    tensors: tuple[TensorSpec, ...]
    classes: tuple[str, ...]

    @property
    def renderer_version(self) -> int:
        """Raised by any change of pixels."""
        return self.renderer.version


def dataset_info(message: pb.Dataset) -> DatasetInfo:
    """The dataset that a message describes."""
    return DatasetInfo(
        name=message.name,
        fingerprint=message.fingerprint,
        kind=message.kind,
        samples=message.samples,
        classes=tuple(message.classes),
        class_counts=tuple(message.class_counts),
        splits={_SPLIT_NAMES[each.split]: SplitInfo(each.samples) for each in message.splits if each.split},
    )


def renderer_info(message: pb.Renderer) -> RendererInfo:
    """The renderer that a message describes."""
    return RendererInfo(message.version, message.self_test_digest)


def resolved(pipeline: Pipeline, message: pb.ResolvePipelineResponse, address: str) -> Resolved:
    """What a server says that a pipeline yields, checked as far as a stream relies on it.

    Raises:
        ServerFailure: It cannot be.
    """
    tensors = tuple(
        TensorSpec(spec.name, DTYPES[spec.dtype], tuple(spec.shape), spec.paper)
        for spec in message.tensors
        if spec.dtype in DTYPES
    )
    possible = (
        len(tensors) == len(message.tensors) == len({spec.name for spec in tensors})
        and any(spec.name == "image" for spec in tensors)
        and all(spec.shape[:1] == (pipeline.batch_size,) and min(spec.shape) > 0 for spec in tensors)
        and all(not spec.paper or spec.row_bytes % len(spec.paper) == 0 for spec in tensors)
        and message.samples > 0
        and message.steps_per_epoch == -(-message.samples // pipeline.batch_size)
    )
    if not possible:
        raise ServerFailure(f"{address} describes batches that this client cannot read: upgrade inkstream")
    return Resolved(
        pipeline=pipeline,
        digest=message.digest,
        fingerprint=message.fingerprint,
        renderer=renderer_info(message.renderer),
        samples=message.samples,
        steps_per_epoch=message.steps_per_epoch,
        tensors=tensors,
        classes=tuple(message.classes),
    )
