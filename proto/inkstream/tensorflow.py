"""Batches as a `tf.data.Dataset`: `inkstream.tensorflow.stream_dataset`."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkstream.budget import DEFAULT_BUDGET_BYTES
from inkstream.client import Client
from inkstream.compression import DEFAULT_COMPRESSION
from inkstream.epochs import Epochs
from inkstream.errors import MissingFramework
from inkstream.pipeline import Pipeline

try:
    import tensorflow as tf
except ImportError as error:
    raise MissingFramework("inkstream.tensorflow needs TensorFlow 2: pip install tensorflow") from error


def stream_dataset(
    client: Client,
    pipeline: Pipeline,
    *,
    epochs: int | None = None,
    start: Sequence[int] = (0, 0),
    shard: tuple[int, int] = (0, 1),
    compression: str = DEFAULT_COMPRESSION,
    memory_bytes: int = DEFAULT_BUDGET_BYTES,
) -> tf.data.Dataset:
    """The batches of one epoch each time that it is iterated over, as dictionaries of tensors.

    `image` uint8 `[rows, size, size, channels]`; `label` int32, `key_id` uint64 and `mask` uint8 `[rows]`; `cursor`
    int64 `[2]`, the position after this batch. `rows` is None in the element specification, unless the pipeline's
    `remainder` makes all batches equally large. TensorFlow copies the arrays into its own memory.

    When an epoch's last batch was taken, the next pass gives the epoch after it. A pass that is left before that closes
    its stream, and the next one begins where it began. There is one pass at a time.

    Args:
        client: Whom to ask.
        pipeline: What batches hold.
        epochs: Where to end, counted from epoch 0 whatever `start` is, so that nothing is read beyond; None for never.
        start: Where the first pass begins: `batch["cursor"].numpy().tolist()` of the last batch that was used.
        shard: Index and count: part `index` of `count` equal parts of every global batch.
        compression: How images travel: `sparse`, `none` or `zstd`.
        memory_bytes: What batches that were not taken yet, and messages on their way, may hold.

    Raises:
        InkstreamError: What `Client.stream` raises. What goes wrong in a pass TensorFlow raises as an error of its own,
            with the text of ours.
    """
    passes = Epochs(
        client,
        pipeline,
        epochs=epochs,
        start=start,
        shard=shard,
        compression=compression,
        memory_bytes=memory_bytes,
    )
    rows = None if pipeline.remainder == "short" else pipeline.batch_size // shard[1]
    signature = {spec.name: tf.TensorSpec((rows, *spec.shape[1:]), spec.dtype.name) for spec in passes.resolved.tensors}

    def batches() -> Iterator[dict[str, NDArray[Any]]]:
        for batch in passes:
            yield {**batch, "cursor": np.array(batch.cursor, np.int64)}

    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False  # the stream reads ahead, and what is taken counts
    dataset = tf.data.Dataset.from_generator(
        batches, output_signature={**signature, "cursor": tf.TensorSpec((2,), tf.int64)}
    ).with_options(options)
    if start[1] == 0:  # the number of batches is asserted for every pass, and one that begins in mid-epoch has fewer
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(passes.resolved.steps_per_epoch))
    return dataset
