"""What the evaluations of a run mean for its learning rate and its end: plateaus and early stopping."""

import math
from dataclasses import dataclass, replace

from trainer.optimization.settings import MONITORS, Optimization


@dataclass(frozen=True)
class Patience:
    """Where a run stands after an evaluation; part of every checkpoint.

    Args:
        step: Steps done at the last evaluation, 0 before the first.
        best: The monitored figure at its best.
        plateau_waited: Evaluations without progress since then, or since the learning rate was reduced.
        stopping_waited: Evaluations without progress since then.
        rate_scale: Product of all reductions of the learning rate.
    """

    step: int = 0
    best: float | None = None
    plateau_waited: int = 0
    stopping_waited: int = 0
    rate_scale: float = 1.0

    def after(self, settings: Optimization, step: int, figure: float | None) -> "Patience":
        """After another evaluation, as Keras' `ReduceLROnPlateau` and `EarlyStopping` count.

        Args:
            settings: Of the run.
            step: Steps done.
            figure: The monitored one; None where it was not measured.
        """
        if figure is None:
            return replace(self, step=step)
        if self.best is None or self._is_progress(settings, figure):
            return Patience(step, figure, 0, 0, self.rate_scale)
        waited = replace(
            self, step=step, plateau_waited=self.plateau_waited + 1, stopping_waited=self.stopping_waited + 1
        )
        if settings.schedule == "plateau" and waited.plateau_waited >= settings.plateau_patience:
            return replace(waited, plateau_waited=0, rate_scale=self.rate_scale * settings.plateau_factor)
        return waited

    def exhausted(self, settings: Optimization) -> bool:
        """Whether early stopping ends the run."""
        return settings.early_stopping is not None and self.stopping_waited >= settings.early_stopping

    def _is_progress(self, settings: Optimization, figure: float) -> bool:
        assert self.best is not None
        if math.isnan(self.best):
            return not math.isnan(figure)
        gain = figure - self.best if MONITORS[settings.monitor] else self.best - figure
        return gain > settings.min_delta
