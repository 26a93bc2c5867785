"""`connect`, and what a client can ask for: datasets, what a pipeline yields, and streams of batches."""

import os
import secrets
import weakref
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, TypeVar

from inkstream.attempts import ask_any
from inkstream.budget import DEFAULT_BUDGET_BYTES
from inkstream.channel import Closed, OpenCalls, Server
from inkstream.compression import DEFAULT_COMPRESSION, compression_number
from inkstream.credentials import TLS, Credentials, FilePath
from inkstream.descriptions import DatasetInfo, Resolved, dataset_info, resolved
from inkstream.errors import InvalidRequest
from inkstream.messages import to_message
from inkstream.pipeline import MAX_BATCH_SIZE, Pipeline
from inkstream.plan import Cursor, Plan
from inkstream.prefetch import Prefetcher
from inkstream.ranges import Run
from inkstream.resolver import AddressBook, Resolver, parse_targets, resolve_name
from inkstream.servers import ServerSet
from inkstream.stream import Stream, check_process
from inkstream.v1 import batch_service_pb2 as pb

_T = TypeVar("_T")

DEFAULT_TIMEOUT_S = 60.0


def connect(
    servers: str | Iterable[str],
    *,
    tls: TLS | None = None,
    token_file: FilePath | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    resolver: Resolver = resolve_name,
) -> "Client":
    """A client of one or several batch servers. It opens connections when they are needed.

    Args:
        servers: `HOST:PORT`, `dns:///NAME:PORT` (every server that the name resolves to), or a list of them.
        tls: How client and servers know each other; None for connections without encryption.
        token_file: A file with the bearer token that servers want, read again when it changes; None for none.
        timeout_s: For how long any call, and any range of a stream, is tried again without progress before its last
            error is raised.
        resolver: How names are looked up: takes the name and the port, returns the addresses, `HOST:PORT` each. Names
            are looked up again every 2 s while a stream is open; one that cannot be keeps its last addresses.

    Raises:
        InvalidRequest: An address, the timeout or a file makes no sense.
    """
    if not (isinstance(timeout_s, int | float) and 0 < timeout_s < float("inf")):
        raise InvalidRequest(f"timeout_s must be a number of seconds above 0, got {timeout_s!r}")
    book, credentials = AddressBook(parse_targets(servers), resolver), Credentials(tls, token_file)
    return Client(ServerSet(book, lambda endpoint: Server(endpoint, credentials)), timeout_s)


