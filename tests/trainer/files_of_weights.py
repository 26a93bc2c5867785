"""Files of weights written by hand, as Keras writes them."""

from functools import cache

import h5py
import numpy as np

from trainer.models import Pictures, outline
from trainer.settings import ModelSettings
from trainer.weights.names import NAMES

SMALL = ModelSettings("mobilenet_v1", alpha=0.05)


@cache
def small(channels=3, classes=4):
    return outline(SMALL, Pictures(32, channels), classes=classes)


def at(tree, path):
    for key in path.split("."):
        tree = tree.get(int(key) if key.isdigit() else key, {})
    return tree


def keras_file(path, *, biases=False, without=(), extra=()):
    """The weights of `small()` as Keras writes them; returns them by our names."""
    model, rng, written = small(), np.random.default_rng(3), {}
    counts = {}
    with h5py.File(path, "w") as file:
        for ours, theirs in NAMES["mobilenet_v1", "keras"]():
            leaves = {**at(model.params, ours), **at(model.stats, ours)}
            layer = {part: rng.normal(size=leaf.shape).astype(np.float32) for part, leaf in leaves.items()}
            layer |= {part: np.square(array) for part, array in layer.items() if part == "var"}
            kind = "batch_normalization" if "mean" in layer else "depthwise_conv2d" if "_dw_" in theirs else "conv2d"
            if biases and "mean" not in layer:
                layer["bias"] = rng.normal(size=layer["kernel"].shape[-1]).astype(np.float32)
            written[ours] = layer
            if theirs in without:
                continue
            arrays = dict(layer)
            if kind == "depthwise_conv2d":
                arrays["kernel"] = arrays["kernel"].transpose(0, 1, 3, 2)
            if ours == "head.out":
                arrays["kernel"] = arrays["kernel"][None, None]
            number = counts[kind] = counts.get(kind, -1) + 1
            group = file.create_group(f"layers/{kind}_{number}" if number else f"layers/{kind}").create_group("vars")
            group.attrs["name"] = theirs
            for place, part in enumerate(p for p in ("kernel", "scale", "bias", "mean", "var") if p in arrays):
                group[str(place)] = arrays[part]
        for name in extra:
            group = file.create_group(f"layers/{name}/vars")
            group.attrs["name"] = name
            group["0"] = np.zeros(3, np.float32)
    return written
