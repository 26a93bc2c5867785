import numpy as np
import pytest

from trainer.learning_rate.range_test import Curve, Rise, suggestion


def curve(loss, rise):
    """What comes of losses that are a function of the rate."""
    made = Curve()
    for update in range(rise.updates):
        rate = rise.low * rise.factor(update)
        made.add(rate, loss(rate))
        if made.diverged:
            break
    return made


def valley(rate):
    """Flat at 3, steepest at 0.01, lowest at 0.1, beyond all bounds above 1."""
    return 3 - 2 / (1 + (0.01 / rate) ** 2) + (rate / 0.4) ** 3


def test_the_rate_rises_by_one_factor_from_the_first_to_the_last():
    rise = Rise(1e-4, 1.0, updates=41)
    rates = np.array([rise.low * rise.factor(update) for update in range(41)])
    assert rates[[0, -1]] == pytest.approx([1e-4, 1.0])
    np.testing.assert_allclose(rates[1:] / rates[:-1], 10**0.1)


def test_a_tenth_of_the_rate_with_the_lowest_loss_is_suggested_and_the_test_ends_when_it_diverges():
    rise = Rise(1e-5, 100.0, updates=1400)  # so many that smoothing does not lag behind
    found = curve(valley, rise)
    assert len(found.points) < rise.updates and found.diverged and not curve(valley, Rise(1e-5, 0.3, 100)).diverged
    suggested = suggestion(found.points)
    rates = np.geomspace(1e-3, 1, 10_000)
    best = rates[valley(rates).argmin()]
    assert suggested.lowest == pytest.approx(best, rel=0.15)
    assert suggested.rate == pytest.approx(suggested.lowest / 10, rel=0.05)
    assert suggested.steepest == pytest.approx(0.01, rel=0.4)


def test_the_first_losses_are_not_drawn_to_zero_by_smoothing():
    made = Curve()
    for _ in range(3):
        made.add(0.1, 5.0)
    assert [point.smoothed for point in made.points] == pytest.approx([5.0] * 3)


@pytest.mark.parametrize(
    "loss", [lambda rate: 3 - rate, lambda rate: 3 + rate, lambda rate: 3 + 0.2 * np.cos(9 * rate)]
)
def test_losses_that_only_fall_or_only_rise_or_stay_say_nothing(loss):
    assert suggestion(curve(loss, Rise(1e-3, 1.0, 50)).points) is None


@pytest.mark.parametrize("values", [{"low": 1.0, "high": 0.1}, {"updates": 5}, {"low": 0.0}, {"high": float("inf")}])
def test_a_range_that_makes_no_sense_is_refused(values):
    with pytest.raises(ValueError, match=r"must be .*, got "):
        Rise(**values)
