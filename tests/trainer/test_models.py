import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from trainer.models import MODELS, Pictures, build, count_parameters, functional, network, outline
from trainer.models.blocks import AdaptiveMean, MaxPool2
from trainer.optimization.settings import Optimization
from trainer.optimization.timetable import Timetable
from trainer.optimization.updates import Updates, Weights
from trainer.parallel import Parallel
from trainer.randomness import Position
from trainer.records.checkpoints import Checkpoints
from trainer.settings import MODELS as NAMES
from trainer.settings import ModelSettings
from trainer.steps import Pixels, make_train_step

PUBLISHED = {  # parameters at 3 channels and 1,000 classes: trained, and with the running statistics (Keras' counting)
    "mobilenet_v1": (4_231_976, 4_253_864),
    "mobilenet_v1_bias": (None, 4_264_808),
    "mobilenet_v2": (3_504_872, 3_538_984),
    "resnet18": (11_689_512, None),
    "resnet34": (21_797_672, None),
    "resnet50": (25_557_032, None),
    "resnet50_keras": (None, 25_636_712),
    "seresnext50_32x4d": (27_559_896, None),
    "vgg19": (143_667_240, 143_667_240),
    "efficientnet_b0": (5_288_548, 5_330_571),
}
RGB = Pictures(224, 3)


def tiny(name, channels=3):
    """A small model."""
    return network(ModelSettings(name, dropout=0.3), Pictures(8, channels), classes=7, rngs=nnx.Rngs(4))


def counts(name, pictures, classes, **settings):
    """Parameters that are trained, and all with the running statistics."""
    return count_parameters(outline(ModelSettings(name, **settings), pictures, classes=classes))


def outputs(make, *, size, channels):
    """The outputs' shape, without computing anything."""
    model = functional(nnx.eval_shape(make))
    images = jax.ShapeDtypeStruct((2, size, size, channels), jnp.float32)
    return jax.eval_shape(
        lambda params, stats, x: nnx.merge(model.graph, params, stats)(x, None), model.params, model.stats, images
    ).shape


def test_names_and_models_agree():
    assert tuple(MODELS) == NAMES


@pytest.mark.parametrize(("name", "published"), PUBLISHED.items(), ids=PUBLISHED)
def test_models_have_the_published_parameters(name, published):
    found = counts(name, RGB, 1000)
    assert all(count == other for count, other in zip(found, published, strict=True) if other is not None)


@pytest.mark.parametrize(("alpha", "total"), [(0.25, 475_544), (0.5, 1_342_536), (0.75, 2_601_976)])
def test_mobilenet_of_other_widths_has_the_parameters_of_keras(alpha, total):
    assert counts("mobilenet_v1", RGB, 1000, alpha=alpha)[1] == total


def test_counts_follow_channels_classes_and_for_the_perceptron_the_size():
    gray = Pictures(64, 1)
    assert counts("mobilenet_v1_bias", gray, 340)[1] == 3_587_732
    assert 450_000 < counts("cnn", gray, 13)[0] < 550_000
    expected = 28 * 28 * 512 + 512 + 512 * 256 + 256 + 256 * 10 + 10
    assert counts("mlp", Pictures(28, 1), 10)[0] == expected


def test_hidden_layers_stand_before_the_last_layer():
    more = (128 * 32 + 32) + (32 * 16 + 16) + (16 * 7 + 7) - (128 * 7 + 7)
    gray = Pictures(28, 1)
    assert counts("cnn_28", gray, 7, head_hidden=(32, 16))[0] == counts("cnn_28", gray, 7)[0] + more


@pytest.mark.parametrize("size", [8, 9, 28, 129])
def test_the_small_networks_take_any_size_from_their_least(size):
    for name in ("cnn", "cnn_28"):
        assert outputs(lambda name=name: tiny(name, channels=1), size=size, channels=1) == (2, 7)


@pytest.mark.parametrize("name", ["mobilenet_v1", "resnet18", "vgg19"])
def test_large_models_take_any_size_from_their_least(name):
    settings = ModelSettings(name, alpha=0.25)
    for size in (MODELS[name].min_size_px, 33, 97):
        shape = outputs(lambda: network(settings, Pictures(32, 1), 5, nnx.Rngs(0)), size=size, channels=1)
        assert shape == (2, 5)


