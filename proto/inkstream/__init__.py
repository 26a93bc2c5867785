"""Batches of rendered samples over the network, exact and in order: the client library of Inkstream.

client = inkstream.connect("10.0.0.5:50051")
pipeline = inkstream.Pipeline(dataset="doodles", batch_size=256, seed=7)
with client.stream(pipeline, epochs=2) as stream:
    for batch in stream:
        train(batch["image"], batch["label"])
"""

# ruff: noqa: F403, F405
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inkstream.public import *

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
    "MissingFramework",
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

if not TYPE_CHECKING:  # a type checker would take any name

    def __getattr__(name: str) -> object:
        """A public name: commands need only some modules of this package, and loading gRPC takes a while."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module("inkstream.public"), name)

    def __dir__() -> list[str]:
        return __all__
