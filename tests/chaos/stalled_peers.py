"""Clients that ask for an epoch and then read no more of it, each on a connection of its own.

`python -m tests.chaos.stalled_peers ADDRESS --connections N [--read MESSAGES]` is a process of plain stubs: it prints
`ready` when each has read so many messages, or its first one where they read on, and stays until its input closes.
"""

import argparse
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import grpc

from inkstream.v1 import batch_service_pb2 as pb
from inkstream.v1.batch_service_pb2_grpc import BatchServiceStub
from tests.chaos.harness import ROOT
from tests.http2_peer import Http2Peer

STREAM_BATCHES = "/inkstream.v1.BatchService/StreamBatches"
# Rows of 64 KiB, uncompressed. So a chunk of 16 is one message of a mebibyte, the largest usual one.
PIXELS = 256
ROWS = 16
# Clients that read hundreds of messages first get smaller ones, or they would be at it for minutes.
FEW_ROWS = 4
_PROCESSES = 4
_READY_TIMEOUT_S = 90
_CALL_TIMEOUT_S = 300
_CHANNEL_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),  # a connection of its own
    ("grpc.http2.bdp_probe", 0),  # the least that gRPC reads ahead, so that the server is left with most
)

Stalled = Callable[[str, int], Any]


def request_for(channel: grpc.Channel, seed: int, rows: int = ROWS, pixels: int = PIXELS) -> bytes:
    """A serialized request for an epoch that nobody else asks for: nothing of it is shared in the server."""
    pipeline = pb.Pipeline(dataset="scribbles", split=pb.SPLIT_ALL, batch_size=rows, render=pb.Render(size=pixels))
    pipeline.seed = seed
    resolved = BatchServiceStub(channel).ResolvePipeline(pb.ResolvePipelineRequest(pipeline=pipeline), timeout=60)
    return pb.StreamBatchesRequest(
        pipeline=resolved.pipeline,
        digest=resolved.digest,
        fingerprint=resolved.fingerprint,
        steps=resolved.steps_per_epoch,
        compression=pb.COMPRESSION_NONE,
        stream_id=seed,
    ).SerializeToString()


@contextmanager
def stubs(address: str, count: int, read: int = 0, rows: int = ROWS, stop: bool = False) -> Iterator[None]:
    """Processes of plain stubs that have read so many messages each.

    Args:
        address: The server.
        count: Connections.
        read: Messages that each has read before it stalls; 0 for reading on.
        rows: In a message.
        stop: Whether the processes are stopped with SIGSTOP then.
    """
    command = [sys.executable, "-m", "tests.chaos.stalled_peers", address, "--read", str(read), "--rows", str(rows)]
    with ExitStack() as stack:
        processes = []
        for index in range(_PROCESSES):
            words = ["--connections", str(count // _PROCESSES), "--first-seed", str(1000 * index)]
            process = subprocess.Popen(
                [*command, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
            )
            stack.callback(_end, process)
            processes.append(process)
        for process in processes:
            _expect_ready(process)
        if stop:
            for process in processes:
                process.send_signal(signal.SIGSTOP)
        yield


@contextmanager
def raw_peers(address: str, count: int) -> Iterator[None]:
    """HTTP/2 peers that open windows of 2 GiB and never read."""
    with ExitStack() as stack:
        with grpc.insecure_channel(address) as channel:
            requests = [request_for(channel, seed) for seed in range(count)]
        for request in requests:
            peer = stack.enter_context(Http2Peer(address))
            peer.send_request(peer.open_call(STREAM_BATCHES), request)
        yield


KINDS: dict[str, Stalled] = {
    "application stops after 1 message": partial(stubs, read=1),
    "application stops after 300": partial(stubs, read=300, rows=FEW_ROWS),
    "SIGSTOP": partial(stubs, stop=True),
    "raw peer that never reads": raw_peers,
}


def _expect_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    too_late = threading.Timer(_READY_TIMEOUT_S, process.kill)
    too_late.start()
    try:
        line = process.stdout.readline()
    finally:
        too_late.cancel()
    assert line == "ready\n", f"the stalling clients were not ready within {_READY_TIMEOUT_S} s"


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


def main() -> int:
    """A process of stubs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server")
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--first-seed", type=int, required=True)
    parser.add_argument("--read", type=int, required=True)
    parser.add_argument("--rows", type=int, required=True)
    options = parser.parse_args()
    ready = threading.Semaphore(0)
    calls = []

    def read(call: Any) -> None:
        for index, _ in enumerate(call, 1):
            if index == (options.read or 1):
                ready.release()
            if index == options.read:
                return

    for seed in range(options.first_seed, options.first_seed + options.connections):
        channel = grpc.insecure_channel(options.server, _CHANNEL_OPTIONS)
        call = channel.unary_stream(STREAM_BATCHES)(request_for(channel, seed, options.rows), timeout=_CALL_TIMEOUT_S)
        calls.append((channel, call))
        threading.Thread(target=read, args=(call,), daemon=True).start()
    for _ in calls:
        ready.acquire()
    print("ready", flush=True)
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
