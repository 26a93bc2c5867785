"""Which libraries' files of weights each model takes, and what they expect of its pictures.

This is known without reading a file, and without JAX: what makes no sense is refused at once.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from inkstream.command_line import UsageError

Library = Literal["keras", "torch"]
_LIBRARIES: Mapping[str, Library] = MappingProxyType({".h5": "keras", ".safetensors": "torch"})
_FILES = {"keras": ".weights.h5 of Keras", "torch": ".safetensors of PyTorch"}


class Source(NamedTuple):
    """A library's form of one of our models.

    Args:
        normalize: Which normalization of pixels its pretrained weights expect (`trainer.settings.NORMALIZATIONS`).
        reversed_channels: Whether they expect blue, green, red.
        entrance: Our layer that normalizes pictures, which a file may lack.
        flattened: Our dense layer behind a flattening of channels, rows and columns, and how many of the last two.
    """

    normalize: str
    reversed_channels: bool = False
    entrance: str | None = None
    flattened: tuple[str, int] | None = None


SOURCES: Mapping[tuple[str, Library], Source] = MappingProxyType(
    {
        ("mobilenet_v1", "keras"): Source("minus-one-one"),
        ("mobilenet_v1_bias", "keras"): Source("minus-one-one"),
        ("mobilenet_v2", "keras"): Source("minus-one-one"),
        ("resnet18", "torch"): Source("imagenet"),
        ("resnet34", "torch"): Source("imagenet"),
        ("resnet50", "torch"): Source("imagenet"),
        # Biases are folded; the stride is elsewhere, so that these weights are a start, not the same network.
        ("resnet50", "keras"): Source("imagenet-mean", reversed_channels=True),
        ("resnet50_keras", "keras"): Source("imagenet-mean", reversed_channels=True),
        ("seresnext50_32x4d", "torch"): Source("imagenet"),
        ("vgg19", "torch"): Source("imagenet", flattened=("stages.23.linear", 7)),  # 7x7 means
        ("vgg19", "keras"): Source("imagenet-mean", reversed_channels=True),
        ("efficientnet_b0", "keras"): Source("zero-one", entrance="stages.0"),
    }
)


def library_of(path: Path) -> Library:
    """The library that writes files of such a name.

    Raises:
        UsageError: None does that is read here.
    """
    library = _LIBRARIES.get(path.suffix)
    if library is None:
        raise UsageError(
            f"--weights are read from .weights.h5 (Keras: model.save_weights) and .safetensors (PyTorch: "
            f"safetensors.torch.save_file(model.state_dict(), ...)), got {path}"
        )
    return library


def source_of(model: str, path: Path) -> Source:
    """How the library of a file builds a model.

    Raises:
        UsageError: It does not build it as we do.
    """
    library = library_of(path)
    source = SOURCES.get((model, library))
    if source is None:
        known = [_FILES[other] for name, other in SOURCES if name == model]
        models = ", ".join(name for name, other in SOURCES if other == library)
        remedy = f"{model} reads {' or '.join(known)}" if known else f"{path.suffix} is read into {models}"
        raise UsageError(f"--weights {path}: weights of {model} are not read from {path.suffix}; {remedy}")
    return source
