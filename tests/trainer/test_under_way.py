from types import SimpleNamespace

import jax.numpy as jnp
import pytest

from trainer.agreement import Stopped
from trainer.input import DeviceBatch
from trainer.under_way import StepsUnderWay


def steps_under_way(ahead):
    recorded = []
    return StepsUnderWay(
        0, (0, 0), ahead, lambda step, batch, figures: recorded.append((step, figures["loss"]))
    ), recorded


def add(steps, step, void=0.0):
    batch = DeviceBatch({}, SimpleNamespace(cursor=(0, step)), asked_at=0, wait_s=0)
    steps.add(step, batch, {"loss": jnp.float32(step / 2), "void": jnp.float32(void)})


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_steps_are_recorded_when_later_ones_are_under_way(ahead):
    steps, recorded = steps_under_way(ahead)
    for step in range(1, 6):
        add(steps, step)
        assert len(recorded) == steps.step == max(0, step - ahead)
    steps.catch_up()
    assert recorded == [(step, step / 2) for step in range(1, 6)]
    assert (steps.step, steps.cursor) == (5, (0, 5))


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_void_step_and_those_after_it_do_not_count(ahead):
    steps, recorded = steps_under_way(ahead)
    add(steps, 1)
    with pytest.raises(Stopped):
        for step in (2, 3):
            add(steps, step, void=2.0)
    steps.catch_up()  # what is still under way is void as well
    assert len(recorded) == 1 and (steps.step, steps.cursor) == (1, (0, 1))
