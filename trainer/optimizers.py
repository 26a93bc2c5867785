"""Optimizers and learning-rate schedules."""

from typing import Any

import jax
import optax

from trainer.settings import Optimization


def make_schedule(settings: Optimization, steps: int) -> optax.Schedule:
    """The learning rate as a function of the step, 0 to `steps` - 1."""
    rate = settings.learning_rate
    if settings.schedule == "one-cycle":
        return optax.cosine_onecycle_schedule(max(steps, 2), rate)
    if settings.schedule == "cosine":
        return optax.cosine_decay_schedule(rate, steps)
    return optax.constant_schedule(rate)


def make_optimizer(settings: Optimization) -> optax.GradientTransformation:
    """Adam, or AdamW (Loshchilov and Hutter 2019), without its learning rate: `descend` applies that."""
    if settings.optimizer == "adam":
        return optax.scale_by_adam()
    decay = optax.add_decayed_weights(settings.weight_decay, mask=_kernels)
    return optax.chain(optax.scale_by_adam(), decay)


def descend(params: Any, updates: Any, learning_rate: Any) -> Any:
    """One step down: params - learning_rate * updates."""
    return jax.tree.map(lambda param, update: param - learning_rate * update, params, updates)


def _kernels(params: Any) -> Any:
    """True for kernels; biases and the scales of batch normalization are not decayed."""
    return jax.tree.map(lambda param: param.ndim > 1, params)
