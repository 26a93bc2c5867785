import jax
import numpy as np
import optax
import pytest
from flax import nnx

from trainer.models import ModelState
from trainer.models.cnn import ConvNormRelu
from trainer.models.layers import RowDropout
from trainer.optimizers import make_optimizer, make_schedule
from trainer.parallel import Parallel, joined
from trainer.randomness import Position
from trainer.settings import NORMALIZATIONS, Optimization
from trainer.steps import Pixels, TrainState, make_inference_step, make_train_step

ROWS, SIZE, CLASSES = 16, 16, 4
PIXELS = Pixels([0.5], [0.25])


class Small(nnx.Module):
    """All kinds of layers, quick to compile."""

    def __init__(self):
        rngs = nnx.Rngs(3)
        self.conv = ConvNormRelu(1, 8, stride=2, rngs=rngs)
        self.dropout = RowDropout(0.3, layer=0)
        self.head = nnx.Linear(8, CLASSES, rngs=rngs)

    def __call__(self, images, training):
        return self.head(self.dropout(self.conv(images, training).mean((1, 2)), training))


def small():
    graph, params, stats = nnx.split(Small(), nnx.Param, nnx.BatchStat)
    return ModelState(graph, nnx.to_pure_dict(params), nnx.to_pure_dict(stats))


MODEL = small()


def batch(padding=3, filler=0):
    """A batch whose last rows are padding that holds `filler`."""
    rng = np.random.default_rng(8)
    images = rng.integers(0, 256, (ROWS, SIZE, SIZE, 1)).astype(np.uint8)
    labels = rng.integers(0, CLASSES, ROWS).astype(np.int32)
    mask = np.ones(ROWS, np.float32)
    if padding:
        images[-padding:], labels[-padding:], mask[-padding:] = filler, filler % CLASSES, 0
    return {"image": images, "label": labels, "mask": mask, "void": np.zeros(ROWS, np.float32)}


class Runner:
    """Training with plain gradient descent, whose steps show the scale of the gradients (Adam's do not)."""

    def __init__(self, devices, optimizer=None):
        self.parallel = Parallel(jax.devices("cpu")[:devices])
        self.optimizer = optimizer or optax.identity()
        self.step = self.parallel.train(
            make_train_step(MODEL.graph, PIXELS, self.optimizer, lambda step: 0.05, smoothing=0.1, seed=2**63 + 11)
        )
        self.start = TrainState(MODEL.params, MODEL.stats, self.optimizer.init(MODEL.params))

    def __call__(self, *batches):
        """The state and the losses after a step for each batch."""
        state = self.parallel.replicate(jax.tree.map(np.array, self.start))
        losses = []
        for number, arrays in enumerate(batches):
            state, figures = self.step(state, self.parallel.split(arrays), Position(0, number, number))
            losses.append(float(figures["loss"]))
        return jax.tree.map(np.array, state), losses


@pytest.fixture(scope="module")
def two_devices():
    return Runner(2)


def assert_close(left, right, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), left, right)


def assert_same(left, right):
    jax.tree.map(np.testing.assert_array_equal, left, right)


def test_one_and_two_devices_agree(two_devices):
    batches = [batch(), batch(5), batch(0)]
    one_state, one_losses = Runner(1)(*batches)
    two_state, two_losses = two_devices(*batches)
    np.testing.assert_allclose(one_losses[0], two_losses[0], atol=1e-6)
    np.testing.assert_allclose(one_losses, two_losses, atol=1e-4)
    assert_close(one_state, two_state, atol=2e-4)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), one_state.params, Runner(1).start.params)
    assert min(jax.tree.leaves(moved)) > 1e-3, "a step that moves nothing would agree as well"


def test_what_padding_holds_leaves_no_trace(two_devices):
    assert_same(two_devices(batch(filler=0), batch()), two_devices(batch(filler=203), batch()))


def test_padding_counts_for_nothing_in_the_loss(two_devices):
    _, (with_padding,) = two_devices(batch(padding=8))
    without = {name: array[:8] for name, array in batch(padding=8).items()}
    model = Runner(1)
    _, (alone,) = model(without)
    np.testing.assert_allclose(with_padding, alone, atol=1e-5)


def test_a_batch_without_samples_changes_nothing():
    runner = Runner(2, make_optimizer(Optimization(weight_decay=0.1)))
    empty = batch() | {"mask": np.zeros(ROWS, np.float32)}
    once, _ = runner(batch())
    twice, losses = runner(batch(), empty)
    assert_same(once, twice)
    assert losses[1] == 0


def test_a_batch_that_is_void_on_one_device_changes_nothing(two_devices):
    void = batch(4)
    void["void"][ROWS // 2 :] = 1
    assert_same(two_devices(batch())[0], two_devices(batch(), void, void)[0])


def test_the_same_steps_give_the_same_bits(two_devices):
    assert_same(two_devices(batch(), batch(1)), two_devices(batch(), batch(1)))


def test_weight_decay_pulls_kernels_only():
    optimizer = make_optimizer(Optimization(weight_decay=0.5))
    params = {"kernel": np.ones((2, 2), np.float32), "bias": np.ones(2, np.float32)}
    zero = jax.tree.map(np.zeros_like, params)
    updates, _ = optimizer.update(zero, optimizer.init(params), params)
    np.testing.assert_allclose(updates["kernel"], 0.5)
    np.testing.assert_allclose(updates["bias"], 0)


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "constant"])
def test_schedules_peak_at_the_learning_rate(schedule):
    rates = [float(make_schedule(Optimization(schedule=schedule, learning_rate=0.5), 40)(step)) for step in range(40)]
    assert max(rates) == pytest.approx(0.5, rel=0.02)
    assert (rates[-1] < 0.01) == (schedule != "constant")
    assert (rates[0] < 0.1) == (schedule == "one-cycle")


@pytest.mark.parametrize("name", NORMALIZATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_normalization(name, channels):
    images = np.random.default_rng(1).integers(0, 256, (2, 3, 3, channels)).astype(np.uint8)
    mean, std = NORMALIZATIONS[name].for_channels(channels)
    expected = (images / 255 - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(Pixels(mean, std).normalize(images), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "ends"), [("zero-one", (0, 1)), ("minus-one-one", (-1, 1)), ("minus-half-half", (-0.5, 0.5))]
)
def test_ranges_of_pixels(name, ends):
    black_and_white = np.array([[[[0], [255]]]], np.uint8)
    pixels = Pixels(*NORMALIZATIONS[name].for_channels(1)).normalize(black_and_white)
    np.testing.assert_allclose(np.ravel(pixels), ends, atol=1e-7)


def test_inference_looks_at_each_row_alone():
    parallel = Parallel(jax.devices("cpu"))
    infer = parallel.infer(make_inference_step(MODEL.graph, PIXELS))
    state = parallel.replicate(TrainState(MODEL.params, MODEL.stats, None))
    whole = {name: joined(rows) for name, rows in infer(state, parallel.split(batch(0))).items()}
    masked = batch(8, filler=99)
    half = {name: joined(rows) for name, rows in infer(state, parallel.split(masked)).items()}
    assert whole["guesses"].shape == (ROWS, 3)
    np.testing.assert_array_equal(whole["guesses"][:8], half["guesses"][:8])
    np.testing.assert_array_equal(whole["loss"][:8], half["loss"][:8])
