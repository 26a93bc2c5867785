"""A multilayer perceptron: what pictures of digits were first learnt with, made for 28 px."""

from flax import nnx

from trainer.models.blocks import Dense, Flatten, Stage
from trainer.models.layers import FIRST_LAYER_OF_STAGES, RowDropout
from trainer.models.network import MakeHead, Network

WIDTHS = (512, 256)


def mlp(*, size_px: int, channels: int, head: MakeHead, dropout: float, rngs: nnx.Rngs) -> Network:
    """Two dense layers of 512 and 256 features, and one output per class; dropout after both.

    Args:
        size_px: Side of the pictures; its square decides how large the first layer is.
        channels: Of the pictures.
        head: Makes the head of features.
        dropout: After the first of the two layers; the head has its own.
        rngs: Of the initial values.
    """
    first, second = WIDTHS
    stages: list[Stage] = [
        Flatten(),
        Dense(size_px * size_px * channels, first, rngs=rngs),
        RowDropout(dropout, layer=FIRST_LAYER_OF_STAGES),
        Dense(first, second, rngs=rngs),
    ]
    return Network(stages, head(second))