class Client:
    """A client of batch servers, from `connect`. Threads may share it; a forked child may not."""

    def __init__(self, servers: ServerSet, timeout_s: float):
        self._servers = servers
        self._timeout_s = timeout_s
        self._calls = OpenCalls()
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self._pid = os.getpid()

    def datasets(self) -> tuple[DatasetInfo, ...]:
        """The datasets that are served, in code-point order of their names."""
        response, _ = self._ask(Server.list_datasets)
        return tuple(dataset_info(dataset) for dataset in response.datasets)

    def dataset(self, name: str) -> DatasetInfo:
        """What one dataset holds.

        Raises:
            UnknownDataset: It is not served.
        """
        if not isinstance(name, str) or not name:
            raise InvalidRequest(f"name must be the name of a dataset, got {name!r}")
        response, _ = self._ask(lambda server, calls, timeout_s: server.get_dataset(name, calls, timeout_s))
        return dataset_info(response.dataset)

    def resolve(self, pipeline: Pipeline) -> Resolved:
        """What a pipeline yields.

        Raises:
            InvalidPipeline: The server refuses settings.
            UnknownDataset: The dataset is not served.
            EmptySplit: No sample passes split and filter, or `drop` leaves no batch.
        """
        if not isinstance(pipeline, Pipeline):
            raise InvalidRequest(f"pipeline must be a Pipeline, got {type(pipeline).__name__}")
        message = to_message(pipeline)
        response, server = self._ask(lambda server, calls, timeout_s: server.resolve(message, calls, timeout_s))
        return resolved(pipeline, response, server.address)

    def stream(
        self,
        pipeline: Pipeline,
        *,
        epochs: int | None = 1,
        start: Cursor | Sequence[int] = (0, 0),
        shard: tuple[int, int] = (0, 1),
        compression: str = DEFAULT_COMPRESSION,
        memory_bytes: int = DEFAULT_BUDGET_BYTES,
    ) -> Stream:
        """The batches of a pipeline, in order, read ahead in the background.

        Args:
            pipeline: What they hold.
            epochs: Where to end, counted from epoch 0 whatever `start` is; None for never.
            start: The first batch: the cursor of the last one that was used, or `[epoch, step]`.
            shard: Index and count: part `index` of `count` equal parts of every global batch.
            compression: How images travel: `sparse`, `none` or `zstd`. It changes no value.
            memory_bytes: What batches that were not taken yet, and messages on their way, may hold.

        Raises:
            InvalidRequest: An argument makes no sense.
            InvalidPipeline: The server refuses settings.
            UnknownDataset: The dataset is not served.
            EmptySplit: No sample passes split and filter, or `drop` leaves no batch.
        """
        _check_epochs(epochs)
        first = _cursor(start)
        _check_shard(shard, pipeline)
        number = compression_number(compression)
        if not _is_count(memory_bytes):
            raise InvalidRequest(f"memory_bytes must be a number of bytes, got {memory_bytes!r}")
        yields = self.resolve(pipeline)
        if first.step >= yields.steps_per_epoch:
            raise InvalidRequest(
                f"start must lie within the epoch's {yields.steps_per_epoch:,} steps, got step {first.step:,}"
            )
        run = Run(
            pipeline=to_message(pipeline),
            digest=yields.digest,
            fingerprint=yields.fingerprint,
            renderer=yields.renderer,
            specs=yields.tensors,
            plan=_plan(yields, shard, number != pb.COMPRESSION_NONE),
            compression=number,
            stream_id=secrets.randbits(64),
            timeout_s=self._timeout_s,
        )
        stream = Stream(Prefetcher(run, self._servers, first, epochs, memory_bytes), owner=self)
        self._streams.add(stream)
        return stream

    def close(self) -> None:
        """Closes every stream and connection."""
        for stream in list(self._streams):
            stream.close()
        if os.getpid() == self._pid:
            self._calls.cancel()
            self._servers.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, ask: Callable[[Server, OpenCalls, float], _T]) -> tuple[_T, Server]:
        check_process(self._pid)
        try:
            return ask_any(self._servers, ask, self._calls, self._timeout_s)
        except Closed:
            raise InvalidRequest("the client is closed: connect again") from None


def _is_count(value: object) -> bool:
    """Whether it is a whole number that the contract can carry."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _check_epochs(epochs: object) -> None:
    if epochs is not None and not (_is_count(epochs) and epochs):
        raise InvalidRequest(f"epochs must be the whole number of epochs at which to end, or None, got {epochs!r}")


def _cursor(start: object) -> Cursor:
    if isinstance(start, tuple | list) and len(start) == 2 and all(map(_is_count, start)):
        return Cursor(*start)
    raise InvalidRequest(f"start must be a cursor or [epoch, step], both from 0, got {start!r}")


def _check_shard(shard: Any, pipeline: object) -> None:
    pair = isinstance(shard, tuple | list) and len(shard) == 2 and all(map(_is_count, shard))
    if not (pair and shard[0] < shard[1] <= MAX_BATCH_SIZE):
        raise InvalidRequest(
            f"shard must be (index, count) with index from 0 to count - 1 and count at most {MAX_BATCH_SIZE:,}, got "
            f"{shard!r}"
        )
    if isinstance(pipeline, Pipeline) and pipeline.remainder != "short" and pipeline.batch_size % shard[1]:
        raise InvalidRequest(
            f"remainder={pipeline.remainder!r} needs a batch size divisible by the number of shards, got "
            f"{pipeline.batch_size:,} and {shard[1]:,}: change one, or use remainder='short'"
        )


def _plan(yields: Resolved, shard: Sequence[int], compressed: bool) -> Plan:
    row_bytes = {spec.name: spec.row_bytes for spec in yields.tensors}
    return Plan(
        batch_size=yields.pipeline.batch_size,
        samples=yields.samples,
        steps_per_epoch=yields.steps_per_epoch,
        short=yields.pipeline.remainder == "short",
        shard=(shard[0], shard[1]),
        image_row_bytes=row_bytes["image"],
        row_bytes=sum(row_bytes.values()),
        compressed=compressed,
    )
