"""EfficientNet-B0 (Tan and Le 2019, arXiv 1905.11946), layer by layer as in Keras' applications."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from trainer.models.blocks import KERAS_NORM, Convolution, PixelMean, SqueezeExcite, Stage, inverted_residual
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
    convolution = partial(Convolution, norm=KERAS_NORM, activation=jax.nn.silu, padding="SAME", rngs=rngs)
    width = 32
    stages: list[Stage] = [InputNormalization(channels), convolution(channels, width, 3, 2)]
    blocks = sum(count for _, count, *_ in GROUPS)
    block = 0
    for kernel, count, after, expansion, first_stride in GROUPS:
        for number in range(count):
            stride = first_stride if number == 0 else 1
            weigh = partial(SqueezeExcite, reduced=width // 4, activation=jax.nn.silu, rngs=rngs)
            drop = RowDepth(stochastic_depth * block / blocks, layer=FIRST_LAYER_OF_STAGES + block)
            stages.append(
                inverted_residual(convolution, width, after, kernel, stride, expansion, weigh=weigh, drop=drop)
            )
            width = after
            block += 1
    stages.append(convolution(width, FEATURES, 1))
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
