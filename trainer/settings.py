"""What a training run is asked to do, apart from its data: checked when constructed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

MODELS = ("cnn", "mobilenet_v1")  # made by `trainer.models`
SCHEDULES = ("one-cycle", "cosine", "constant")
OPTIMIZERS = ("adamw", "adam")


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

    Raises:
        ValueError: A setting breaks its rule.
    """

    name: str = "cnn"
    alpha: float = 1.0
    dropout: float = 0.2
    normalize: str = "zero-one"

    def __post_init__(self) -> None:
        _choice("model", self.name, MODELS)
        _number("alpha", self.alpha, 0.05, 4)
        _number("dropout", self.dropout, 0, 1, below=True)
        _choice("normalize", self.normalize, NORMALIZATIONS)


@dataclass(frozen=True)
class Optimization:
    """How the model is trained.

    Args:
        epochs: Passes over the training split, at least 1.
        optimizer: `adam` or `adamw`.
        learning_rate: The schedule's peak, above 0.
        schedule: `one-cycle` (up for 30 % of the steps, then down), `cosine` (down to 0) or `constant`.
        weight_decay: Decoupled (adamw only), on kernels, at least 0.
        label_smoothing: Share of the target spread over all classes, 0 to below 1.

    Raises:
        ValueError: A setting breaks its rule.
    """

    epochs: int = 8
    optimizer: str = "adamw"
    learning_rate: float = 3e-3
    schedule: str = "one-cycle"
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1

    def __post_init__(self) -> None:
        _number("epochs", self.epochs, 1, 1_000_000)
        _choice("optimizer", self.optimizer, OPTIMIZERS)
        _number("learning_rate", self.learning_rate, 1e-9, 100)
        _choice("schedule", self.schedule, SCHEDULES)
        _number("weight_decay", self.weight_decay, 0, 10)
        _number("label_smoothing", self.label_smoothing, 0, 1, below=True)


@dataclass(frozen=True)
class Cadence:
    """How often a checkpoint is written, besides the end of every epoch.

    Args:
        every_steps: After so many steps, at least 1; None never.
        every_minutes: When so many minutes have passed since the last one, above 0; None never.

    Raises:
        ValueError: A setting breaks its rule.
    """

    every_steps: int | None = None
    every_minutes: float | None = 10.0

    def __post_init__(self) -> None:
        if self.every_steps is not None:
            _number("checkpoint_every_steps", self.every_steps, 1, 10**9)
        if self.every_minutes is not None:
            _number("checkpoint_every_minutes", self.every_minutes, 1e-6, 10**6)


def _number(name: str, value: float, low: float, high: float, *, below: bool = False) -> None:
    if not (math.isfinite(value) and low <= value <= high and not (below and value == high)):
        raise ValueError(f"{name} must be a number from {low:g} {'below' if below else 'to'} {high:g}, got {value!r}")


def _choice(name: str, value: str, choices: Mapping[str, object] | tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
