"""Random keys that follow from the seed and the position alone, never from a device."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from trainer.parallel import global_rows


class Position(NamedTuple):
    """Where in the run a step stands: its epoch, and its step within the epoch."""

    epoch: int
    step: int


def seed_key(seed: int) -> jax.Array:
    """A key from all 64 bits of `seed`, 0 to 2**64 - 1 (`jax.random.key` keeps only 32)."""
    return jax.random.wrap_key_data(jnp.array([seed >> 32, seed & 0xFFFFFFFF], jnp.uint32))


def row_keys(seed: int, position: Position, rows: int) -> jax.Array:
    """A key for each of this device's rows, from (seed, epoch, step, row of the global batch). Only within a step."""
    key = jax.random.fold_in(jax.random.fold_in(seed_key(seed), position.epoch), position.step)
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, global_rows(rows))
