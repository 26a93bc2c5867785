"""Residual networks (He et al. 2015, arXiv 1512.03385) as in torchvision, ResNet-50 also as in Keras' applications.

The two build ResNet-50 differently: torchvision halves the sides in a block's 3x3 convolution and has no biases before
batch normalization, Keras halves them in its first 1x1 convolution and has biases. Both pad all four sides alike.
"""

from collections.abc import Callable

import jax
from flax import nnx

from trainer.models.blocks import (
    TORCH_NORM,
    Convolution,
    MaxPool,
    Norm,
    PixelMean,
    Residual,
    SqueezeExcite,
    Stage,
    divisible_by_8,
)
from trainer.models.network import MakeHead, Network

DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}  # blocks of the four groups (table 1 of the paper)
KERAS_NORM_OF_RESNET = Norm(momentum=0.99, epsilon=1.001e-5)
EXPANSION = 4  # channels that a bottleneck puts out, by those of its 3x3 convolution

Block = Callable[[int, int, int, nnx.Rngs], tuple[Residual, int]]
# `(channels in, width, stride, rngs)` to a block and the channels that it puts out


def resnet(
    block: Block,
    depths: tuple[int, ...],
    *,
    channels: int,
    head: MakeHead,
    rngs: nnx.Rngs,
    norm: Norm = TORCH_NORM,
    bias: bool = False,
) -> Network:
    """A 7x7 convolution, max-pooling, groups of residual blocks, the mean over pixels, and one output per class.

    Args:
        block: Makes each block: `basic`, `bottleneck`, `bottleneck_keras` or `bottleneck_se_32x4d`.
        depths: Blocks of each group.
        channels: Of the pictures, of any size of at least 32 px.
        head: Makes the head of features.
        rngs: Of the initial values.
        norm: Of the first convolution.
        bias: Of the first convolution.
    """
    stages: list[Stage] = [Convolution(channels, 64, 7, 2, norm=norm, bias=bias, rngs=rngs), MaxPool()]
    before = 64
    for group, count in enumerate(depths):
        for number in range(count):
            stride = 2 if group > 0 and number == 0 else 1
            stage, before = block(before, 64 * 2**group, stride, rngs)
            stages.append(stage)
    return Network([*stages, PixelMean()], head(before))


def basic(before: int, width: int, stride: int, rngs: nnx.Rngs) -> tuple[Residual, int]:
    """Two 3x3 convolutions."""
    layers = [
        Convolution(before, width, 3, stride, norm=TORCH_NORM, rngs=rngs),
        Convolution(width, width, 3, norm=TORCH_NORM, activation=None, rngs=rngs),
    ]
    shortcut = None
    if stride > 1 or before != width:
        shortcut = Convolution(before, width, 1, stride, norm=TORCH_NORM, activation=None, rngs=rngs)
    return Residual(layers, shortcut=shortcut, activation=jax.nn.relu), width


def bottleneck(before: int, width: int, stride: int, rngs: nnx.Rngs) -> tuple[Residual, int]:
    """1x1, 3x3 and 1x1 convolutions; the 3x3 one has the stride."""
    return _bottleneck(before, width, width * EXPANSION, (1, stride), norm=TORCH_NORM, rngs=rngs)


def bottleneck_keras(before: int, width: int, stride: int, rngs: nnx.Rngs) -> tuple[Residual, int]:
    """1x1, 3x3 and 1x1 convolutions with biases; the first has the stride."""
    return _bottleneck(before, width, width * EXPANSION, (stride, 1), norm=KERAS_NORM_OF_RESNET, bias=True, rngs=rngs)


def bottleneck_se_32x4d(before: int, width: int, stride: int, rngs: nnx.Rngs) -> tuple[Residual, int]:
    """That of SE-ResNeXt (Xie et al. 2017, arXiv 1611.05431, with Hu et al. 2018, arXiv 1709.01507), as in timm.

    The 3x3 convolution is twice as wide and split into 32 groups, and the residual's channels are weighted.
    """
    after = width * EXPANSION
    weighting = SqueezeExcite(after, divisible_by_8(after / 16), activation=jax.nn.relu, rngs=rngs)
    return _bottleneck(
        before, 2 * width, after, (1, stride), norm=TORCH_NORM, groups=32, weighting=weighting, rngs=rngs
    )


def _bottleneck(
    before: int,
    width: int,
    after: int,
    strides: tuple[int, int],
    *,
    norm: Norm,
    bias: bool = False,
    groups: int = 1,
    weighting: SqueezeExcite | None = None,
    rngs: nnx.Rngs,
) -> tuple[Residual, int]:
    first, second = strides
    layers: list[Stage] = [
        Convolution(before, width, 1, first, norm=norm, bias=bias, rngs=rngs),
        Convolution(width, width, 3, second, groups=groups, norm=norm, bias=bias, rngs=rngs),
        Convolution(width, after, 1, norm=norm, activation=None, bias=bias, rngs=rngs),
    ]
    if weighting is not None:
        layers.append(weighting)
    shortcut = None
    if max(strides) > 1 or before != after:
        shortcut = Convolution(before, after, 1, max(strides), norm=norm, activation=None, bias=bias, rngs=rngs)
    return Residual(layers, shortcut=shortcut, activation=jax.nn.relu), after
