"""Batches of rendered samples over the network, exact and in order: the client library of Inkstream.

client = inkstream.connect("10.0.0.5:50051")
pipeline = inkstream.Pipeline(dataset="doodles", batch_size=256, seed=7)
with client.stream(pipeline, epochs=2) as stream:
    for batch in stream:
        train(batch["image"], batch["label"])
"""

from inkstream.batch import Batch
from inkstream.client import Client, connect
from inkstream.credentials import TLS
from inkstream.descriptions import DatasetInfo, RendererInfo, Resolved, SplitInfo, TensorSpec
from inkstream.errors import (
    AccessDenied,
    CorruptChunk,
    DeadlineExceeded,
    EmptySplit,
    ForkedClient,
    InkstreamError,
    InvalidPipeline,
    InvalidRequest,
    RottenData,
    ServerDraining,
    ServerFailure,
    ServerFull,
    ServerMismatch,
    ServersDisagree,
    ServerUnavailable,
    UnknownDataset,
    Violation,
)
from inkstream.pipeline import Augment, Erase, Filter, Pipeline, Render
from inkstream.plan import Cursor
from inkstream.stats import ServerStats, StreamStats
from inkstream.stream import Stream

__all__ = [
    "AccessDenied",
    "Augment",
    "Batch",
    "Client",
    "CorruptChunk",
    "Cursor",
    "DatasetInfo",
    "DeadlineExceeded",
    "EmptySplit",
    "Erase",
    "Filter",
    "ForkedClient",
    "InkstreamError",
    "InvalidPipeline",
    "InvalidRequest",
    "Pipeline",
    "Render",
    "RendererInfo",
    "Resolved",
    "RottenData",
    "ServerDraining",
    "ServerFailure",
    "ServerFull",
    "ServerMismatch",
    "ServerStats",
    "ServerUnavailable",
    "ServersDisagree",
    "SplitInfo",
    "Stream",
    "StreamStats",
    "TLS",
    "TensorSpec",
    "UnknownDataset",
    "Violation",
    "connect",
]
