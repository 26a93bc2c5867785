"""The models that can be trained, by name."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import jax
from flax import nnx

from trainer.models.cnn import Cnn
from trainer.models.mobilenet_v1 import MIN_SIZE_PX as MOBILENET_MIN_SIZE_PX
from trainer.models.mobilenet_v1 import MobileNetV1
from trainer.randomness import seed_key
from trainer.settings import ModelSettings

__all__ = ["MODELS", "Kind", "ModelState", "build", "count_parameters", "outline"]


@dataclass(frozen=True)
class Kind:
    """A model that can be chosen.

    Args:
        make: `(settings, channels, classes, rngs) -> module`.
        min_size_px: Smallest side of a picture.
        summary: One line for people.
    """

    make: Callable[[ModelSettings, int, int, nnx.Rngs], nnx.Module]
    min_size_px: int
    summary: str


MODELS: Mapping[str, Kind] = MappingProxyType(
    {
        "cnn": Kind(
            lambda settings, channels, classes, rngs: Cnn(
                channels=channels, classes=classes, dropout=settings.dropout, rngs=rngs
            ),
            min_size_px=8,
            summary="small convolutional network, trains on a CPU in minutes",
        ),
        "mobilenet_v1": Kind(
            lambda settings, channels, classes, rngs: MobileNetV1(
                channels=channels, classes=classes, alpha=settings.alpha, dropout=settings.dropout, rngs=rngs
            ),
            min_size_px=MOBILENET_MIN_SIZE_PX,
            summary="MobileNet v1 as in Keras, its width multiplied by --alpha",
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


def build(settings: ModelSettings, *, channels: int, classes: int, seed: int) -> ModelState:
    """A new model with initial values that follow from `seed`."""
    module = MODELS[settings.name].make(settings, channels, classes, nnx.Rngs(params=seed_key(seed)))
    return _functional(module)


def outline(settings: ModelSettings, *, channels: int, classes: int) -> ModelState:
    """A model with shapes in place of values (`jax.ShapeDtypeStruct`), at no cost."""
    make = MODELS[settings.name].make
    return _functional(nnx.eval_shape(lambda: make(settings, channels, classes, nnx.Rngs(params=0))))


def count_parameters(settings: ModelSettings, *, channels: int, classes: int) -> tuple[int, int]:
    """How many numbers are trained, and how many there are with the running statistics (Keras' total)."""
    model = outline(settings, channels=channels, classes=classes)
    params, stats = (
        sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(part)) for part in (model.params, model.stats)
    )
    return params, params + stats


def _functional(module: nnx.Module) -> ModelState:
    graph, params, stats = nnx.split(module, nnx.Param, nnx.BatchStat)
    return ModelState(graph, nnx.to_pure_dict(params), nnx.to_pure_dict(stats))
