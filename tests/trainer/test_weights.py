"""Files written by hand as Keras and PyTorch write them; `make parity` reads those that the libraries wrote."""

import h5py
import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from inkstream.command_line import UsageError
from tests.trainer.files_of_weights import at, keras_file, small
from trainer.models import Pictures, outline
from trainer.settings import ModelSettings
from trainer.weights.files import read_weights
from trainer.weights.fitting import fit_weights
from trainer.weights.names import NAMES
from trainer.weights.sources import SOURCES


def assert_holds(model, written, but=()):
    for ours, layer in written.items():
        for part, expected in layer.items():
            if (ours, part) not in but:
                found = {**at(model.params, ours), **at(model.stats, ours)}[part]
                np.testing.assert_array_equal(found, expected, err_msg=f"{ours}.{part}")


def test_weights_of_keras_come_in_with_every_leaf(tmp_path):
    path = tmp_path / "mobilenet.weights.h5"
    written = keras_file(path)
    fitted = fit_weights(read_weights(path), "mobilenet_v1", small())
    assert not fitted.head_is_new
    assert_holds(fitted.model, written)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves((fitted.model.params, fitted.model.stats)))


def test_a_gray_stem_is_the_sum_over_colours_and_another_number_of_classes_gets_a_new_head(tmp_path):
    path = tmp_path / "mobilenet.weights.h5"
    written = keras_file(path)
    fitted = fit_weights(read_weights(path), "mobilenet_v1", small(channels=1, classes=9))
    kernel = written["stages.0.conv"]["kernel"].sum(2, keepdims=True)
    np.testing.assert_allclose(fitted.model.params["stages"][0]["conv"]["kernel"], kernel, rtol=1e-6)
    assert fitted.head_is_new and fitted.model.params["head"]["out"]["kernel"].shape[1] == 9


def test_a_bias_that_the_model_has_not_is_taken_from_the_mean_behind_it(tmp_path):
    path = tmp_path / "mobilenet.weights.h5"
    written = keras_file(path, biases=True)
    fitted = fit_weights(read_weights(path), "mobilenet_v1", small()).model
    stem, norm = written["stages.0.conv"], written["stages.0.norm"]
    np.testing.assert_array_equal(fitted.stats["stages"][0]["norm"]["mean"], norm["mean"] - stem["bias"])


def torch_file(path, name, pictures):
    """Weights of a model as PyTorch's state dicts have them; returns them by our names."""
    model, rng, arrays, written = outline(ModelSettings(name), pictures, classes=3), np.random.default_rng(3), {}, {}
    parts = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
    for ours, theirs in NAMES[name, "torch"]():
        leaves = {**at(model.params, ours), **at(model.stats, ours)}
        written[ours] = {part: rng.random(leaf.shape, np.float32) for part, leaf in leaves.items()}
        for part, array in written[ours].items():
            axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[array.ndim]
            arrays[f"{theirs}.{parts[part]}"] = np.ascontiguousarray(array.transpose(axes))
        if "mean" in leaves:
            arrays[f"{theirs}.num_batches_tracked"] = np.array(7)
    save_file(arrays, path)
    return model, written


def test_weights_of_pytorch_come_in_with_every_leaf(tmp_path):
    path = tmp_path / "resnet18.safetensors"
    model, written = torch_file(path, "resnet18", Pictures(64, 3))
    fitted = fit_weights(read_weights(path), "resnet18", model)
    assert_holds(fitted.model, written)
    with pytest.raises(UsageError, match=r"stages\.2\.layers\.2\.conv"):
        fit_weights(read_weights(path), "resnet50", outline(ModelSettings("resnet50"), Pictures(64, 3), classes=3))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"without": ("conv_pw_3",)}, r"has no layer conv_pw_3, needed for stages\.3\.layers\.1\.conv"),
        ({"extra": ("conv2d_99",)}, "has a layer .*conv2d_99, which this model has not"),
    ],
)
def test_a_file_of_another_model_is_refused(tmp_path, change, says):
    path = tmp_path / "other.weights.h5"
    keras_file(path, **change)
    with pytest.raises(UsageError, match=says) as refused:
        fit_weights(read_weights(path), "mobilenet_v1", small())
    assert str(path) in str(refused.value)


def test_a_leaf_of_another_shape_is_named_with_both_shapes(tmp_path):
    path = tmp_path / "narrow.weights.h5"
    keras_file(path)
    wide = outline(ModelSettings("mobilenet_v1", alpha=0.25), Pictures(32, 3), classes=4)
    with pytest.raises(UsageError, match=r"conv1 has a kernel of shape \(3, 3, 3, 1\).* has \(3, 3, 3, 8\)"):
        fit_weights(read_weights(path), "mobilenet_v1", wide)


def test_what_is_no_file_of_weights_is_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no file"):
        read_weights(tmp_path / "none.safetensors")
    for name in ("bad.weights.h5", "bad.safetensors", "bad.pth"):
        (tmp_path / name).write_bytes(b"no weights")
        with pytest.raises(UsageError, match=name.replace(".", r"\.")):
            read_weights(tmp_path / name)
    with pytest.raises(UsageError, match=r"mobilenet_v1 are not read from \.safetensors"):
        path = tmp_path / "torch.safetensors"
        save_file({"fc.weight": np.zeros((2, 2), np.float32)}, path)
        fit_weights(read_weights(path), "mobilenet_v1", small())


@pytest.mark.parametrize(
    "damage",
    [
        lambda group: group.create_dataset("0", (10**7, 10**7), "f4", chunks=(1000, 1000)),  # 400 TB, none of it there
        lambda group: group.create_group("0"),
        lambda group: group.create_dataset("0", data="text"),
    ],
)
def test_what_is_no_array_in_a_file_is_refused(tmp_path, damage):
    path = tmp_path / "bad.weights.h5"
    with h5py.File(path, "w") as file:
        damage(file.create_group("layers/dense/vars"))
    with pytest.raises(UsageError, match=r"bad\.weights\.h5 cannot be read as Keras' weights"):
        read_weights(path)


def test_layers_are_named_for_every_source():
    assert NAMES.keys() == SOURCES.keys()


@pytest.mark.parametrize("name", sorted({name for name, _ in NAMES}))
def test_every_leaf_has_a_name_in_the_sources(name):
    model = outline(ModelSettings(name), Pictures(224, 3), classes=10)
    for names in (names for (other, _), names in NAMES.items() if other == name):
        named = {ours for ours, _ in names()}
        for path, _ in jax.tree_util.tree_leaves_with_path((model.params, model.stats)):
            assert ".".join(str(key.key) for key in path[1:-1]) in named
