"""Files of weights: Keras' `.weights.h5` and PyTorch's `.safetensors`, as layers in our own terms."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from inkstream.command_line import UsageError
from trainer.weights.sources import Library, library_of

Layer = dict[str, np.ndarray]
# `kernel` (height, width, channels in / groups, channels out, or features in, features out) and `bias`; of batch
# normalization `scale`, `bias`, `mean` and `var`. Which a layer has depends on the file.

_NORM = ("scale", "bias", "mean", "var")
_MOST_SHRUNK = 10  # Keras does not compress: a shape of more bytes than so many times those of the file is a lie
# What h5py raises for damaged files, and safetensors for types that NumPy has not.
_DAMAGED = (OSError, LookupError, RuntimeError, TypeError, ValueError, AttributeError, SafetensorError)


class Weights(NamedTuple):
    """What a file holds.

    Args:
        path: The file.
        library: Which one wrote it.
        layers: By the layer's name there. Those of Keras are here twice, by their own name (`block1a_bn`) and by their
            place in the file (`layers/batch_normalization_1`), which is there also for layers that nobody named.
    """

    path: Path
    library: Library
    layers: Mapping[str, Layer]


def read_weights(path: Path) -> Weights:
    """Reads a file.

    Raises:
        UsageError: It is not there, of another kind, or damaged.
    """
    library = library_of(path)
    if not path.is_file():
        raise UsageError(f"there is no file --weights {path}")
    return Weights(path, library, _keras_layers(path) if library == "keras" else _torch_layers(path))


def _keras_layers(path: Path) -> dict[str, Layer]:
    """Layers by name and by place; kernels need no change but for the depthwise ones."""
    layers: dict[str, Layer] = {}

    def add(place: str, group: h5py.Group | h5py.Dataset) -> None:
        if not (isinstance(group, h5py.Group) and place.endswith("/vars") and len(group)):
            return
        arrays = [_array(group[str(number)], path.stat().st_size) for number in range(len(group))]
        place = place.removesuffix("/vars")
        layers[place] = layer = _keras_layer(place.rpartition("/")[2], arrays)
        layers.setdefault(str(group.attrs.get("name", place)), layer)

    try:
        with h5py.File(path) as file:
            file.visititems(add)
    except _DAMAGED as error:
        raise UsageError(f"{path} cannot be read as Keras' weights: {error}") from None
    if not layers:
        raise UsageError(f"{path} holds no layer as Keras 3 writes them: save it anew by model.save_weights")
    return layers


def _array(dataset: h5py.Dataset, file_bytes: int) -> np.ndarray:
    if dataset.nbytes > _MOST_SHRUNK * file_bytes:
        raise ValueError(f"{dataset.name} has the shape {dataset.shape}, which is more than the file holds")
    return np.asarray(dataset, np.float32)


def _keras_layer(kind: str, arrays: list[np.ndarray]) -> Layer:
    if kind.startswith("batch_normalization"):
        return dict(zip(_NORM, arrays, strict=False))
    if kind.startswith("normalization"):
        return dict(zip(("mean", "var", "count"), arrays, strict=False))
    if kind.startswith("depthwise_conv2d"):  # height, width, channels in, 1
        arrays = [arrays[0].transpose(0, 1, 3, 2), *arrays[1:]]
    return dict(zip(("kernel", "bias"), arrays, strict=False))


def _torch_layers(path: Path) -> dict[str, Layer]:
    """Layers by name; kernels have the outputs first there."""
    try:
        arrays = load_file(path)
    except _DAMAGED as error:
        raise UsageError(f"{path} cannot be read as safetensors: {error}") from None
    layers: dict[str, Layer] = {}
    for name, array in arrays.items():
        layer, _, part = name.rpartition(".")
        if part == "num_batches_tracked":
            continue
        if part == "weight":
            part = "scale" if array.ndim == 1 else "kernel"
            if array.ndim > 1:
                array = array.transpose((2, 3, 1, 0) if array.ndim == 4 else None)
        part = {"running_mean": "mean", "running_var": "var"}.get(part, part)
        layers.setdefault(layer, {})[part] = np.asarray(array, np.float32)
    return layers
