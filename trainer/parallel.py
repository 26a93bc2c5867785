"""Data parallelism over the local devices: all of `jax.pmap`, its axis and its shardings, and nothing else.

A step is written for one device: it gets the replicated state whole and its own rows of the batch, and meets the other
devices only through `sum_over_devices` and `global_rows`. JAX keeps pmap in maintenance: only this file knows it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from inkstream.command_line import UsageError

AXIS = "devices"


def sum_over_devices(tree: Any) -> Any:
    """The sum of every array of `tree` over all devices, equal on each of them. Only within a step."""
    return jax.lax.psum(tree, AXIS)


def global_rows(rows: int) -> jax.Array:
    """Where this device's rows stand in the global batch: int32 `[rows]`. Only within a step."""
    return jax.lax.axis_index(AXIS) * rows + jax.numpy.arange(rows)


class Parallel:
    """Runs steps on several devices at once."""

    def __init__(self, devices: Sequence[jax.Device]):
        """Uses `devices`, in this order: row blocks of a batch go to them in turn."""
        self.devices = list(devices)
        mesh = Mesh(np.array(self.devices), (AXIS,))
        self._whole = NamedSharding(mesh, PartitionSpec())
        self._by_row = NamedSharding(mesh, PartitionSpec(AXIS))

    @property
    def steps_ahead(self) -> int:
        """How many steps may be under way when another is started.

        On CPU none: the devices share one thread pool, and steps that wait for each other's sums can fill it, which
        ends the process after 40 s (jaxlib 0.10.2, `rendezvous.cc`).
        """
        return 0 if self.devices[0].platform == "cpu" else 1

    def check_batch_size(self, batch_size: int) -> None:
        """Refuses batches that do not split evenly.

        Raises:
            UsageError: Names both numbers.
        """
        if batch_size % len(self.devices):
            count = len(self.devices)
            raise UsageError(f"--batch-size must be divisible by the {count} devices, got {batch_size}")

    def replicate(self, tree: Any) -> Any:
        """Puts every array of `tree` on all devices."""
        return jax.device_put(tree, self._whole)

    def split(self, batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
        """Puts each device's rows on it: arrays `[batch, ...]` become `[devices, batch / devices, ...]`.

        On CPU the result may share memory with the arrays given, so they must not be written to again.
        """
        count = len(self.devices)
        blocks = {name: array.reshape(count, -1, *array.shape[1:]) for name, array in batch.items()}
        return {name: jax.device_put(array, self._by_row) for name, array in blocks.items()}

    def train(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Compiles `step(state, batch, position) -> (state, figures)`; the state given is used up.

        Batches come from `split`, all else is replicated and must come out equal on every device.
        """
        return jax.pmap(
            step,
            axis_name=AXIS,
            devices=self.devices,
            in_axes=(None, 0, None),
            out_axes=(None, None),
            donate_argnums=(0,),
        )

    def infer(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Compiles `step(state, batch) -> rows`: arrays `[devices, batch / devices, ...]`; `joined` makes them one."""
        return jax.pmap(step, axis_name=AXIS, devices=self.devices, in_axes=(None, 0), out_axes=0)


def joined(rows: jax.Array) -> np.ndarray:
    """The rows of all devices as one array `[batch, ...]` in host memory."""
    array = np.asarray(rows)
    return array.reshape(-1, *array.shape[2:])
