"""MobileNet v2 (Sandler et al. 2018, arXiv 1801.04381), layer by layer as in Keras' applications."""

import jax
from flax import nnx

from trainer.models.blocks import Chain, Convolution, Norm, PixelMean, Residual, divisible_by_8
from trainer.models.network import MakeHead, Network

# Expansion, channels, number of blocks and stride of the first (table 2 of the paper).
GROUPS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
NORM = Norm(momentum=0.999, epsilon=1e-3)


def mobilenet_v2(*, channels: int, head: MakeHead, alpha: float, rngs: nnx.Rngs) -> Network:
    """A convolution, 17 inverted residual blocks, a 1x1 convolution, the mean over pixels, and one output per class.

    Args:
        channels: Of the pictures, of any size of at least 32 px.
        head: Makes the head of features.
        alpha: Multiplies every layer's channels; those of the last convolution only where it is above 1.
        rngs: Of the initial values.
    """
    width = divisible_by_8(32 * alpha)
    stages = [_convolution(channels, width, 3, 2, rngs)]
    for expansion, filters, count, first_stride in GROUPS:
        after = divisible_by_8(int(filters * alpha))
        for number in range(count):
            stride = first_stride if number == 0 else 1
            stages.append(_inverted_residual(width, after, expansion, stride, rngs))
            width = after
    features = divisible_by_8(1280 * alpha) if alpha > 1 else 1280
    stages.append(_convolution(width, features, 1, 1, rngs))
    return Network([*stages, PixelMean()], head(features))


def _inverted_residual(before: int, after: int, expansion: int, stride: int, rngs: nnx.Rngs) -> Chain | Residual:
    """Expand, filter each channel, project; added to the input where that has the same shape."""
    wide = before * expansion
    layers = [
        *([_convolution(before, wide, 1, 1, rngs)] if expansion > 1 else []),
        _convolution(wide, wide, 3, stride, rngs, groups=wide),
        Convolution(wide, after, 1, norm=NORM, activation=None, rngs=rngs),
    ]
    return Residual(layers) if stride == 1 and before == after else Chain(layers)


def _convolution(before: int, after: int, kernel: int, stride: int, rngs: nnx.Rngs, groups: int = 1) -> Convolution:
    # Keras' padding before a stride of 2 is that of SAME: above and to the left less, where the side is even.
    return Convolution(
        before,
        after,
        kernel,
        stride,
        groups=groups,
        norm=NORM,
        activation=jax.nn.relu6,
        padding="SAME",
        rngs=rngs,
    )