@pytest.mark.parametrize("side", [6, 7])
def test_stride_two_of_mobilenet_v1_pads_below_and_to_the_right_only(side):
    rng = np.random.default_rng(2)
    settings = ModelSettings("mobilenet_v1", alpha=0.05)
    narrow = nnx.eval_shape(lambda: network(settings, Pictures(32, 1), 2, nnx.Rngs(0)))
    depthwise = narrow.stages[2].layers[0].conv  # the first block with a stride of 2
    kernel = rng.random((3, 3)).astype(np.float32)
    channels = depthwise.kernel.shape[-1]
    depthwise.kernel = nnx.Param(jnp.zeros((3, 3, 1, channels)).at[:, :, 0, 0].set(kernel))
    image = rng.random((side, side)).astype(np.float32)
    padded = np.zeros((side + 1, side + 1), np.float32)
    padded[:side, :side] = image
    half = (side - 2) // 2 + 1
    expected = [
        [(padded[2 * i : 2 * i + 3, 2 * j : 2 * j + 3] * kernel).sum() for j in range(half)] for i in range(half)
    ]
    x = np.zeros((1, side, side, channels), np.float32)
    x[0, :, :, 0] = image
    np.testing.assert_allclose(depthwise(x)[0, :, :, 0], expected, rtol=1e-5)


def test_a_model_is_trained_on_two_devices_and_saved_and_restored(tmp_path):
    """One step changes every parameter; what is saved is restored to the bit. `make parity` does it with each model."""
    model = functional(tiny("mlp"))
    settings = Optimization(optimizer="sgd")
    updates = Updates(settings, Timetable.of(settings, steps_per_epoch=10), rate=0.1)
    parallel = Parallel(jax.devices("cpu")[:2])
    step = parallel.train(make_train_step(model.graph, Pixels([0.5] * 3, [0.5] * 3), settings, updates, seed=0))
    before = jax.tree.map(np.array, model.params)
    rng = np.random.default_rng(1)
    rows = {"image": rng.integers(0, 256, (8, 8, 8, 3)).astype(np.uint8), "label": np.arange(8, dtype=np.int32) % 7}
    rows |= {"mask": np.ones(8, np.float32), "weight": np.ones(8, np.float32), "void": np.zeros(8, np.float32)}
    state = parallel.replicate(updates.begin(Weights(model.params, model.stats)))
    state, figures = step(state, parallel.split(rows), Position(0, 0), 1.0)
    assert np.isfinite(figures["loss"])
    after = state.weights
    changed = jax.tree.map(lambda old, new: bool((old != np.asarray(new)).any()), before, after.params)
    assert all(jax.tree.leaves(changed))

    checkpoints = Checkpoints(tmp_path)
    checkpoints.prepare()
    checkpoints.save(1, state, {})
    restored = checkpoints.state(1, like=state)
    jax.tree.map(np.testing.assert_array_equal, tuple(restored.weights), tuple(after))


def test_initial_values_follow_from_the_whole_seed():
    def first(seed):
        params = build(ModelSettings("cnn"), Pictures(64, 1), classes=3, seed=seed).params
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])

    seven = first(7)
    np.testing.assert_array_equal(seven, first(7))
    assert (seven != first(7 + 2**32)).any() and (seven != first(8)).any()


def test_max_pool_leaves_out_an_odd_last_row_and_keeps_a_single_pixel():
    x = jnp.arange(15.0).reshape(1, 3, 5, 1)
    assert MaxPool2()(x, None)[0, :, :, 0].tolist() == [[6.0, 8.0]]
    assert MaxPool2()(x[:, :1, :1], None).shape == (1, 1, 1, 1)


def test_fields_of_means_overlap_where_the_side_is_no_multiple():
    x = jnp.arange(5.0).reshape(1, 1, 5, 1) * jnp.ones((1, 5, 1, 1))
    np.testing.assert_allclose(AdaptiveMean(3)(x, None)[0, 0, :, 0], [0.5, 2.0, 3.5])
    np.testing.assert_allclose(AdaptiveMean(7)(x[:, :1, :1], None), np.zeros((1, 7, 7, 1)))
