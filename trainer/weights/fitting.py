"""Fits the layers of a file into a model: which leaf gets which array, and where the two may differ.

- A first convolution for red, green and blue becomes one for gray by summing over its input channels: what it made of a
  gray picture in three channels, it then makes of that picture in one.
- A bias that our convolution does not have is taken from the mean of the batch normalization behind it: (x + b) - m is
  x - (m - b). One that the file does not have is 0.
- The last layer is taken where it has the same shape and no hidden layers come before it, else it stays new.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from inkstream.command_line import UsageError
from trainer.models import ModelState
from trainer.settings import NORMALIZATIONS, ModelSettings
from trainer.weights.files import Layer, Weights, read_weights
from trainer.weights.names import HEAD, NAMES
from trainer.weights.sources import Source, source_of

IMAGENET_STD = NORMALIZATIONS["imagenet"].std


class Fitted(NamedTuple):
    """A model with a file's weights.

    Args:
        model: With arrays of NumPy where they are from the file.
        head_is_new: Whether the last layer is not from the file.
    """

    model: ModelState
    head_is_new: bool


def pretrained(settings: ModelSettings, model: ModelState, say: Callable[[str], None]) -> ModelState:
    """The model with the weights of the file that its settings name; as it is if they name none.

    Args:
        settings: Of the model.
        model: New.
        say: Told what was taken from where.

    Raises:
        UsageError: The file cannot be read, or is of another model.
    """
    if settings.weights is None:
        return model
    fitted = fit_weights(read_weights(Path(settings.weights)), settings.name, model)
    head = "; the head is new" if fitted.head_is_new else ""
    say(f"{settings.name} begins with the weights of {settings.weights}{head}")
    return fitted.model


def fit_weights(weights: Weights, name: str, model: ModelState) -> Fitted:
    """The model called `name` with the file's weights in place of its own.

    Raises:
        UsageError: The file is of another model, or a leaf has another shape.
    """
    source = source_of(name, weights.path)
    names = dict(NAMES[name, weights.library]())
    params, stats = _copied(model.params), _copied(model.stats)
    layers = _named_as_ours(weights, source, names)
    _adapt_channels(layers, source, params)
    _adapt_flattening(layers, source)
    _fold_biases(layers, params)
    head_is_new = HEAD not in layers or bool(params["head"].get("hidden"))
    for ours, layer in layers.items():
        for leaves in (_at(params, ours), _at(stats, ours)):
            for part, old in leaves.items():
                found = _in_shape(layer.get(part), part, old.shape)
                if found.shape == old.shape:
                    leaves[part] = found
                elif ours == HEAD:
                    head_is_new = True
                else:
                    raise UsageError(
                        f"{weights.path}: {names[ours]} has a {part} of shape {found.shape}, {ours}.{part} of {name} "
                        f"has {old.shape}: is the file of this model, and are --alpha, --size and the "
                        "channels of --encoding the same?"
                    )
    if head_is_new:
        params["head"] = model.params["head"]
    return Fitted(ModelState(model.graph, params, stats), head_is_new)


def _named_as_ours(weights: Weights, source: Source, names: Mapping[str, str]) -> dict[str, Layer]:
    """The file's layers by our names; all that the model has, and none that it has not."""
    layers = {ours: dict(weights.layers[theirs]) for ours, theirs in names.items() if theirs in weights.layers}
    for ours, theirs in names.items():
        if ours not in layers and ours not in (HEAD, source.entrance):
            raise UsageError(f"{weights.path} has no layer {theirs}, needed for {ours}: is the file of this model?")
    used = {id(weights.layers[theirs]) for theirs in names.values() if theirs in weights.layers}
    for theirs, layer in weights.layers.items():
        if id(layer) not in used:
            raise UsageError(
                f"{weights.path} has a layer {theirs}, which this model has not: is the file of this model?"
            )
    return layers


def _adapt_channels(layers: dict[str, Layer], source: Source, params: Any) -> None:
    """Red, green and blue in our order, or their sum."""
    ours, first = next(((ours, layer) for ours, layer in layers.items() if ours != source.entrance), ("", {}))
    if "kernel" not in first or first["kernel"].ndim != 4 or first["kernel"].shape[2] != 3:
        return
    gray = _at(params, ours)["kernel"].shape[2] == 1
    if source.reversed_channels:
        first["kernel"] = first["kernel"][:, :, ::-1]
    if gray:
        first["kernel"] = first["kernel"].sum(axis=2, keepdims=True)
    if source.entrance in layers:
        entrance = layers[source.entrance]
        if np.allclose(entrance["var"], IMAGENET_STD, atol=1e-4):  # Keras divides by the root again behind this layer
            entrance["var"] = np.square(entrance["var"])
        if gray:
            entrance.update({part: entrance[part].mean(keepdims=True) for part in ("mean", "var")})


def _adapt_flattening(layers: dict[str, Layer], source: Source) -> None:
    """Inputs of the first dense layer are channels, rows, columns in PyTorch; rows, columns, channels here."""
    if source.flattened is None:
        return
    ours, side = source.flattened
    kernel = layers[ours]["kernel"]
    if kernel.ndim == 2 and len(kernel) % (side * side) == 0:
        fields = kernel.reshape(-1, side, side, kernel.shape[1])
        layers[ours]["kernel"] = fields.transpose(1, 2, 0, 3).reshape(kernel.shape)


def _fold_biases(layers: dict[str, Layer], params: Any) -> None:
    """Takes a bias that our convolution has not from the mean behind it."""
    for ours, layer in layers.items():
        norm = layers.get(ours.removesuffix("conv") + "norm")
        if "kernel" in layer and "bias" in layer and "bias" not in _at(params, ours) and norm is not None:
            norm["mean"] = norm["mean"] - layer["bias"]


def _in_shape(found: np.ndarray | None, part: str, shape: tuple[int, ...]) -> np.ndarray:
    """A leaf of the file, in our shape where that is the same numbers in the same order."""
    if found is None:
        return np.zeros(shape if part == "bias" else (), np.float32)
    dense_as_convolution = found.shape[:2] == (1, 1) and found.shape[2:] == shape
    return found[0, 0] if dense_as_convolution else found


def _at(tree: Any, path: str) -> dict[str, Any]:
    """The leaves of the layer at a path such as `stages.1.layers.0.conv`; none where the tree has nothing there."""
    for key in path.split("."):
        tree = tree.get(int(key) if key.isdigit() else key, {})
    return tree


def _copied(tree: Any) -> Any:
    """New dicts with the same leaves."""
    return {key: _copied(node) for key, node in tree.items()} if isinstance(tree, dict) else tree
