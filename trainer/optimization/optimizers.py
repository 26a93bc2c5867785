"""Optimizers and learning-rate schedules."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from trainer.optimization.settings import Optimization


def make_optimizer(settings: Optimization) -> optax.GradientTransformation:
    """Gradients in, directions to go against out: without the learning rate, which `descend` applies.

    SGD with momentum (Sutskever et al. 2013), Adam (Kingma and Ba 2015), AdamW (Loshchilov and Hutter 2019) or RMSprop
    (Hinton 2012, decay 0.9).
    """
    decay = optax.add_decayed_weights(settings.weight_decay, mask=_kernels)
    clip = optax.identity() if settings.clip_norm is None else optax.clip_by_global_norm(settings.clip_norm)
    if settings.optimizer == "sgd":
        return optax.chain(clip, decay, optax.trace(settings.momentum, settings.nesterov))
    if settings.optimizer == "rmsprop":
        return optax.chain(clip, decay, optax.scale_by_rms(decay=0.9))
    if settings.optimizer == "adam":
        return optax.chain(clip, optax.scale_by_adam())
    return optax.chain(clip, optax.scale_by_adam(), decay)


def make_schedule(settings: Optimization, rate: float, updates: int) -> optax.Schedule:
    """The learning rate as a function of the update, 0 to `updates` - 1.

    Args:
        settings: Of the run.
        rate: The highest.
        updates: Of the whole run, those of the warm-up among them.
    """
    rest = max(updates - settings.warmup, 1)
    if settings.schedule == "one-cycle":
        schedule = optax.cosine_onecycle_schedule(max(rest, 2), rate)
    elif settings.schedule == "cosine":
        schedule = optax.cosine_decay_schedule(rate, rest)
    elif settings.schedule == "step":
        schedule = _falling(rate, [round(share * rest) for share in settings.milestones], settings.milestone_factor)
    else:
        schedule = optax.constant_schedule(rate)
    if not settings.warmup:
        return schedule
    begin = schedule(0)
    rise = optax.linear_schedule(begin / (settings.warmup + 1), begin, settings.warmup)
    return optax.join_schedules([rise, schedule], [settings.warmup])


def _falling(rate: float, milestones: list[int], factor: float) -> optax.Schedule:
    return lambda update: rate * factor ** sum(jnp.asarray(update >= milestone, int) for milestone in milestones)


def descend(params: Any, updates: Any, learning_rate: Any, factors: Any) -> Any:
    """One step down, params - learning_rate * factors * updates; `factors` are floats, in a tree like `params`."""
    return jax.tree.map(lambda param, update, factor: param - learning_rate * factor * update, params, updates, factors)


def _kernels(params: Any) -> Any:
    """True for kernels; biases and the scales of batch normalization are not decayed."""
    return jax.tree.map(lambda param: param.ndim > 1, params)
