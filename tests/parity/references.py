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
STATISTICS = ("moving_mean", "moving_variance", "running_mean", "running_var")  # of batch normalization


def keras_reference(
    model: Any, path: Path, pictures: np.ndarray, *, reversed_channels: bool = False, scale: float = 1.0
) -> Logits:
    """Random weights for a model of Keras, saved to `path`; returns how to ask it. Dropout is off."""
    rng = np.random.default_rng(5)
    for layer in model.layers:
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0  # the running statistics become those of the last pass
        for variable in layer.weights:
            if _kind(variable) not in STATISTICS:
                variance = 1 / _fan_in_keras(variable)
                variable.assign(_random(rng, _kind(variable), variable.shape, variance))
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()  # what it computes with is made from its variables
    forward = jax.jit(  # at once: layer by layer takes minutes
        lambda trained, others, images, training: model.stateless_call(trained, others, images, training=training),
        static_argnums=3,
    )

    def outputs(images: np.ndarray, training: bool) -> tuple[Any, Any]:
        given = scale * (images[..., ::-1] if reversed_channels else images)
        kinds = model.trainable_variables, model.non_trainable_variables
        return forward(*([variable.value for variable in kind] for kind in kinds), given, training)

    _, found = outputs(pictures, True)
    for variable, values in zip(model.non_trainable_variables, found, strict=True):
        if _kind(variable) in STATISTICS:
            variable.assign(_random_statistics(rng, np.asarray(values)))
    model.save_weights(path)
    return lambda images, training: np.asarray(outputs(images, training)[0])


def torch_reference(model: torch.nn.Module, path: Path, pictures: np.ndarray, *, gain: float = 1.0) -> Logits:
    """Random weights for a module of PyTorch, saved to `path`; returns how to ask it. Dropout is off.

    It computes in double precision: in single precision it is as far from that as our models are, 1e-4 for ResNet-50.
    """
    rng = np.random.default_rng(5)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # the running statistics become those of the last pass
    for name, array in model.named_parameters():
        kind = "gamma" if array.ndim == 1 and name.endswith("weight") else name.rpartition(".")[2]
        variance = gain / int(np.prod(array.shape[1:]))
        array.data = torch.from_numpy(_random(rng, kind, tuple(array.shape), variance))
    model.double()

    def outputs(images: np.ndarray, training: bool) -> np.ndarray:
        model.train(training)
        with torch.no_grad():
            return model(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float64))).numpy()

    outputs(pictures, True)
    state = {name: array.to(torch.float32, copy=True) for name, array in model.state_dict().items()}
    for name, array in state.items():
        if name.rpartition(".")[2] in STATISTICS:
            state[name] = torch.from_numpy(_random_statistics(rng, array.numpy()))
    save_file(state, path)

    def logits(images: np.ndarray, training: bool) -> np.ndarray:
        model.load_state_dict(state)  # the pass before may have changed the statistics
        return outputs(images, training)

    return logits


def _random(rng: np.random.Generator, kind: str, shape: tuple[int, ...], variance: float) -> np.ndarray:
    """Values that differ everywhere; `variance` is that of kernels."""
    if kind == "count":
        return np.zeros(shape)
    if kind in ("gamma", "variance"):
        values = rng.uniform(0.5, 1.5, shape)
    elif kind in ("beta", "bias", "mean"):
        values = rng.normal(0, 0.2, shape)
    else:
        values = rng.normal(0, np.sqrt(variance), shape)
    return values.astype(np.float32)


def _random_statistics(rng: np.random.Generator, found: np.ndarray) -> np.ndarray:
    """Not far from those of pictures: with any others a deep network's signals fade, or grow until all is rounding."""
    return (found * rng.uniform(0.8, 1.2, found.shape)).astype(np.float32)


def _kind(variable: Any) -> str:
    return variable.path.rpartition("/")[2]


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


def make(name: str, pictures: np.ndarray, folder: Path) -> tuple[Logits, Path, int]:
    """The reference of one of our models, with random weights and about the batch statistics of `pictures`.

    Returns how to ask it, its file of weights, and its parameters as its library counts them.
    """
    size_px = pictures.shape[1]
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
        logits = keras_reference(model, path, pictures, reversed_channels=reversed_channels, scale=scale)
        return logits, path, model.count_params()
    path = folder / f"{name}.safetensors"
    module = of_torch[name]()
    gain = 2.0 if name == "vgg19" else 1.0  # nothing there makes up for ReLU, which halves the variance
    logits = torch_reference(module, path, pictures, gain=gain)
    return logits, path, sum(parameter.numel() for parameter in module.parameters())
