"""The models that can be trained, by name."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
from flax import nnx

from trainer.models import resnet
from trainer.models.cnn import cnn, cnn_28
from trainer.models.efficientnet import efficientnet_b0
from trainer.models.mlp import mlp
from trainer.models.mobilenet_v1 import mobilenet_v1
from trainer.models.mobilenet_v2 import mobilenet_v2
from trainer.models.network import Head, MakeHead, Network
from trainer.models.vgg import vgg19
from trainer.randomness import seed_key
from trainer.settings import ModelSettings

__all__ = ["MODELS", "Kind", "ModelState", "Pictures", "build", "count_parameters", "functional", "network", "outline"]


class Pictures(NamedTuple):
    """What a model is shown.

    Args:
        size_px: Side.
        channels: 1 or 3.
    """

    size_px: int
    channels: int


Make = Callable[[ModelSettings, Pictures, MakeHead, nnx.Rngs], Network]


@dataclass(frozen=True)
class Kind:
    """A model that can be chosen.

    Args:
        make: `(settings, pictures, head, rngs) -> network`.
        min_size_px: Smallest side of a picture.
        usual_size_px: Side of the pictures that it was made for; any from the smallest on will do.
        source: The implementation that it equals, and what it is from.
        summary: One line for people.
    """

    make: Make
    min_size_px: int
    usual_size_px: int
    source: str
    summary: str


def _plain(function: Callable[..., Network]) -> Make:
    """For a model that has no setting of its own."""
    return lambda settings, pictures, head, rngs: function(channels=pictures.channels, head=head, rngs=rngs)


def _scaled(function: Callable[..., Network]) -> Make:
    """For a model whose width is multiplied by `alpha`."""
    return lambda settings, pictures, head, rngs: function(
        channels=pictures.channels, head=head, alpha=settings.alpha, rngs=rngs
    )


def _resnet(block: resnet.Block, depth: int, **rest: Any) -> Make:
    return _plain(partial(resnet.resnet, block, resnet.DEPTHS[depth], **rest))


def _mlp(settings: ModelSettings, pictures: Pictures, head: MakeHead, rngs: nnx.Rngs) -> Network:
    return mlp(size_px=pictures.size_px, channels=pictures.channels, head=head, dropout=settings.dropout, rngs=rngs)


def _vgg19(settings: ModelSettings, pictures: Pictures, head: MakeHead, rngs: nnx.Rngs) -> Network:
    return vgg19(channels=pictures.channels, head=head, dropout=settings.dropout, rngs=rngs)


MODELS: Mapping[str, Kind] = MappingProxyType(
    {
        "cnn": Kind(_plain(cnn), 8, 64, "our own", "small convolutional network, trains on a CPU in minutes"),
        "cnn_28": Kind(_plain(cnn_28), 8, 28, "our own", "small convolutional network for pictures of 28 px"),
        "mlp": Kind(_mlp, 1, 28, "our own", "multilayer perceptron, two dense layers"),
        "mobilenet_v1": Kind(_scaled(mobilenet_v1), 32, 224, "Keras MobileNet", "its width multiplied by --alpha"),
        "mobilenet_v1_bias": Kind(
            _scaled(partial(mobilenet_v1, bias=True, activation=jax.nn.relu)),
            32,
            224,
            "Keras' layers",
            "MobileNet v1 with convolution biases and plain ReLU",
        ),
        "mobilenet_v2": Kind(_scaled(mobilenet_v2), 32, 224, "Keras MobileNetV2", "its width multiplied by --alpha"),
        "resnet18": Kind(_resnet(resnet.basic, 18), 32, 224, "torchvision resnet18", "residual network"),
        "resnet34": Kind(_resnet(resnet.basic, 34), 32, 224, "torchvision resnet34", "residual network"),
        "resnet50": Kind(
            _resnet(resnet.bottleneck, 50),
            32,
            224,
            "torchvision resnet50",
            "residual network; its stride in the 3x3 convolution, no biases",
        ),
        "resnet50_keras": Kind(
            _resnet(resnet.bottleneck_keras, 50, norm=resnet.KERAS_NORM_OF_RESNET, bias=True),
            32,
            224,
            "Keras ResNet50",
            "residual network; its stride in the first 1x1 convolution, with biases",
        ),
        "seresnext50_32x4d": Kind(
            _resnet(resnet.bottleneck_se_32x4d, 50),
            32,
            224,
            "timm seresnext50_32x4d",
            "residual network with grouped convolutions and weighted channels",
        ),
        "vgg19": Kind(_vgg19, 32, 224, "torchvision vgg19", "16 convolutions, two wide dense layers"),
        "efficientnet_b0": Kind(
            _plain(efficientnet_b0), 32, 224, "Keras EfficientNetB0", "inverted residuals, stochastic depth"
        ),
    }
)


@dataclass(frozen=True)
class ModelState:
    """A model in functional form.

    Args:
        graph: What `nnx.merge` needs beside the arrays.
        params: Trainable arrays, a nested dict.
        stats: Running statistics of batch normalization, a nested dict.
    """

    graph: Any
    params: dict[str, Any]
    stats: dict[str, Any]


def network(settings: ModelSettings, pictures: Pictures, classes: int, rngs: nnx.Rngs) -> Network:
    """A new model, as a module."""
    head = partial(Head, classes=classes, dropout=settings.dropout, hidden=settings.head_hidden, rngs=rngs)
    return MODELS[settings.name].make(settings, pictures, head, rngs)


def build(settings: ModelSettings, pictures: Pictures, *, classes: int, seed: int) -> ModelState:
    """A new model with initial values that follow from `seed`."""
    return functional(network(settings, pictures, classes, nnx.Rngs(params=seed_key(seed))))


def outline(settings: ModelSettings, pictures: Pictures, *, classes: int) -> ModelState:
    """A model with shapes in place of values (`jax.ShapeDtypeStruct`), at no cost."""
    return functional(nnx.eval_shape(lambda: network(settings, pictures, classes, nnx.Rngs(params=0))))


def count_parameters(model: ModelState) -> tuple[int, int]:
    """How many numbers are trained, and how many there are with the running statistics (Keras' total)."""
    params, stats = (
        sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(part)) for part in (model.params, model.stats)
    )
    return params, params + stats


def functional(network: Network) -> ModelState:
    """The functional form of a network."""
    graph, params, stats = nnx.split(network, nnx.Param, nnx.BatchStat)
    return ModelState(graph, nnx.to_pure_dict(params), nnx.to_pure_dict(stats))
