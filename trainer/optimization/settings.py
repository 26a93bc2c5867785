"""How a run trains its model: all settings that change what is learnt, checked when constructed.

They are part of every checkpoint, and a run is resumed only with the same ones (`trainer.run`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from trainer.rules import choice, number

OPTIMIZERS = ("adamw", "adam", "sgd", "rmsprop")
SCHEDULES = ("one-cycle", "cosine", "constant", "step", "plateau")
ENDLESS_SCHEDULES = ("constant", "plateau")  # they do not depend on where the run ends
BATCH_RULES = ("linear", "square-root")
COMPUTE_TYPES = ("float32", "bfloat16")
# Figures of an evaluation that can be monitored: whether the highest is best, or the lowest.
MONITORS: Mapping[str, bool] = MappingProxyType(
    {"map3": True, "top1": True, "top3": True, "class_mean": True, "loss": False, "train_loss": False}
)
UNVALIDATED_MONITORS = ("train_loss",)
BALANCED = "balanced"
ALL = "all"


@dataclass(frozen=True)
class Optimization:
    """How the model is trained.

    A step takes one batch, an update of the parameters `accumulate` steps; an epoch's last update takes what is left.

    Args:
        epochs: Passes over the training split, at least 1.
        steps: Where to end, in steps; None at the end of the last epoch. With it `epochs` is not looked at.
        eval_every: Steps between evaluations; None means one at the end of each epoch. The last step is always
            followed by one.
        optimizer: One of `OPTIMIZERS`.
        momentum: Of sgd, 0 to below 1.
        nesterov: Whether sgd's momentum looks ahead.
        learning_rate: The schedule's highest, above 0, for effective batches of `reference_batch`.
        reference_batch: Rows for which `learning_rate` was found; None means it is that of this run's batches.
        batch_rule: How the rate grows with rows over `reference_batch`: with their `linear` ratio or its `square-root`.
        schedule: `one-cycle` (up for 30 % of the updates, then down), `cosine` (down to 0), `constant`, `step` (see
            `milestones`) or `plateau` (constant, times `plateau_factor` whenever `monitor` stays without progress).
        milestones: Shares of the run, rising, above 0 and below 1, at which `step` multiplies the rate.
        milestone_factor: By this, above 0 to below 1.
        plateau_factor: Above 0 to below 1.
        plateau_patience: Evaluations without progress before `plateau` reduces the rate, at least 1.
        warmup: Updates over which the rate first rises linearly to where the schedule begins.
        weight_decay: Of kernels, not of biases and scales; decoupled with adamw, added to the gradient with sgd and
            rmsprop, none with adam. At least 0.
        clip_norm: Longest global norm of a gradient, longer ones are scaled down; None for any.
        accumulate: Steps whose rows are one effective batch, at least 1.
        label_smoothing: Share of the target spread over all classes, 0 to below 1.
        mixup: Both parameters of the beta distribution by which pairs of rows are mixed; 0 mixes nothing.
        ema_decay: Of the moving average of parameters that is evaluated and saved, 0 to below 1; None for no average.
        freeze: How many of the model's stages (`trainer.optimization.depth`), from the first on, keep their parameters
            and statistics, at least 0; `ALL` for all but the head.
        layer_decay: Factor on the learning rate with each stage away from the head, above 0 to 1; 1 for one rate.
        compute: Type of the model's arithmetic; parameters, statistics and losses are always float32.
        class_weights: Pairs of a class and the weight of its rows in the loss, 1 where none is given; or `BALANCED`.
        sample_weights: Digest of the weights of single rows, `trainer.sample_weights.SampleWeights.digest`.
        monitor: A key of `MONITORS`: the figure of evaluations that says which checkpoint is best, and whether there is
            progress.
        min_delta: Progress is to be better than the best so far by more than this, at least 0.
        early_stopping: Evaluations without progress after which the run ends, at least 1; None never.

    Raises:
        ValueError: A setting breaks its rule.
    """

    epochs: int = 8
    steps: int | None = None
    eval_every: int | None = None
    optimizer: str = "adamw"
    momentum: float = 0.9
    nesterov: bool = False
    learning_rate: float = 3e-3
    reference_batch: int | None = None
    batch_rule: str = "linear"
    schedule: str = "one-cycle"
    milestones: tuple[float, ...] = (0.5, 0.75)
    milestone_factor: float = 0.1
    plateau_factor: float = 0.5
    plateau_patience: int = 4
    warmup: int = 0
    weight_decay: float = 1e-4
    clip_norm: float | None = None
    accumulate: int = 1
    label_smoothing: float = 0.1
    mixup: float = 0.0
    ema_decay: float | None = None
    freeze: int | str = 0
    layer_decay: float = 1.0
    compute: str = "float32"
    class_weights: str | tuple[tuple[str, float], ...] = ()
    sample_weights: str | None = None
    monitor: str = "map3"
    min_delta: float = 1e-4
    early_stopping: int | None = None

    def __post_init__(self) -> None:
        choice("optimizer", self.optimizer, OPTIMIZERS)
        choice("schedule", self.schedule, SCHEDULES)
        choice("batch_rule", self.batch_rule, BATCH_RULES)
        choice("compute", self.compute, COMPUTE_TYPES)
        choice("monitor", self.monitor, tuple(MONITORS))
        for name, low, high in (
            ("epochs", 1, 10**6),
            ("steps", 1, 10**9),
            ("eval_every", 1, 10**9),
            ("learning_rate", 1e-9, 100),
            ("reference_batch", 1, 10**9),
            ("plateau_patience", 1, 10**6),
            ("warmup", 0, 10**9),
            ("weight_decay", 0, 10),
            ("clip_norm", 1e-9, 1e9),
            ("accumulate", 1, 10**6),
            ("mixup", 0, 100),
            ("min_delta", 0, 10**6),
            ("early_stopping", 1, 10**6),
            ("layer_decay", 1e-6, 1),
        ):
            if getattr(self, name) is not None:
                number(name, getattr(self, name), low, high)
        for name in ("momentum", "label_smoothing", "ema_decay"):
            if getattr(self, name) is not None:
                number(name, getattr(self, name), 0, 1, below=True)
        for name in ("milestone_factor", "plateau_factor"):
            number(name, getattr(self, name), 1e-6, 1, below=True)
        for milestone in self.milestones:
            number("milestones", milestone, 1e-6, 1, below=True)
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones must rise, got {self.milestones}")
        if self.freeze != ALL and not (isinstance(self.freeze, int) and self.freeze >= 0):
            raise ValueError(f"freeze must be a number of stages from 0, or {ALL}, got {self.freeze!r}")
        if self.class_weights != BALANCED:
            self._check_class_weights()

    def _check_class_weights(self) -> None:
        assert not isinstance(self.class_weights, str)
        for name, weight in self.class_weights:
            number(f"class_weights of {name!r}", weight, 0, 1e6)
        names = [name for name, _ in self.class_weights]
        if len(names) > len(set(names)):
            raise ValueError(f"class_weights must name each class once, got {', '.join(names)}")

    @property
    def needs_monitor(self) -> bool:
        """Whether the monitored figure changes what is learnt."""
        return self.schedule == "plateau" or self.early_stopping is not None

    def rate(self, batch_size: int) -> float:
        """The schedule's highest learning rate for batches of `batch_size` rows, by `reference_batch`."""
        if self.reference_batch is None:
            return self.learning_rate
        ratio = batch_size * self.accumulate / self.reference_batch
        return self.learning_rate * (ratio if self.batch_rule == "linear" else ratio**0.5)


@dataclass(frozen=True)
class Cadence:
    """Which checkpoints are written, besides one after every evaluation, and which are kept besides the best and last.

    Args:
        every_steps: After so many steps, at least 1; None never.
        every_minutes: When so many minutes have passed since the last one, above 0; None never.
        keep_every: Keeps that of every n-th evaluation, at least 1; None none.

    Raises:
        ValueError: A setting breaks its rule.
    """

    every_steps: int | None = None
    every_minutes: float | None = 10.0
    keep_every: int | None = None

    def __post_init__(self) -> None:
        if self.every_steps is not None:
            number("checkpoint_every_steps", self.every_steps, 1, 10**9)
        if self.every_minutes is not None:
            number("checkpoint_every_minutes", self.every_minutes, 1e-6, 10**6)
        if self.keep_every is not None:
            number("keep_every", self.keep_every, 1, 10**9)
