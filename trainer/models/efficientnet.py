"""EfficientNet-B0 (Tan and Le 2019, arXiv 1905.11946), layer by layer as in Keras' applications."""

import jax
import jax.numpy as jnp
from flax import nnx

from trainer.models.blocks import KERAS_NORM, Chain, Convolution, PixelMean, Residual, SqueezeExcite, Stage
from trainer.models.layers import FIRST_LAYER_OF_STAGES, RowDepth, TrainingRows
from trainer.models.network import MakeHead, Network

# Kernel, number of blocks, channels, expansion and stride of the first (table 1 of the paper).
GROUPS = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)
FEATURES = 1280
STOCHASTIC_DEPTH = 0.2  # of the last block; rises from 0 in equal steps


def efficientnet_b0(
    *, channels: int, head: MakeHead, rngs: nnx.Rngs, stochastic_depth: float = STOCHASTIC_DEPTH
) -> Network:
    """A convolution, 16 inverted residual blocks with weighted channels, a 1x1 convolution, and one output per class.

    Args:
        channels: Of the pictures, of any size of at least 32 px.
        head: Makes the head of features.
        rngs: Of the initial values.
        stochastic_depth: Probability with which the last block's residual is dropped.
    """
    width = 32
    stages: list[Stage] = [InputNormalization(channels), _convolution(channels, width, 3, 2, rngs)]
    blocks = sum(count for _, count, *_ in GROUPS)
    block = 0
    for kernel, count, after, expansion, first_stride in GROUPS:
        for number in range(count):
            stride = first_stride if number == 0 else 1
            drop = RowDepth(stochastic_depth * block / blocks, layer=FIRST_LAYER_OF_STAGES + block)
            stages.append(_inverted_residual(width, after, kernel, stride, expansion, drop, rngs))
            width = after
            block += 1
    stages.append(_convolution(width, FEATURES, 1, 1, rngs))
    return Network([*stages, PixelMean()], head(FEATURES))


class InputNormalization(nnx.Module):
    """Keras' `Normalization` at the network's entrance: mean and variance that pretrained weights bring along.

    Training does not change them; a new network leaves pictures as they are.
    """

    def __init__(self, channels: int):
        """Of pictures with `channels` channels."""
        self.mean = nnx.BatchStat(jnp.zeros(channels))
        self.var = nnx.BatchStat(jnp.ones(channels))
        self.count = nnx.BatchStat(jnp.zeros(()))  # of the pixels that they are from; Keras keeps it, nobody reads it

    def __call__(self, x: jax.Array, training: TrainingRows | None) -> jax.Array:
        """`[rows, height, width, channels]`, normalized."""
        return (x - self.mean[...]) * jax.lax.rsqrt(self.var[...])


def _inverted_residual(
    before: int, after: int, kernel: int, stride: int, expansion: int, drop: RowDepth, rngs: nnx.Rngs
) -> Chain | Residual:
    """Expand, filter each channel, weigh the channels, project; added to the input where that has the same shape."""
    wide = before * expansion
    layers: list[Stage] = [
        *([_convolution(before, wide, 1, 1, rngs)] if expansion > 1 else []),
        _convolution(wide, wide, kernel, stride, rngs, groups=wide),
        SqueezeExcite(wide, before // 4, activation=jax.nn.silu, rngs=rngs),
        Convolution(wide, after, 1, norm=KERAS_NORM, activation=None, rngs=rngs),
    ]
    return Residual([*layers, drop]) if stride == 1 and before == after else Chain(layers)


def _convolution(before: int, after: int, kernel: int, stride: int, rngs: nnx.Rngs, groups: int = 1) -> Convolution:
    # Keras' padding before a stride of 2 is that of SAME: above and to the left less, where the side is even.
    return Convolution(
        before,
        after,
        kernel,
        stride,
        groups=groups,
        norm=KERAS_NORM,
        activation=jax.nn.silu,
        padding="SAME",
        rngs=rngs,
    )
