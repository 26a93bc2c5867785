"""A small convolutional network for drawings, for training on a CPU in minutes."""

import jax
import jax.numpy as jnp
from flax import nnx

from trainer.models.layers import MaskedBatchNorm, RowDropout, TrainingRows

WIDTHS = (24, 48, 96, 192, 192)


class Cnn(nnx.Module):
    """Stages that halve the sides, the mean over the pixels that are left, dropout and a dense layer."""

    def __init__(self, *, channels: int, classes: int, dropout: float, rngs: nnx.Rngs):
        """Takes pictures of any size of at least 8 px with `channels` channels."""
        self.stages = nnx.List(
            [Stage(c, width, rngs=rngs) for c, width in zip((channels, *WIDTHS), WIDTHS, strict=False)]
        )
        self.dropout = RowDropout(dropout, layer=0)
        self.head = nnx.Linear(WIDTHS[-1], classes, rngs=rngs)

    def __call__(self, images: jax.Array, training: TrainingRows | None) -> jax.Array:
        """Logits `[rows, classes]` of normalized pictures, float32 `[rows, size, size, channels]`."""
        x = images
        for stage in self.stages:
            x = stage(x, training)
        return self.head(self.dropout(x.mean((1, 2)), training))


class Stage(nnx.Module):
    """Convolution 3x3, batch normalization, ReLU, max-pooling 2x2."""

    def __init__(self, channels_in: int, channels_out: int, *, rngs: nnx.Rngs):
        """From `channels_in` to `channels_out` channels; the sides are halved."""
        init = nnx.initializers.he_normal()
        self.conv = nnx.Conv(channels_in, channels_out, (3, 3), use_bias=False, kernel_init=init, rngs=rngs)
        self.norm = MaskedBatchNorm(channels_out, momentum=0.9, epsilon=1e-5)

    def __call__(self, x: jax.Array, training: TrainingRows | None) -> jax.Array:
        """`[rows, side, side, channels_in]` to `[rows, side // 2, side // 2, channels_out]`."""
        return max_pool(jax.nn.relu(self.norm(self.conv(x), training)))


def max_pool(x: jax.Array) -> jax.Array:
    """The largest of each 2x2 pixels, `[rows, side // 2, side // 2, channels]`; a picture of one pixel stays.

    By reshaping: twice as fast on CPU as a window reduction. An odd last row and column are left out.
    """
    rows, height, width, channels = x.shape
    if min(height, width) < 2:
        return x
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return jnp.max(x.reshape(rows, height // 2, 2, width // 2, 2, channels), axis=(2, 4))
