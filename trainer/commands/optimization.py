"""Options that say how a model is trained and when it is evaluated, and what they mean as settings."""

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inkstream.command_line import UsageError
from trainer.commands.arguments import Options
from trainer.commands.checking import checked
from trainer.optimization.settings import (
    ALL,
    BALANCED,
    BATCH_RULES,
    COMPUTE_TYPES,
    MONITORS,
    OPTIMIZERS,
    SCHEDULES,
    Cadence,
    Optimization,
)
from trainer.sample_weights import SampleWeights

_DEFAULTS = Optimization()


def add_optimization(parser: Options) -> None:
    """How it is trained: an option for each setting of `Optimization`, of the same name."""
    end = parser.add_argument_group("end and evaluation")
    _add(end, "epochs", int, "where to end, also with --resume")
    _add(end, "steps", int, "where to end, in steps instead of epochs", metavar="N")
    _add(end, "eval_every", int, "evaluate after every N steps; after each epoch if not given", metavar="N")
    monitor = "the figure by which a checkpoint is best and by which plateau and early stopping see progress"
    _add(end, "monitor", str, f"{monitor}; losses are best when low, all others when high", choices=tuple(MONITORS))
    _add(end, "min_delta", float, "what is not better by more than this is no progress")
    _add(
        end, "early_stopping", int, "end after N evaluations without progress; 8 if N is left out", metavar="N", const=8
    )

    group = parser.add_argument_group("optimizer", "An update follows every --accumulate batches.")
    _add(group, "optimizer", str, "what makes an update of gradients", choices=OPTIMIZERS)
    _add(group, "momentum", float, "of sgd")
    group.add_argument(
        "--nesterov", action=argparse.BooleanOptionalAction, default=False, help="let sgd's momentum look ahead"
    )
    _add(group, "weight_decay", float, "of kernels: decoupled with adamw, in the gradient with sgd and rmsprop")
    _add(group, "clip_norm", float, "scale down gradients with a longer global norm", metavar="NORM")
    _add(group, "accumulate", int, "batches whose rows make one update, as one batch of them all would", metavar="N")
    frozen = "stages, from the first on, that keep their weights, as `trainer models` counts them; all but the head"
    _add(group, "freeze", _freeze, f"{frozen} if {ALL}", metavar=f"N|{ALL}")
    _add(group, "layer_decay", float, "factor on the learning rate with each stage away from the head", metavar="D")
    _add(group, "ema_decay", float, "evaluate and save a moving average of the parameters, such as 0.999", metavar="D")
    _add(
        group,
        "compute",
        str,
        "type of the model's arithmetic; parameters and losses stay float32",
        choices=COMPUTE_TYPES,
    )

    rate = parser.add_argument_group("learning rate")
    _add(rate, "learning_rate", float, "the schedule's highest")
    _add(rate, "reference_batch", int, "rows of an update for which it was found; this run's if not given", metavar="N")
    _add(rate, "batch_rule", str, "how the rate grows with rows over --reference-batch", choices=BATCH_RULES)
    what = "one-cycle and cosine end at 0, step falls at --milestones, plateau when there is no progress"
    _add(rate, "schedule", str, what, choices=SCHEDULES)
    _add(rate, "warmup", int, "updates over which the rate first rises to where the schedule begins", metavar="N")
    _add(rate, "milestones", float, "shares of the run at which step multiplies the rate", nargs="+", metavar="SHARE")
    _add(rate, "milestone_factor", float, "by this")
    _add(rate, "plateau_patience", int, "evaluations without progress before plateau multiplies the rate", metavar="N")
    _add(rate, "plateau_factor", float, "by this")

    loss = parser.add_argument_group("loss", "A mean over all rows of an update, by their weights.")
    _add(loss, "label_smoothing", float, "share of the target that is spread over all classes")
    _add(loss, "mixup", float, "mix pairs of rows by shares from Beta(A, A); 0 for none", metavar="A")
    loss.add_argument(
        "--class-weights",
        nargs="+",
        default=[],
        metavar="CLASS=WEIGHT",
        help=f"weights of classes, 1 where none is given; or {BALANCED}, by their counts in the whole dataset",
    )
    loss.add_argument(
        "--sample-weights",
        type=Path,
        metavar="FILE.csv",
        help="weights of single samples, 1 where none is given; columns key_id and weight",
    )


def optimization(options: argparse.Namespace) -> tuple[Optimization, SampleWeights | None]:
    """What `add_optimization` declared, and the weights of samples that it names.

    Raises:
        UsageError: A setting breaks its rule, or the file of weights cannot be read.
    """
    samples = SampleWeights.load(options.sample_weights) if options.sample_weights is not None else None
    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(Optimization)}
    given |= {
        "milestones": tuple(options.milestones),
        "class_weights": _class_weights(options.class_weights),
        "sample_weights": samples.digest if samples is not None else None,
    }
    return checked(lambda: Optimization(**given)), samples


def add_cadence(parser: Options) -> None:
    """How often checkpoints are written, and which are kept."""
    group = parser.add_argument_group(
        "checkpoints", "One is written after each evaluation, and besides as said here. The last two and the best stay."
    )
    group.add_argument("--checkpoint-every-steps", type=int, metavar="N", help="after every N steps")
    group.add_argument(
        "--checkpoint-every-minutes",
        type=float,
        default=Cadence.every_minutes,
        metavar="MINUTES",
        help="when the last one is so old",
    )
    group.add_argument(
        "--keep-every", type=int, metavar="N", help="keep that of every N-th evaluation too; 1 keeps all"
    )


def cadence(options: argparse.Namespace) -> Cadence:
    """What `add_cadence` declared."""
    return checked(
        lambda: Cadence(options.checkpoint_every_steps, options.checkpoint_every_minutes, options.keep_every)
    )


def _freeze(word: str) -> int | str:
    """`all` or a number of stages."""
    if word != ALL and not word.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a number of stages or {ALL}, got {word!r}")
    return word if word == ALL else int(word)


def _add(group: Options, name: str, kind: Callable[[str], Any], text: str, **more: Any) -> None:
    """An option for a setting; with `const`, its value may be left out."""
    if "const" in more:
        more["nargs"] = "?"
    group.add_argument(f"--{name.replace('_', '-')}", type=kind, default=getattr(_DEFAULTS, name), help=text, **more)


def _class_weights(words: list[str]) -> str | tuple[tuple[str, float], ...]:
    """`CLASS=WEIGHT` as pairs."""
    if words == [BALANCED]:
        return BALANCED
    pairs = []
    for word in words:
        name, _, weight = word.rpartition("=")
        try:
            pairs.append((name, float(weight)))
        except ValueError:
            raise UsageError(f"--class-weights must be {BALANCED}, or pairs such as cat=2, got {word!r}") from None
    return tuple(pairs)
