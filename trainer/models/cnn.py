"""A small convolutional network for drawings, made to train on a CPU in minutes.

XLA's CPU backend is slow where pictures are large and channels few, so the first layers quarter the sides, and most of
the half a million parameters sit where a 64 px picture has 4x4 to 16x16 pixels left.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from trainer.models.layers import MaskedBatchNorm, RowDropout, TrainingRows


class Cnn(nnx.Module):
    """Five convolutions with max-pooling after the first three, the mean over pixels, dropout and a dense layer."""

    def __init__(self, *, channels: int, classes: int, dropout: float, rngs: nnx.Rngs):
        """Takes pictures of any size of at least 8 px with `channels` channels."""
        self.stages = nnx.List(
            [
                ConvNormRelu(channels, 24, kernel=5, stride=2, rngs=rngs),
                ConvNormRelu(24, 64, rngs=rngs),
                ConvNormRelu(64, 128, rngs=rngs),
                ConvNormRelu(128, 160, rngs=rngs),
                ConvNormRelu(160, 160, rngs=rngs),
            ]
        )
        self.dropout = RowDropout(dropout, layer=0)
        self.head = nnx.Linear(160, classes, rngs=rngs)

    def __call__(self, images: jax.Array, training: TrainingRows | None) -> jax.Array:
        """Logits `[rows, classes]` of normalized pictures, float32 `[rows, size, size, channels]`."""
        x = images
        for number, stage in enumerate(self.stages):
            x = stage(x, training)
            if number < 3:
                x = max_pool(x)
        return self.head(self.dropout(x.mean((1, 2)), training))


class ConvNormRelu(nnx.Module):
    """Convolution, batch normalization, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, *, kernel: int = 3, stride: int = 1, rngs: nnx.Rngs):
        """From `channels_in` to `channels_out` channels, with a square kernel; the sides are divided by `stride`."""
        self.conv = nnx.Conv(
            channels_in,
            channels_out,
            (kernel, kernel),
            strides=stride,
            use_bias=False,
            kernel_init=nnx.initializers.he_normal(),
            rngs=rngs,
        )
        self.norm = MaskedBatchNorm(channels_out, momentum=0.9, epsilon=1e-5)

    def __call__(self, x: jax.Array, training: TrainingRows | None) -> jax.Array:
        """`[rows, side, side, channels_in]` to `[rows, side / stride, side / stride, channels_out]`."""
        return jax.nn.relu(self.norm(self.conv(x), training))


def max_pool(x: jax.Array) -> jax.Array:
    """The largest of each 2x2 pixels, `[rows, side // 2, side // 2, channels]`; a side of one pixel stays.

    By reshaping: twice as fast on CPU as a window reduction. An odd last row and column are left out.
    """
    rows, height, width, channels = x.shape
    if min(height, width) < 2:
        return x
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return jnp.max(x.reshape(rows, height // 2, 2, width // 2, 2, channels), axis=(2, 4))
