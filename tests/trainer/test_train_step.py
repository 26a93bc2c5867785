from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import nnx

from inkstream.command_line import UsageError
from trainer.models import functional
from trainer.models.blocks import TORCH_NORM, Convolution, Dense, MaxPool2, PixelMean
from trainer.models.network import Head, Network
from trainer.optimization.settings import ALL, Optimization
from trainer.optimization.timetable import Timetable
from trainer.optimization.updates import Updates, Weights
from trainer.parallel import Parallel, joined
from trainer.randomness import Position
from trainer.settings import NORMALIZATIONS
from trainer.steps import Pixels, make_inference_step, make_train_step

ROWS, SIZE, CLASSES = 16, 16, 4
PIXELS = Pixels([0.5], [0.25])
RATE = 0.05
# Plain gradient descent, whose steps show the scale of the gradients (Adam's do not).
PLAIN = Optimization(optimizer="sgd", momentum=0.0, weight_decay=0.0, schedule="constant")


def small(*more):
    """All kinds of layers, quick to compile; `more` stages come before the means."""
    rngs = nnx.Rngs(3)
    conv = Convolution(1, 8, stride=2, norm=TORCH_NORM, padding="SAME", rngs=rngs)
    return functional(Network([conv, *more, PixelMean()], Head(8, CLASSES, dropout=0.3, rngs=rngs)))


MODEL = small()


def batch(padding=3, filler=0):
    """A batch whose last rows are padding that holds `filler`."""
    rng = np.random.default_rng(8)
    images = rng.integers(0, 256, (ROWS, SIZE, SIZE, 1)).astype(np.uint8)
    labels = rng.integers(0, CLASSES, ROWS).astype(np.int32)
    mask = np.ones(ROWS, np.float32)
    if padding:
        images[-padding:], labels[-padding:], mask[-padding:] = filler, filler % CLASSES, 0
    return {"image": images, "label": labels, "mask": mask, "weight": mask, "void": np.zeros(ROWS, np.float32)}


class Runner:
    """Trains on batches; an epoch has 5 of them."""

    def __init__(self, devices, settings=PLAIN, model=MODEL):
        self.parallel = Parallel(jax.devices("cpu")[:devices])
        updates = Updates(settings, Timetable(5, 100, settings.accumulate, 5), RATE)
        self.step = self.parallel.train(make_train_step(model.graph, PIXELS, settings, updates, seed=2**63 + 11))
        self.start = updates.begin(Weights(model.params, model.stats))

    def __call__(self, *batches):
        """The state and the losses after a step for each batch."""
        state = self.parallel.replicate(jax.tree.map(np.array, self.start))
        losses = []
        for number, arrays in enumerate(batches):
            state, figures = self.step(state, self.parallel.split(arrays), Position(*divmod(number, 5)), 1.0)
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
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), one_state.weights.params, Runner(1).start.weights.params)
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
    runner = Runner(2, Optimization(weight_decay=0.1))
    empty = batch() | dict.fromkeys(("mask", "weight"), np.zeros(ROWS, np.float32))
    once, _ = runner(batch())
    twice, losses = runner(batch(), empty)
    assert_same(once, twice)
    assert losses[1] == 0


