"""Layers that look at rows: batch normalization over the valid rows of all devices, and what is dropped at random.

Rows of padding have mask 0. They must leave no trace in what training learns, and nothing random may depend on which
device computes a row; Flax's own layers do neither.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from trainer.parallel import sum_over_devices


class TrainingRows(NamedTuple):
    """What layers need to know of a device's rows while training.

    Args:
        mask: float32 `[rows]`, 1 for samples, 0 for padding.
        keys: Random keys `[rows]`, one per row, the same wherever the row is computed.
    """

    mask: jax.Array
    keys: jax.Array


class MaskedBatchNorm(nnx.Module):
    """Batch normalization (Ioffe and Szegedy 2015) with the statistics of all devices' rows of mask 1.

    Running statistics are exponential averages with the biased variance, as in Keras and Flax.
    """

    def __init__(self, channels: int, *, momentum: float, epsilon: float):
        """Normalizes the last axis of `[rows, height, width, channels]`."""
        self.scale = nnx.Param(jnp.ones(channels))
        self.bias = nnx.Param(jnp.zeros(channels))
        self.mean = nnx.BatchStat(jnp.zeros(channels))
        self.var = nnx.BatchStat(jnp.ones(channels))
        self.momentum = momentum
        self.epsilon = epsilon

    def __call__(self, x: jax.Array, training: TrainingRows | None) -> jax.Array:
        """Normalizes by the batch while training, by the running statistics otherwise."""
        if training is None:
            mean, var = self.mean[...], self.var[...]
        else:
            mean, var = masked_moments(x, training.mask)
            self.mean[...] = self.momentum * self.mean[...] + (1 - self.momentum) * mean
            self.var[...] = self.momentum * self.var[...] + (1 - self.momentum) * var
        factor = self.scale[...] * jax.lax.rsqrt(var + self.epsilon)
        return (x * factor + (self.bias[...] - mean * factor)).astype(x.dtype)


def masked_moments(x: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance of each channel over the rows of mask 1 on all devices, in float32.

    Args:
        x: `[rows, height, width, channels]`.
        mask: float32 `[rows]`.

    Returns:
        Two arrays `[channels]`; zeros where no row is valid.
    """
    x = x.astype(jnp.float32)
    pixels = x.shape[1] * x.shape[2]
    sums = (mask.sum() * pixels, mask @ x.sum((1, 2)), mask @ jnp.square(x).sum((1, 2)))
    count, total, squares = sum_over_devices(sums)
    count = jnp.maximum(count, 1)
    mean = total / count
    return mean, jnp.maximum(squares / count - jnp.square(mean), 0)


FIRST_LAYER_OF_STAGES = 100  # numbers of layers that drop something: those of the head are below


class RowDropout(nnx.Module):
    """Dropout (Srivastava et al. 2014) with a random key per row, so that it does not depend on the devices."""

    def __init__(self, rate: float, *, layer: int):
        """Drops elements with probability `rate`, 0 to below 1; `layer` tells a model's dropouts apart."""
        self.rate = rate
        self.layer = layer

    def __call__(self, x: jax.Array, training: TrainingRows | None) -> jax.Array:
        """Drops elements of `[rows, ...]` and scales up the rest while training; otherwise returns `x`."""
        if training is None or self.rate == 0:
            return x

        def kept(key: jax.Array) -> jax.Array:
            return jax.random.bernoulli(jax.random.fold_in(key, self.layer), 1 - self.rate, x.shape[1:])

        return jnp.where(jax.vmap(kept)(training.keys), x / (1 - self.rate), 0)


class RowDepth(nnx.Module):
    """Stochastic depth (Huang et al. 2016, arXiv 1603.09382), with a random key per row."""

    def __init__(self, rate: float, *, layer: int):
        """Drops a row's whole residual with probability `rate`; `layer` is told apart from those of `RowDropout`."""
        self.rate = rate
        self.layer = layer

    def __call__(self, x: jax.Array, training: TrainingRows | None) -> jax.Array:
        """Zeroes rows of the residual `[rows, ...]` and scales up the others while training; otherwise returns `x`."""
        if training is None or self.rate == 0:
            return x

        def kept(key: jax.Array) -> jax.Array:
            return jax.random.bernoulli(jax.random.fold_in(key, self.layer), 1 - self.rate)

        rows = jax.vmap(kept)(training.keys).reshape(-1, *(1,) * (x.ndim - 1))
        return jnp.where(rows, x / (1 - self.rate), 0)
