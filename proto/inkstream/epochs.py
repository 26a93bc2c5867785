"""The epochs of a stream, one a pass: what the adapters for frameworks have in common."""

from collections.abc import Iterator, Sequence

from inkstream.batch import Batch
from inkstream.client import Client
from inkstream.errors import InvalidRequest
from inkstream.pipeline import Pipeline
from inkstream.plan import Cursor
from inkstream.stream import Stream


class Epochs:
    """The batches of one epoch each time that it is iterated over, one pass at a time.

    When a pass has handed out an epoch's last batch, the next pass gives the epoch after it, which is read ahead
    meanwhile. A pass that is left before that closes its stream, and the next one begins where it began: a framework
    that tries a batch to build a model, or evaluates a few, takes nothing away.

    Args:
        client: Whom to ask.
        pipeline: What batches hold.
        epochs: Where to end, counted from epoch 0 whatever `start` is; None for never.
        start: Where the first pass begins: the cursor of the last batch that was used, or `[epoch, step]`.
        shard: Index and count: part `index` of `count` equal parts of every global batch.
        compression: How images travel: `sparse`, `none` or `zstd`.
        memory_bytes: What batches that were not taken yet, and messages on their way, may hold.

    Attributes:
        resolved: What the pipeline yields.

    Raises:
        InkstreamError: What `Client.stream` raises.
    """

    def __init__(
        self,
        client: Client,
        pipeline: Pipeline,
        *,
        epochs: int | None,
        start: Sequence[int],
        shard: tuple[int, int],
        compression: str,
        memory_bytes: int,
    ):
        def open_stream(start: Sequence[int]) -> Stream:
            return client.stream(
                pipeline, epochs=epochs, start=start, shard=shard, compression=compression, memory_bytes=memory_bytes
            )

        self.resolved = client.resolve(pipeline)
        self._epochs = epochs
        self._open = open_stream
        self._stream = open_stream(start)  # at once: it checks what was asked for, and begins to read
        self._begin = Cursor(*start)  # of the next pass
        self._stands_there = True  # whether the stream does

    def __iter__(self) -> Iterator[Batch]:
        if self._over():
            raise InvalidRequest(
                f"a pass was begun after the last of epochs={self._epochs}: raise it, or leave it out to go on for ever"
            )
        if not self._stands_there:
            self._stream.close()
            self._stream = self._open(self._begin)
        stream, epoch = self._stream, self._begin.epoch
        self._stands_there = finished = False
        try:
            for batch in stream:
                finished = batch.cursor.epoch > epoch
                if finished:
                    self._begin, self._stands_there = batch.cursor, True
                    if self._over():
                        stream.close()
                yield batch
                if finished:
                    return
        finally:
            if not finished:
                stream.close()

    def close(self) -> None:
        """Closes the stream; a pass that is under way ends with an error, and another one opens a new stream."""
        self._stream.close()
        self._stands_there = False

    def _over(self) -> bool:
        return self._epochs is not None and self._begin.epoch >= self._epochs
