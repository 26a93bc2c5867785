"""Which model a run trains: checked when constructed."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from trainer.rules import choice, number

MODELS = (  # made by `trainer.models`
    "cnn",
    "cnn_28",
    "mlp",
    "mobilenet_v1",
    "mobilenet_v1_bias",
    "mobilenet_v2",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet50_keras",
    "seresnext50_32x4d",
    "vgg19",
    "efficientnet_b0",
)


class Normalization(NamedTuple):
    """Pixels become (x / 255 - mean) / std; a mean and a std for each of red, green and blue."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def for_channels(self, channels: int) -> tuple[list[float], list[float]]:
        """Mean and std for each of 1 or 3 channels; a single channel gets the average of the three."""
        if channels == 3:
            return list(self.mean), list(self.std)
        return [sum(self.mean) / 3], [sum(self.std) / 3]


NORMALIZATIONS: Mapping[str, Normalization] = MappingProxyType(
    {
        "zero-one": Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        "minus-one-one": Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        "minus-half-half": Normalization((0.5, 0.5, 0.5), (1.0, 1.0, 1.0)),
        # Of the ImageNet training set, as every framework's pretrained models use them.
        "imagenet": Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        # The first of them only subtracted it, from pixels of 0 to 255: Keras' ResNet-50 and VGG-19 still do.
        "imagenet-mean": Normalization((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255)),
    }
)


@dataclass(frozen=True)
class ModelSettings:
    """Which model.

    Args:
        name: One of `MODELS`.
        alpha: Width multiplier of MobileNet, 0.05 to 4.
        dropout: Probability with which a feature before the last layer is dropped, 0 to below 1.
        normalize: A key of `NORMALIZATIONS`.
        head_hidden: Features of hidden layers before the last layer, from the first to the last.
        weights: File whose weights the model begins with; None for new ones.
        weights_digest: Of what is in that file; None where it is not there.

    Raises:
        ValueError: A setting breaks its rule.
    """

    name: str = "cnn"
    alpha: float = 1.0
    dropout: float = 0.2
    normalize: str = "zero-one"
    head_hidden: tuple[int, ...] = ()
    weights: str | None = None
    weights_digest: str | None = None

    def __post_init__(self) -> None:
        choice("model", self.name, MODELS)
        number("alpha", self.alpha, 0.05, 4)
        number("dropout", self.dropout, 0, 1, below=True)
        choice("normalize", self.normalize, NORMALIZATIONS)
        for features in self.head_hidden:
            number("head_hidden", features, 1, 10**6)
