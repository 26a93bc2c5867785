"""A trained model as a file that other programs use without this one.

`.zip`           function.jax, a serialized JAX function (`jax.export`) for CPU and CUDA that takes pictures as batch
                 servers draw them, uint8 `[any number, size, size, channels]`, and returns the probabilities of the
                 classes, float32; and model.json, which says what the pictures are and which classes they are.
`.safetensors`   the weights by name, float32, with what model.json holds as metadata.
"""

import dataclasses
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file

from trainer.optimization.updates import Weights
from trainer.records.trained import Trained
from trainer.steps import logits_of

FORMAT = 1
PLATFORMS = ("cpu", "cuda")


def export(trained: Trained, path: Path) -> None:
    """Writes a model; the file has its name only when it is whole.

    Args:
        trained: The model.
        path: Ends in `.zip` or `.safetensors`, which decides what is written.
    """
    part = path.with_name(path.name + ".part")
    if path.suffix == ".safetensors":
        about = {name: json.dumps(value) for name, value in describe(trained).items()}
        weights = {name: np.ascontiguousarray(array) for name, array in named_weights(trained.weights)}
        save_file(weights, part, metadata=about)
    else:
        with zipfile.ZipFile(part, "w") as archive:  # not compressed: weights do not shrink
            archive.writestr("function.jax", serialize(trained))
            archive.writestr("model.json", json.dumps(describe(trained), indent=2) + "\n")
    part.replace(path)


def describe(trained: Trained) -> dict[str, Any]:
    """What a user of the model needs to know, as JSON can hold it."""
    run = trained.run
    return {
        "format": FORMAT,
        "classes": run.classes,
        "size_px": run.pictures.size_px,
        "channels": run.pictures.channels,
        "normalization": run.pixels._asdict(),
        "render": dataclasses.asdict(run.pipeline.render),
        "model": dataclasses.asdict(run.model),
        "step": trained.step,
    }


def named_weights(weights: Weights) -> Iterator[tuple[str, Any]]:
    """Parameters and running statistics by name, `stages.0.norm.mean`, as docs/export.md explains them."""
    for tree in weights:
        for path, array in jax.tree_util.tree_flatten_with_path(tree)[0]:
            yield ".".join(str(key.key) for key in path), array


def serialize(trained: Trained) -> bytes:
    """The model as a JAX function, preprocessing included; `jax.export.deserialize` reads it."""
    run = trained.run

    def probabilities(images: jax.Array) -> jax.Array:
        weights = jax.lax.optimization_barrier(trained.weights)  # else XLA computes with them while it compiles
        logits = logits_of(trained.graph, run.pixels, run.optimization.compute, weights, images)
        return jax.nn.softmax(logits)

    size, channels = run.pictures
    shape = jax.export.symbolic_shape(f"batch, {size}, {size}, {channels}")
    images = jax.ShapeDtypeStruct(shape, jnp.uint8)
    return bytes(jax.export.export(jax.jit(probabilities), platforms=PLATFORMS)(images).serialize())
