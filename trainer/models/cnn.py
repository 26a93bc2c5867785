"""Small convolutional networks, made to train on a CPU in minutes: one for drawings, one for pictures of 28 px.

XLA's CPU backend is slow where pictures are large and channels few, so the first layers of the one for drawings quarter
the sides, and most of its half a million parameters sit where a 64 px picture has 4x4 to 16x16 pixels left.
"""

from flax import nnx

from trainer.models.blocks import TORCH_NORM, Convolution, MaxPool2, PixelMean, Stage
from trainer.models.network import MakeHead, Network


def cnn(*, channels: int, head: MakeHead, rngs: nnx.Rngs) -> Network:
    """Five convolutions with max-pooling after the first three, the mean over pixels, and one output per class.

    Args:
        channels: Of the pictures, of any size of at least 8 px.
        head: Makes the head of features.
        rngs: Of the initial values.
    """
    stages: list[Stage] = [
        Convolution(channels, 24, kernel=5, stride=2, norm=TORCH_NORM, padding="SAME", rngs=rngs),
        MaxPool2(),
        Convolution(24, 64, norm=TORCH_NORM, rngs=rngs),
        MaxPool2(),
        Convolution(64, 128, norm=TORCH_NORM, rngs=rngs),
        MaxPool2(),
        Convolution(128, 160, norm=TORCH_NORM, rngs=rngs),
        Convolution(160, 160, norm=TORCH_NORM, rngs=rngs),
        PixelMean(),
    ]
    return Network(stages, head(160))


def cnn_28(*, channels: int, head: MakeHead, rngs: nnx.Rngs) -> Network:
    """Two, two and one convolutions of 32, 64 and 128 channels with max-pooling between, for pictures of 28 px.

    Args:
        channels: Of the pictures, of any size of at least 8 px.
        head: Makes the head of features.
        rngs: Of the initial values.
    """
    stages: list[Stage] = [
        Convolution(channels, 32, norm=TORCH_NORM, rngs=rngs),
        Convolution(32, 32, norm=TORCH_NORM, rngs=rngs),
        MaxPool2(),
        Convolution(32, 64, norm=TORCH_NORM, rngs=rngs),
        Convolution(64, 64, norm=TORCH_NORM, rngs=rngs),
        MaxPool2(),
        Convolution(64, 128, norm=TORCH_NORM, rngs=rngs),
        PixelMean(),
    ]
    return Network(stages, head(128))