def test_a_batch_that_is_void_on_one_device_changes_nothing(two_devices):
    void = batch(4)
    void["void"][ROWS // 2 :] = 1
    assert_same(two_devices(batch())[0], two_devices(batch(), void, void)[0])


class RowMeans(nnx.Module):
    """A stage after which rows know nothing of each other."""

    def __call__(self, images, training):
        return images.mean((2, 3))


LINEAR = functional(Network([RowMeans()], Head(SIZE, CLASSES, dropout=0.0, rngs=nnx.Rngs(4))))


def halves(array):
    return {name: rows[: ROWS // 2] for name, rows in array.items()}, {
        name: rows[ROWS // 2 :] for name, rows in array.items()
    }


def test_gathered_batches_make_the_update_of_one_batch_of_all_their_rows():
    whole = batch(padding=3)
    first, second = halves(whole)
    gathering = Runner(2, replace(PLAIN, accumulate=2), LINEAR)
    once, _ = gathering(first)
    assert_same(once.weights, jax.tree.map(np.array, gathering.start.weights))
    assert float(once.gathered.weight) == ROWS / 2
    twice, _ = gathering(first, second)
    at_once, _ = Runner(2, PLAIN, LINEAR)(whole)
    # Not the mean of both means: the second has fewer rows.
    assert_close(twice.weights.params, at_once.weights.params, atol=1e-6)
    assert not any(leaf.any() for leaf in jax.tree.leaves(twice.gathered))


def test_an_epochs_last_update_takes_what_is_left():
    gathering = Runner(2, replace(PLAIN, accumulate=2), LINEAR)
    four, five = (gathering(*[batch()] * count)[0] for count in (4, 5))
    assert (
        np.abs(four.weights.params["head"]["out"]["kernel"] - five.weights.params["head"]["out"]["kernel"]).max() > 1e-4
    )
    assert not five.gathered.weight


def test_a_row_that_weighs_twice_counts_as_two():
    rows = batch(padding=0)
    weight = np.repeat(np.float32([2, 1]), ROWS // 2)
    heavy, (loss,) = Runner(1, PLAIN, LINEAR)(rows | {"weight": weight})
    doubled = {name: np.concatenate([array, array[: ROWS // 2]]) for name, array in rows.items()}
    expected, (expected_loss,) = Runner(1, PLAIN, LINEAR)(doubled)
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    assert_close(heavy.weights, expected.weights, atol=1e-6)


def test_the_average_forgets_at_its_rate_and_slowly_at_first(two_devices):
    averaging = Runner(2, replace(PLAIN, ema_decay=0.15))
    batches = [batch(), batch(1), batch(2)]
    average = jax.tree.map(np.array, averaging.start.weights)
    for number in range(3):
        state, _ = averaging(*batches[: number + 1])
        decay = min(0.15, (1 + number) / (10 + number))
        average = jax.tree.map(lambda old, new, d=decay: d * old + (1 - d) * new, average, state.weights)
        assert_close(state.average, average, rtol=1e-5, atol=1e-7)
        assert state.evaluated is state.average
    assert_same(state.weights, two_devices(*batches)[0].weights)


def convolution():
    return Convolution(8, 8, norm=TORCH_NORM, rngs=nnx.Rngs(5))


DEEP = small(convolution(), MaxPool2(), convolution())
FIRST, SECOND, THIRD = 0, 1, 3  # the numbers of its stages with parameters


def moved(runner, state):
    """By stage or head, how far parameters went."""
    went = jax.tree.map(lambda a, b: np.array(b - a), runner.start.weights.params, state.weights.params)
    return {**went["stages"], "head": went["head"]}


def test_frozen_stages_stay_to_the_bit_and_the_rest_learns_as_if_they_were_data():
    """Also under weight decay, gathering and averaging; what is before the rest works as in evaluation."""
    settings = replace(PLAIN, freeze=2, weight_decay=0.1, accumulate=2, ema_decay=0.5, clip_norm=0.1)
    runner = Runner(2, settings, DEEP)
    state, _ = runner(batch(), batch(5), batch(1))
    for weights in (state.weights, state.average):
        for number in (FIRST, SECOND):
            assert_same(weights.params["stages"][number], runner.start.weights.params["stages"][number])
            assert_same(weights.stats["stages"][number], runner.start.weights.stats["stages"][number])
        assert np.abs(weights.stats["stages"][THIRD]["norm"]["mean"]).max() > 0
    assert min(np.abs(leaf).max() for leaf in jax.tree.leaves(moved(runner, state)[THIRD])) > 0
    assert state.gathered.gradients["stages"].keys() == {THIRD}  # nothing is kept for what stays


def dense(features_in, features_out):
    return Dense(features_in, features_out, rngs=nnx.Rngs(6))


# Of two stages with parameters, quicker to compile.
DENSE = functional(Network([RowMeans(), dense(SIZE, 8), dense(8, 8)], Head(8, CLASSES, dropout=0.0, rngs=nnx.Rngs(4))))


def test_all_frozen_leaves_the_head():
    runner = Runner(1, replace(PLAIN, freeze=ALL), DENSE)
    went = moved(runner, runner(batch())[0])
    assert not any(leaf.any() for number in (1, 2) for leaf in jax.tree.leaves(went[number]))
    assert np.abs(went["head"]["out"]["kernel"]).max() > 1e-4


def test_more_frozen_stages_than_there_are_are_refused():
    with pytest.raises(UsageError, match="--freeze must be at most 2, the stages of this model, or all, got 3"):
        Runner(1, replace(PLAIN, freeze=3), DENSE)


def test_each_stage_away_from_the_head_learns_at_a_rate_that_is_less_by_the_decay():
    """Weight decay goes with it, as in groups of parameters with rates of their own."""
    settings = Optimization(schedule="constant", weight_decay=0.1)
    plain, decayed = Runner(1, settings, DENSE), Runner(1, replace(settings, layer_decay=0.5), DENSE)
    whole, less = moved(plain, plain(batch())[0]), moved(decayed, decayed(batch())[0])
    for part, factor in ((1, 1 / 4), (2, 1 / 2), ("head", 1)):
        expected = jax.tree.map(lambda leaf, factor=factor: leaf * factor, whole[part])
        assert_close(less[part], expected, rtol=1e-3, atol=1e-7)


def test_devices_do_not_matter_with_everything_at_once():
    everything = Optimization(
        mixup=0.4, ema_decay=0.9, accumulate=2, clip_norm=1.0, warmup=2, schedule="cosine", optimizer="sgd"
    )
    batches = [batch(), batch(5), batch(0)]
    one_state, one_losses = Runner(1, everything, LINEAR)(*batches)
    two_state, two_losses = Runner(2, everything, LINEAR)(*batches)
    np.testing.assert_allclose(one_losses, two_losses, atol=1e-6)
    assert_close(one_state, two_state, atol=1e-6)


def test_bfloat16_computes_alike_and_keeps_float32(two_devices):
    state, losses = Runner(2, replace(PLAIN, compute="bfloat16"))(batch(), batch(1))
    _, expected = two_devices(batch(), batch(1))
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {np.dtype(np.float32)}
    assert losses != expected
    np.testing.assert_allclose(losses, expected, rtol=0.02)


def test_the_same_steps_give_the_same_bits(two_devices):
    assert_same(two_devices(batch(), batch(1)), two_devices(batch(), batch(1)))


@pytest.mark.parametrize("name", NORMALIZATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_normalization(name, channels):
    images = np.random.default_rng(1).integers(0, 256, (2, 3, 3, channels)).astype(np.uint8)
    mean, std = NORMALIZATIONS[name].for_channels(channels)
    expected = (images / 255 - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(Pixels(mean, std).normalize(images), expected, atol=max(1e-6, 1e-7 / min(std)))


@pytest.mark.parametrize(
    ("name", "ends"), [("zero-one", (0, 1)), ("minus-one-one", (-1, 1)), ("minus-half-half", (-0.5, 0.5))]
)
def test_ranges_of_pixels(name, ends):
    black_and_white = np.array([[[[0], [255]]]], np.uint8)
    pixels = Pixels(*NORMALIZATIONS[name].for_channels(1)).normalize(black_and_white)
    np.testing.assert_allclose(np.ravel(pixels), ends, atol=1e-7)


def test_inference_looks_at_each_row_alone():
    parallel = Parallel(jax.devices("cpu"))
    infer = parallel.infer(make_inference_step(MODEL.graph, PIXELS, "float32"))
    state = parallel.replicate(Weights(MODEL.params, MODEL.stats))
    whole = {name: joined(rows) for name, rows in infer(state, parallel.split(batch(0))).items()}
    masked = batch(8, filler=99)
    half = {name: joined(rows) for name, rows in infer(state, parallel.split(masked)).items()}
    assert whole["log_probabilities"].shape == (ROWS, CLASSES)
    np.testing.assert_array_equal(whole["log_probabilities"][:8], half["log_probabilities"][:8])
