"""The references: models of Keras, torchvision and timm with random weights, saved as those libraries save them."""

import os

os.environ["KERAS_BACKEND"] = "jax"

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import keras
import numpy as np
import torch
from keras import layers
from safetensors.torch import save_file

# PyTorch's wheels for CPUs do not fit torchvision's extension, which only detection needs; its import asks for this.
_SCHEMAS = torch.library.Library("torchvision", "FRAGMENT")
for _operator in ("nms", "qnms"):
    _SCHEMAS.define(f"{_operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import timm
import torchvision

Logits = Callable[[np.ndarray, bool], np.ndarray]
# `(images, training)`: images float32 [rows, size, size, 3] as our model gets them, to logits [rows, classes]

CLASSES = 10


def keras_reference(model: Any, path: Path, *, reversed_channels: bool = False, scale: float = 1.0) -> Logits:
    """Random weights for a model of Keras, saved to `path`; returns how to ask it. Dropout is off."""
    rng = np.random.default_rng(5)
    for layer in model.layers:
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0
        for variable in layer.weights:
            variable.assign(_random(rng, variable.path.rpartition("/")[2], variable.shape, _fan_in_keras(variable)))
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()  # what it computes with is made from its variables
    model.save_weights(path)
    states = [
        [variable.value for variable in kind] for kind in (model.trainable_variables, model.non_trainable_variables)
    ]
    forward = jax.jit(  # at once: layer by layer takes minutes
        lambda trained, others, images, training: model.stateless_call(trained, others, images, training=training)[0],
        static_argnums=3,
    )

    def logits(images: np.ndarray, training: bool) -> np.ndarray:
        given = scale * (images[..., ::-1] if reversed_channels else images)
        return np.asarray(forward(*states, given, training))

    return logits


def torch_reference(model: torch.nn.Module, path: Path) -> Logits:
    """Random weights for a module of PyTorch, saved to `path`; returns how to ask it. Dropout is off."""
    rng = np.random.default_rng(5)
    state = model.state_dict()
    for name, array in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        kind = name.rpartition(".")[2]
        kind = "gamma" if kind == "weight" and array.ndim == 1 else kind
        fan_in = int(np.prod(array.shape[1:])) if array.ndim > 1 else 1
        state[name] = torch.from_numpy(_random(rng, kind, tuple(array.shape), fan_in))
    model.load_state_dict(state)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    save_file(model.state_dict(), path)

    def logits(images: np.ndarray, training: bool) -> np.ndarray:
        model.load_state_dict(state)  # the step before may have changed the statistics
        model.train(training)
        with torch.no_grad():
            return model(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))).numpy()

    return logits


def _random(rng: np.random.Generator, kind: str, shape: tuple[int, ...], fan_in: int) -> np.ndarray:
    """Values that differ everywhere and keep what passes through of the order of 1."""
    if kind == "count":
        return np.zeros(shape)
    if kind in ("gamma", "moving_variance", "running_var", "variance"):
        values = rng.uniform(0.5, 1.5, shape)
    elif kind in ("beta", "bias", "moving_mean", "running_mean", "mean"):
        values = rng.normal(0, 0.2, shape)
    else:
        values = rng.normal(0, np.sqrt(1 / fan_in), shape)  # residuals grow with every block; more saturates gates
    return values.astype(np.float32)


def _fan_in_keras(variable: Any) -> int:
    shape = variable.shape
    depthwise = len(shape) == 4 and shape[3] == 1 and shape[2] > 1
    return int(np.prod(shape[:2] if depthwise else shape[:-1]))


def mobilenet_v1_bias(size_px: int) -> Any:
    """MobileNet v1 written by hand: Keras' convolutions with their biases, and ReLU; padded as in its applications."""
    x = inputs = layers.Input((size_px, size_px, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(32, 3, strides=2, padding="same")(x)))
    for filters, stride in (
        *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
        *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
    ):
        if stride == 2:
            x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
        x = layers.DepthwiseConv2D(3, strides=stride, padding="same" if stride == 1 else "valid")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 1)(x)))
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(x)))


def make(name: str, size_px: int, folder: Path) -> tuple[Logits, Path, int]:
    """The reference of one of our models: how to ask it, its file of weights, its parameters as its library counts."""
    applications = keras.applications
    top = {"weights": None, "classes": CLASSES, "classifier_activation": None, "input_shape": (size_px, size_px, 3)}
    of_keras = {
        "mobilenet_v1": lambda: applications.MobileNet(**top),
        "mobilenet_v1_bias": lambda: mobilenet_v1_bias(size_px),
        "mobilenet_v2": lambda: applications.MobileNetV2(**top),
        "resnet50_keras": lambda: applications.ResNet50(**top),
        "efficientnet_b0": lambda: applications.EfficientNetB0(**top),
    }
    of_torch = {
        "resnet18": lambda: torchvision.models.resnet18(num_classes=CLASSES),
        "resnet34": lambda: torchvision.models.resnet34(num_classes=CLASSES),
        "resnet50": lambda: torchvision.models.resnet50(num_classes=CLASSES),
        "seresnext50_32x4d": lambda: timm.create_model("seresnext50_32x4d", num_classes=CLASSES),
        "vgg19": lambda: torchvision.models.vgg19(num_classes=CLASSES),
    }
    if name in of_keras:
        keras.backend.clear_session()  # layers are counted from the beginning
        path = folder / f"{name}.weights.h5"
        model = of_keras[name]()
        reversed_channels = name == "resnet50_keras"  # made for blue, green, red
        scale = 255.0 if name == "efficientnet_b0" else 1.0  # divides pixels by 255 itself
        logits = keras_reference(model, path, reversed_channels=reversed_channels, scale=scale)
        return logits, path, model.count_params()
    path = folder / f"{name}.safetensors"
    module = of_torch[name]()
    return torch_reference(module, path), path, sum(parameter.numel() for parameter in module.parameters())
