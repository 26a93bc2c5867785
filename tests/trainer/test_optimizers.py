import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trainer.optimization.optimizers import make_optimizer, make_schedule
from trainer.optimization.settings import ENDLESS_SCHEDULES, OPTIMIZERS, SCHEDULES, Optimization

PARAMS = {"kernel": np.ones((2, 2), np.float32), "bias": np.ones(2, np.float32)}


def like(gradient):
    return jax.tree.map(lambda leaf: jnp.full_like(leaf, gradient), PARAMS)


def directions(settings, *gradients):
    """What an optimizer makes of gradients, one after the other."""
    optimizer = make_optimizer(settings)
    slots, made = optimizer.init(PARAMS), []
    for gradient in gradients:
        found, slots = optimizer.update(like(gradient), slots, PARAMS)
        made.append(found)
    return made


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_pulls_kernels_only(name):
    (updates,) = directions(Optimization(optimizer=name, weight_decay=0.5), 0.0)
    assert (updates["kernel"] > 0).all() == (name != "adam")
    np.testing.assert_array_equal(updates["bias"], 0)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_the_published_momentum(nesterov):
    settings = Optimization(optimizer="sgd", momentum=0.5, nesterov=nesterov, weight_decay=0.0)
    velocity = 0.0
    for found, gradient in zip(directions(settings, 1.0, -2.0, 4.0), (1.0, -2.0, 4.0), strict=True):
        velocity = 0.5 * velocity + gradient
        np.testing.assert_allclose(found["bias"], 0.5 * velocity + gradient if nesterov else velocity)


def test_rmsprop_divides_by_the_root_of_the_mean_square():
    settings = Optimization(optimizer="rmsprop", weight_decay=0.0)
    square = 0.0
    for found, gradient in zip(directions(settings, 1.0, -2.0), (1.0, -2.0), strict=True):
        square = 0.9 * square + 0.1 * gradient**2
        np.testing.assert_allclose(found["bias"], gradient / np.sqrt(square), rtol=1e-5)


def test_a_long_gradient_is_scaled_down_and_a_short_one_is_not():
    settings = Optimization(optimizer="sgd", momentum=0.0, weight_decay=0.0, clip_norm=3.0)
    short, long = directions(settings, 1.0, 2.0)
    np.testing.assert_allclose(short["kernel"], 1.0)
    np.testing.assert_allclose(long["kernel"], 3 / np.sqrt(6), rtol=1e-6)


def rates(updates=40, **settings):
    schedule = make_schedule(Optimization(**settings), 0.5, updates)
    return np.array(jax.jit(jax.vmap(schedule))(jnp.arange(updates)))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_peak_at_the_learning_rate(schedule):
    found = rates(schedule=schedule)
    assert found.max() == pytest.approx(0.5, rel=0.02)
    assert (found[-1] < 0.01) == (schedule not in ENDLESS_SCHEDULES)
    assert (found[0] < 0.1) == (schedule == "one-cycle")


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_warm_up_rises_in_equal_steps_to_where_the_schedule_begins(schedule):
    without, with_it = rates(30, schedule=schedule), rates(40, schedule=schedule, warmup=10)
    np.testing.assert_allclose(with_it[10:], without, rtol=1e-6)
    np.testing.assert_allclose(with_it[:10], without[0] * np.arange(1, 11) / 11, rtol=1e-5)


def test_steps_fall_at_their_shares_of_the_run():
    found = rates(20, schedule="step", milestones=(0.25, 0.5), milestone_factor=0.5)
    np.testing.assert_allclose(found, [0.5] * 5 + [0.25] * 5 + [0.125] * 10)


def test_the_rate_follows_the_rows_of_an_update():
    assert Optimization(learning_rate=0.1).rate(64) == 0.1
    assert Optimization(learning_rate=0.1, reference_batch=32).rate(64) == pytest.approx(0.2)
    square = Optimization(learning_rate=0.1, reference_batch=32, batch_rule="square-root", accumulate=2)
    assert square.rate(64) == pytest.approx(0.2)
