"""Mixup (Zhang et al. 2018): a row is trained on as a mean of itself and its neighbour, picture and target alike."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from trainer.models.layers import TrainingRows

_NAME = 0x6D6978  # told apart from a model's dropouts, which fold in the numbers of their layers


def mixing(rows: TrainingRows, alpha: float) -> Callable[[jax.Array], jax.Array]:
    """The function that mixes an array `[rows, ...]` of a device's rows.

    Rows 2k and 2k + 1 of the global batch are partners, so a device must hold an even number of rows. A pair's share
    is drawn from Beta(alpha, alpha) by the key of its even row; each row keeps the larger part of itself, so that its
    own label is the main one (the pair is the same either way). A pair with a row that does not count stays as it is.

    Args:
        rows: Mask and keys of the rows.
        alpha: 0 mixes nothing.
    """
    if alpha == 0:
        return lambda values: values
    assert len(rows.mask) % 2 == 0
    shares = jax.vmap(lambda key: jax.random.beta(jax.random.fold_in(key, _NAME), alpha, alpha))(rows.keys[::2])
    own = jnp.repeat(jnp.maximum(shares, 1 - shares), 2)
    own = jnp.where(rows.mask * _partners(rows.mask) > 0, own, 1)  # else padding would get some of a target

    def mixed(values: jax.Array) -> jax.Array:
        share = own.reshape(-1, *[1] * (values.ndim - 1))
        return share * values + (1 - share) * _partners(values)

    return mixed


def _partners(values: jax.Array) -> jax.Array:
    """Each row's partner in its place."""
    return values.reshape(-1, 2, *values.shape[1:])[:, ::-1].reshape(values.shape)
