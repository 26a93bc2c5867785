"""What the layers of our models are called in other libraries' files.

A function for each family and library yields pairs: where a layer is in our tree, and its name in the file.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType

from trainer.models.efficientnet import GROUPS as EFFICIENTNET_GROUPS
from trainer.models.mobilenet_v1 import BLOCKS as MOBILENET_V1_BLOCKS
from trainer.models.mobilenet_v2 import GROUPS as MOBILENET_V2_GROUPS
from trainer.models.resnet import DEPTHS
from trainer.models.vgg import GROUPS as VGG_GROUPS
from trainer.weights.sources import Library

Names = Iterator[tuple[str, str]]
HEAD = "head.out"


def _convolution(ours: str, conv: str, norm: str) -> Names:
    yield f"{ours}.conv", conv
    yield f"{ours}.norm", norm


def _keras_mobilenet_v1() -> Names:
    yield from _convolution("stages.0", "conv1", "conv1_bn")
    for block in range(1, len(MOBILENET_V1_BLOCKS) + 1):
        for layer, name in enumerate(("conv_dw", "conv_pw")):
            yield from _convolution(f"stages.{block}.layers.{layer}", f"{name}_{block}", f"{name}_{block}_bn")
    yield HEAD, "conv_preds"


def _keras_mobilenet_v1_unnamed() -> Names:
    """Of layers that nobody named: counted by class."""

    def place(kind: str, number: int) -> str:
        return f"layers/{kind}_{number}" if number else f"layers/{kind}"

    yield from _convolution("stages.0", place("conv2d", 0), place("batch_normalization", 0))
    for block in range(1, len(MOBILENET_V1_BLOCKS) + 1):
        kinds = (("depthwise_conv2d", block - 1), ("conv2d", block))
        for layer, (kind, number) in enumerate(kinds):
            norm = place("batch_normalization", 2 * block - 1 + layer)
            yield from _convolution(f"stages.{block}.layers.{layer}", place(kind, number), norm)
    yield HEAD, "layers/dense"


def _keras_mobilenet_v2() -> Names:
    yield from _convolution("stages.0", "Conv1", "bn_Conv1")
    blocks = sum(count for _, _, count, _ in MOBILENET_V2_GROUPS)
    for block in range(blocks):
        prefix = f"block_{block}" if block else "expanded_conv"
        parts = ("expand", "depthwise", "project") if block else ("depthwise", "project")
        for layer, part in enumerate(parts):
            yield from _convolution(f"stages.{1 + block}.layers.{layer}", f"{prefix}_{part}", f"{prefix}_{part}_BN")
    yield from _convolution(f"stages.{1 + blocks}", "Conv_1", "Conv_1_bn")
    yield HEAD, "predictions"


def _keras_resnet50() -> Names:
    yield from _convolution("stages.0", "conv1_conv", "conv1_bn")
    stage = 2
    for group, count in enumerate(DEPTHS[50], start=2):
        for block in range(1, count + 1):
            theirs = f"conv{group}_block{block}"
            if block == 1:
                yield from _convolution(f"stages.{stage}.shortcut", f"{theirs}_0_conv", f"{theirs}_0_bn")
            for layer in range(3):
                names = f"{theirs}_{layer + 1}_conv", f"{theirs}_{layer + 1}_bn"
                yield from _convolution(f"stages.{stage}.layers.{layer}", *names)
            stage += 1
    yield HEAD, "predictions"


def _torch_resnet(depth: int, *, weighted: bool = False) -> Names:
    yield from _convolution("stages.0", "conv1", "bn1")
    stage, convolutions = 2, 2 if depth < 50 else 3
    for group, count in enumerate(DEPTHS[depth], start=1):
        for block in range(count):
            ours, theirs = f"stages.{stage}", f"layer{group}.{block}"
            for layer in range(convolutions):
                names = f"{theirs}.conv{layer + 1}", f"{theirs}.bn{layer + 1}"
                yield from _convolution(f"{ours}.layers.{layer}", *names)
            if weighted:
                yield f"{ours}.layers.{convolutions}.reduce", f"{theirs}.se.fc1"
                yield f"{ours}.layers.{convolutions}.expand", f"{theirs}.se.fc2"
            if block == 0 and (group > 1 or depth >= 50):
                yield from _convolution(f"{ours}.shortcut", f"{theirs}.downsample.0", f"{theirs}.downsample.1")
            stage += 1
    yield HEAD, "fc"


def _vgg_places() -> Iterator[tuple[str, int, int, int]]:
    """Where each convolution is in our tree and in torchvision's list, its group, and its number there."""
    stage = theirs = 0
    for group, (_, count) in enumerate(VGG_GROUPS, start=1):
        for number in range(1, count + 1):
            yield f"stages.{stage}.conv", theirs, group, number
            stage, theirs = stage + 1, theirs + 2  # a convolution and its ReLU
        stage, theirs = stage + 1, theirs + 1  # max-pooling
    yield f"stages.{stage + 2}.linear", 0, 0, 1  # after the means and the flattening
    yield f"stages.{stage + 4}.linear", 3, 0, 2  # after the dropout


