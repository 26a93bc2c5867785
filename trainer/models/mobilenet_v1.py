"""MobileNet v1 (Howard et al. 2017, arXiv 1704.04861), layer by layer as in Keras' applications."""

import jax
from flax import nnx

from trainer.models.blocks import KERAS_NORM, Activation, Chain, Convolution, PixelMean
from trainer.models.network import MakeHead, Network

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


def mobilenet_v1(
    *,
    channels: int,
    head: MakeHead,
    alpha: float,
    rngs: nnx.Rngs,
    bias: bool = False,
    activation: Activation = jax.nn.relu6,
) -> Network:
    """A convolution, 13 depthwise separable blocks, the mean over pixels, and one output per class.

    Args:
        channels: Of the pictures, of any size of at least 32 px.
        head: Makes the head of features.
        alpha: Multiplies every layer's channels.
        rngs: Of the initial values.
        bias: Whether convolutions add one, as they do in networks written by hand with Keras' layers.
        activation: After each convolution.
    """
    widths = [int(width * alpha) for width in (32, *(width for width, _ in BLOCKS))]
    rest = {"norm": KERAS_NORM, "activation": activation, "bias": bias, "rngs": rngs}
    stages = [Convolution(channels, widths[0], stride=2, padding="SAME", **rest)]
    for before, after, (_, stride) in zip(widths[:-1], widths[1:], BLOCKS, strict=True):
        # Keras pads below and to the right only before a stride of 2; SAME would pad odd sides on all four.
        padding = "SAME" if stride == 1 else ((0, 1), (0, 1))
        depthwise = Convolution(before, before, stride=stride, groups=before, padding=padding, **rest)
        stages.append(Chain([depthwise, Convolution(before, after, kernel=1, **rest)]))
    return Network([*stages, PixelMean()], head(widths[-1]))
