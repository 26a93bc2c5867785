import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from trainer.models import MODELS, build, count_parameters, outline
from trainer.models.cnn import max_pool
from trainer.models.mobilenet_v1 import SeparableBlock
from trainer.optimization import Optimization
from trainer.parallel import Parallel
from trainer.randomness import Position
from trainer.settings import MODELS as NAMES
from trainer.settings import ModelSettings
from trainer.steps import Pixels, make_train_step
from trainer.timetable import Timetable
from trainer.updates import Updates, Weights


def logits(settings, *, size, channels, classes=5, rows=2):
    """The outputs' shape, without computing anything."""
    model = outline(settings, channels=channels, classes=classes)
    images = jax.ShapeDtypeStruct((rows, size, size, channels), jnp.float32)
    return jax.eval_shape(
        lambda params, stats, x: nnx.merge(model.graph, params, stats)(x, None), model.params, model.stats, images
    )


def test_names_and_models_agree():
    assert tuple(MODELS) == NAMES


def test_mobilenet_has_the_parameters_of_keras():
    # Keras counts the moving statistics: keras.applications.MobileNet(weights=None).count_params()
    trained, total = count_parameters(ModelSettings("mobilenet_v1"), channels=3, classes=1000)
    assert total == 4_253_864 and trained == 4_231_976


@pytest.mark.parametrize(("alpha", "total"), [(0.25, 475_544), (0.5, 1_342_536), (0.75, 2_601_976)])
def test_mobilenet_of_other_widths_has_the_parameters_of_keras(alpha, total):
    assert count_parameters(ModelSettings("mobilenet_v1", alpha=alpha), channels=3, classes=1000)[1] == total


def test_the_small_network_has_half_a_million_parameters():
    assert 450_000 < count_parameters(ModelSettings("cnn"), channels=1, classes=13)[0] < 550_000


@pytest.mark.parametrize("size", [8, 9, 28, 64, 129])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_small_network_takes_any_size(size, channels):
    assert logits(ModelSettings("cnn"), size=size, channels=channels).shape == (2, 5)


@pytest.mark.parametrize("size", [32, 33, 64, 97])
def test_mobilenet_takes_any_size_from_its_least(size):
    settings = ModelSettings("mobilenet_v1", alpha=0.25)
    assert logits(settings, size=size, channels=1).shape == (2, 5)


@pytest.mark.parametrize("side", [6, 7])
def test_stride_two_pads_below_and_to_the_right_only(side):
    rng = np.random.default_rng(2)
    block = SeparableBlock(1, 1, 2, rngs=nnx.Rngs(0))
    kernel = rng.random((3, 3)).astype(np.float32)
    block.depthwise.kernel[...] = kernel[:, :, None, None]
    image = rng.random((side, side)).astype(np.float32)
    padded = np.zeros((side + 1, side + 1), np.float32)
    padded[:side, :side] = image
    half = (side - 2) // 2 + 1
    expected = [
        [(padded[2 * i : 2 * i + 3, 2 * j : 2 * j + 3] * kernel).sum() for j in range(half)] for i in range(half)
    ]
    np.testing.assert_allclose(block.depthwise(image[None, :, :, None])[0, :, :, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_model_can_be_trained_on_two_devices(name):
    """Traced, not compiled: of the right shapes, with dropout and statistics over the devices."""
    model = outline(ModelSettings(name, alpha=0.25), channels=3, classes=7)
    settings = Optimization(optimizer="sgd")
    updates = Updates(settings, Timetable.of(settings, steps_per_epoch=10), rate=0.1)
    step = make_train_step(model.graph, Pixels([0.0] * 3, [1.0] * 3), settings, updates, seed=0)
    state = jax.eval_shape(updates.begin, Weights(model.params, model.stats))
    shapes = {"image": ((2, 4, 32, 32, 3), "uint8"), "label": ((2, 4), "int32")}
    shapes |= {name: ((2, 4), "float32") for name in ("mask", "weight", "void")}
    batch = {name: jax.ShapeDtypeStruct(*shape) for name, shape in shapes.items()}
    after, figures = jax.eval_shape(Parallel(jax.devices("cpu")).train(step), state, batch, Position(0, 0), 1.0)
    assert jax.tree.map(lambda leaf: leaf.shape, after) == jax.tree.map(lambda leaf: leaf.shape, state)
    assert figures["loss"].shape == ()


def test_initial_values_follow_from_the_whole_seed():
    def first(seed):
        params = build(ModelSettings("cnn"), channels=1, classes=3, seed=seed).params
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])

    seven = first(7)
    np.testing.assert_array_equal(seven, first(7))
    assert (seven != first(7 + 2**32)).any() and (seven != first(8)).any()


def test_max_pool_leaves_out_an_odd_last_row_and_keeps_a_single_pixel():
    x = jnp.arange(15.0).reshape(1, 3, 5, 1)
    assert max_pool(x)[0, :, :, 0].tolist() == [[6.0, 8.0]]
    assert max_pool(x[:, :1, :1]).shape == (1, 1, 1, 1)
