from trainer.optimization.patience import Patience
from trainer.optimization.settings import Optimization


def after(settings, *figures):
    """What a run's patience is after each evaluation."""
    patience, seen = Patience(), []
    for step, figure in enumerate(figures, start=1):
        patience = patience.after(settings, step, figure)
        seen.append(patience)
    return seen


def test_a_plateau_reduces_the_rate_and_waits_anew():
    settings = Optimization(schedule="plateau", plateau_patience=2, plateau_factor=0.5, min_delta=0.01)
    seen = after(settings, 0.5, 0.505, 0.4, 0.5, 0.5, 0.6, 0.6, 0.6)
    assert [each.rate_scale for each in seen] == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]
    assert [each.best for each in seen] == [0.5] * 5 + [0.6] * 3


def test_the_rate_stays_with_another_schedule():
    assert after(Optimization(), *[0.5] * 20)[-1].rate_scale == 1


def test_early_stopping_counts_evaluations_without_progress():
    settings = Optimization(early_stopping=3, monitor="loss", schedule="plateau", plateau_patience=1)
    seen = after(settings, 2.0, 1.0, 1.0, 1.5, 0.5, 0.6, 0.6, 0.49995)
    assert [each.exhausted(settings) for each in seen] == [False] * 7 + [True]
    assert not seen[-1].exhausted(Optimization())


def test_what_is_not_a_number_is_no_progress_and_any_number_is_after_it():
    settings = Optimization(monitor="loss", schedule="plateau", plateau_patience=2, early_stopping=3)
    seen = after(settings, float("nan"), float("nan"), float("nan"), 2.0, float("nan"), 2.0, 2.0)
    assert [each.rate_scale for each in seen] == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert [each.exhausted(settings) for each in seen] == [False] * 6 + [True]


def test_a_figure_that_was_not_measured_changes_nothing():
    settings = Optimization(early_stopping=1)
    assert after(settings, 0.5, None)[-1] == Patience(step=2, best=0.5)
