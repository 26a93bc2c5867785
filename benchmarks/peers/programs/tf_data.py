"""tf.data: `tf_data.py FILE`. What draws is Python in the training process (`numpy_function`), one thread at a time."""

import sys

import numpy as np
import tensorflow as tf
from drawing import BATCH_SIZE, Drawings
from numpy.typing import NDArray
from rate import print_rate


def drawn_batches(path: str) -> tf.data.Dataset:
    """Pictures and labels, epoch after epoch, shuffled."""
    drawings = Drawings(path)

    def draw(numbers: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        return drawings.draw_batch(numbers.tolist())

    def drawn(numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.numpy_function(draw, [numbers], (tf.uint8, tf.int32))

    numbers = tf.data.Dataset.range(len(drawings)).shuffle(len(drawings)).repeat().batch(BATCH_SIZE)
    return numbers.map(drawn, num_parallel_calls=tf.data.AUTOTUNE)


if __name__ == "__main__":
    batches = drawn_batches(sys.argv[1]).prefetch(tf.data.AUTOTUNE)
    print_rate(int(pictures.shape[0]) for pictures, _ in batches)