def _torch_vgg19() -> Names:
    for ours, theirs, group, _ in _vgg_places():
        yield ours, f"features.{theirs}" if group else f"classifier.{theirs}"
    yield HEAD, "classifier.6"


def _keras_vgg19() -> Names:
    for ours, _, group, number in _vgg_places():
        yield ours, f"block{group}_conv{number}" if group else f"fc{number}"
    yield HEAD, "predictions"


def _keras_efficientnet_b0() -> Names:
    yield "stages.0", "normalization"
    yield from _convolution("stages.1", "stem_conv", "stem_bn")
    stage = 2
    for group, (_, count, _, expansion, _) in enumerate(EFFICIENTNET_GROUPS, start=1):
        for block in range(count):
            ours, theirs = f"stages.{stage}.layers", f"block{group}{chr(ord('a') + block)}"
            layer = 0
            if expansion > 1:
                yield from _convolution(f"{ours}.0", f"{theirs}_expand_conv", f"{theirs}_expand_bn")
                layer = 1
            yield from _convolution(f"{ours}.{layer}", f"{theirs}_dwconv", f"{theirs}_bn")
            yield f"{ours}.{layer + 1}.reduce", f"{theirs}_se_reduce"
            yield f"{ours}.{layer + 1}.expand", f"{theirs}_se_expand"
            yield from _convolution(f"{ours}.{layer + 2}", f"{theirs}_project_conv", f"{theirs}_project_bn")
            stage += 1
    yield from _convolution(f"stages.{stage}", "top_conv", "top_bn")
    yield HEAD, "predictions"


NAMES: Mapping[tuple[str, Library], Callable[[], Names]] = MappingProxyType(  # of the same keys as SOURCES
    {
        ("mobilenet_v1", "keras"): _keras_mobilenet_v1,
        ("mobilenet_v1_bias", "keras"): _keras_mobilenet_v1_unnamed,
        ("mobilenet_v2", "keras"): _keras_mobilenet_v2,
        ("resnet18", "torch"): partial(_torch_resnet, 18),
        ("resnet34", "torch"): partial(_torch_resnet, 34),
        ("resnet50", "torch"): partial(_torch_resnet, 50),
        ("resnet50", "keras"): _keras_resnet50,
        ("resnet50_keras", "keras"): _keras_resnet50,
        ("seresnext50_32x4d", "torch"): partial(_torch_resnet, 50, weighted=True),
        ("vgg19", "torch"): _torch_vgg19,
        ("vgg19", "keras"): _keras_vgg19,
        ("efficientnet_b0", "keras"): _keras_efficientnet_b0,
    }
)
