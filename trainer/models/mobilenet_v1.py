"""MobileNet v1 (Howard et al. 2017, arXiv 1704.04861), layer by layer as in Keras' applications."""

import jax
from flax import nnx

from trainer.models.layers import MaskedBatchNorm, RowDropout, TrainingRows

# Channels and stride of the 13 depthwise separable blocks at alpha 1 (table 1 of the paper).
BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)
MIN_SIZE_PX = 32  # five halvings must leave a pixel


class MobileNetV1(nnx.Module):
    """A convolution, 13 depthwise separable blocks, the mean over pixels, and one output per class."""

    def __init__(self, *, channels: int, classes: int, alpha: float, dropout: float, rngs: nnx.Rngs):
        """Takes pictures of any size of at least 32 px; `alpha` multiplies every layer's channels."""
        widths = [int(width * alpha) for width in (32, *(width for width, _ in BLOCKS))]
        self.conv = nnx.Conv(channels, widths[0], (3, 3), strides=2, padding="SAME", use_bias=False, rngs=rngs)
        self.norm = _norm(widths[0])
        self.blocks = nnx.List(
            [
                SeparableBlock(before, after, stride, rngs=rngs)
                for before, after, (_, stride) in zip(widths[:-1], widths[1:], BLOCKS, strict=True)
            ]
        )
        self.dropout = RowDropout(dropout, layer=0)
        self.head = nnx.Linear(widths[-1], classes, rngs=rngs)

    def __call__(self, images: jax.Array, training: TrainingRows | None) -> jax.Array:
        """Logits `[rows, classes]` of normalized pictures, float32 `[rows, size, size, channels]`."""
        x = jax.nn.relu6(self.norm(self.conv(images), training))
        for block in self.blocks:
            x = block(x, training)
        return self.head(self.dropout(x.mean((1, 2)), training))


class SeparableBlock(nnx.Module):
    """A depthwise 3x3 and a pointwise 1x1 convolution, each with batch normalization and ReLU6."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, *, rngs: nnx.Rngs):
        """From `channels_in` to `channels_out` channels; a stride of 2 halves the sides."""
        # Keras pads below and to the right only before a stride of 2; SAME would pad odd sides on all four.
        padding = "SAME" if stride == 1 else ((0, 1), (0, 1))
        self.depthwise = nnx.Conv(
            channels_in,
            channels_in,
            (3, 3),
            strides=stride,
            padding=padding,
            feature_group_count=channels_in,
            use_bias=False,
            rngs=rngs,
        )
        self.depthwise_norm = _norm(channels_in)
        self.pointwise = nnx.Conv(channels_in, channels_out, (1, 1), use_bias=False, rngs=rngs)
        self.pointwise_norm = _norm(channels_out)

    def __call__(self, x: jax.Array, training: TrainingRows | None) -> jax.Array:
        """`[rows, side, side, channels_in]` to `[rows, side / stride, side / stride, channels_out]`."""
        x = jax.nn.relu6(self.depthwise_norm(self.depthwise(x), training))
        return jax.nn.relu6(self.pointwise_norm(self.pointwise(x), training))


def _norm(channels: int) -> MaskedBatchNorm:
    return MaskedBatchNorm(channels, momentum=0.99, epsilon=1e-3)  # Keras' defaults
