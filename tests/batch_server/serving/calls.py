"""What tests of the service ask for, and how they read answers and refusals."""

import threading
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2

from inkstream import wire
from inkstream.compression import decode
from inkstream.v1 import batch_service_pb2 as pb

WAIT_S = 120
AUGMENT = pb.Augment(rotate_deg=10, shift=0.05, stroke_dropout=0.1, jitter=0.01, erase=pb.Erase())


def pipeline(**settings: Any) -> pb.Pipeline:
    defaults = {"dataset": "sketches", "batch_size": 64, "split": pb.SPLIT_ALL, "seed": 7, "render": pb.Render(size=32)}
    return pb.Pipeline(**(defaults | settings))


def decoded(chunk: pb.Chunk, paper: bytes = b"\0") -> dict[str, np.ndarray]:
    tensors = {}
    for tensor in chunk.tensors:
        values = np.empty(tuple(tensor.shape), wire.DTYPES[tensor.dtype])
        decode(tensor.compression, memoryview(tensor.data), values, paper if tensor.name == "image" else b"")
        tensors[tensor.name] = values
    return tensors


def details_of(error: grpc.RpcError) -> tuple[Any, Any, Any]:
    """ErrorInfo, BadRequest and RetryInfo of a failed call."""
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    metadata = dict(error.trailing_metadata())
    for packed in status_pb2.Status.FromString(metadata["grpc-status-details-bin"]).details:
        assert packed.Unpack(info) or packed.Unpack(bad) or packed.Unpack(retry)
    return info, bad, retry


def failure(run: Callable[[], Any]) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        run()
    return caught.value


def wait_until(holds: Callable[[], bool]) -> bool:
    waiting = threading.Event()
    return any(holds() or waiting.wait(0.01) for _ in range(100 * WAIT_S))
