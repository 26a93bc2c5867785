"""MobileNet v2 (Sandler et al. 2018, arXiv 1801.04381), layer by layer as in Keras' applications."""

from functools import partial

import jax
from flax import nnx

from trainer.models.blocks import Convolution, Norm, PixelMean, Stage, divisible_by_8, inverted_residual
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
    convolution = partial(Convolution, norm=NORM, activation=jax.nn.relu6, padding="SAME", rngs=rngs)
    width = divisible_by_8(32 * alpha)
    stages: list[Stage] = [convolution(channels, width, 3, 2)]
    for expansion, filters, count, first_stride in GROUPS:
        after = divisible_by_8(int(filters * alpha))
        for number in range(count):
            stride = first_stride if number == 0 else 1
            stages.append(inverted_residual(convolution, width, after, 3, stride, expansion))
            width = after
    features = divisible_by_8(1280 * alpha) if alpha > 1 else 1280
    stages.append(convolution(width, features, 1))
    return Network([*stages, PixelMean()], head(features))
