"""VGG-19 (Simonyan and Zisserman 2014, arXiv 1409.1556), layer by layer as in torchvision.

Keras' has the same layers but takes only one size; torchvision takes means over 7x7 fields after the convolutions,
which are the pixels themselves at 224 px, so that any size will do.
"""

from flax import nnx

from trainer.models.blocks import AdaptiveMean, Convolution, Dense, Flatten, MaxPool2, Stage
from trainer.models.layers import FIRST_LAYER_OF_STAGES, RowDropout
from trainer.models.network import MakeHead, Network

GROUPS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))  # channels and convolutions before each max-pooling
FIELDS = 7
FEATURES = 4096


def vgg19(*, channels: int, head: MakeHead, dropout: float, rngs: nnx.Rngs) -> Network:
    """16 convolutions with biases and without normalization, two dense layers, and one output per class.

    Args:
        channels: Of the pictures, of any size of at least 32 px.
        head: Makes the head of features.
        dropout: After the first of the two dense layers; the head has its own.
        rngs: Of the initial values.
    """
    stages: list[Stage] = []
    before = channels
    for width, count in GROUPS:
        for _ in range(count):
            stages.append(Convolution(before, width, norm=None, bias=True, rngs=rngs))
            before = width
        stages.append(MaxPool2())
    stages += [
        AdaptiveMean(FIELDS),
        Flatten(),
        Dense(FIELDS * FIELDS * before, FEATURES, rngs=rngs),
        RowDropout(dropout, layer=FIRST_LAYER_OF_STAGES),
        Dense(FEATURES, FEATURES, rngs=rngs),
    ]
    return Network(stages, head(FEATURES))
