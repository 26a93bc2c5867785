"""Data parallelism over the devices of all processes: all of `jax.pmap`, its axis and its shardings, and nothing else.

A step is written for one device: it gets the replicated state whole and its own rows of the batch, and meets the other
devices only through `sum_over_devices`, `gather_rows` and `global_rows`. With several processes each calls the same
functions in the same order, and gives and gets what belongs to its own devices. JAX keeps pmap in maintenance: only
this file knows it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from inkstream.command_line import UsageError

AXIS = "devices"


def sum_over_devices(tree: Any) -> Any:
    """The sum of every array of `tree` over all devices, equal on each of them. Only within a step."""
    return jax.lax.psum(tree, AXIS)


def gather_rows(tree: Any) -> Any:
    """The rows of all devices, `[devices, rows, ...]` for each array `[rows, ...]` of `tree`. Only within a step."""
    return jax.lax.all_gather(tree, AXIS)


def global_rows(rows: int) -> jax.Array:
    """Where this device's rows stand in the global batch: int32 `[rows]`. Only within a step."""
    return jax.lax.axis_index(AXIS) * rows + jax.numpy.arange(rows)


class Parallel:
    """Runs steps on several devices at once."""

    def __init__(self, devices: Sequence[jax.Device]):
        """Uses these of this process's devices, in this order: row blocks of its batches go to them in turn.

        Every other process uses those that have the same places among its own.
        """
        self.local_devices = list(devices)
        self.devices = _devices_of_all(self.local_devices)
        mesh = Mesh(np.array(self.local_devices), (AXIS,))
        self._whole = NamedSharding(mesh, PartitionSpec())
        self._by_row = NamedSharding(mesh, PartitionSpec(AXIS))

    @property
    def steps_ahead(self) -> int:
        """How many steps may be under way when another is started.

        On CPU none: the devices share one thread pool, and steps that wait for each other's sums can fill it, which
        ends the process after 40 s (jaxlib 0.10.2, `rendezvous.cc`).
        """
        return 0 if self.devices[0].platform == "cpu" else 1

    def check_batch_size(self, batch_size: int, *, in_pairs: bool = False) -> None:
        """Refuses global batches that do not split evenly.

        Args:
            batch_size: Rows of a global batch.
            in_pairs: Whether rows 2k and 2k + 1 belong on one device.

        Raises:
            UsageError: Names the numbers.
        """
        if batch_size % (len(self.devices) * (2 if in_pairs else 1)):
            count, of = len(self.devices), f" of {jax.process_count()} processes" if jax.process_count() > 1 else ""
            by = f"twice the {count} devices{of}, as --mixup pairs rows" if in_pairs else f"the {count} devices{of}"
            raise UsageError(f"--batch-size must be divisible by {by}, got {batch_size}")

    def replicate(self, tree: Any) -> Any:
        """Puts every array of `tree` on all devices, as process 0 has it: others could differ in the last bits."""
        if jax.process_count() > 1:
            tree = _from_first(tree)
        return jax.device_put(tree, self._whole)

    def split(self, batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
        """Puts each device's rows on it: arrays `[rows, ...]` become `[local devices, rows / local devices, ...]`.

        On CPU the result may share memory with the arrays given, so they must not be written to again.
        """
        count = len(self.local_devices)
        blocks = {name: array.reshape(count, -1, *array.shape[1:]) for name, array in batch.items()}
        return jax.device_put(blocks, self._by_row)  # in one call: one for each array takes nearly twice as long

    def train(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Compiles `step(state, batch, position, rate_scale) -> (state, figures)`; the state given is used up.

        Batches come from `split`, all else is replicated and must come out equal on every device.
        """
        return jax.pmap(
            step,
            axis_name=AXIS,
            devices=self.devices,
            in_axes=(None, 0, None, None),
            out_axes=(None, None),
            donate_argnums=(0,),
        )

    def infer(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Compiles `step(weights, batch) -> rows` with rows from `gather_rows`; `joined` makes one array of them."""
        return jax.pmap(step, axis_name=AXIS, devices=self.devices, in_axes=(None, 0), out_axes=None)


def joined(rows: jax.Array) -> np.ndarray:
    """The rows of all devices, `[devices, rows, ...]`, as one array `[batch, ...]` in host memory."""
    array = np.asarray(rows)
    return array.reshape(-1, *array.shape[2:])


def _devices_of_all(local: list[jax.Device]) -> list[jax.Device]:
    """The devices at the same places of every process, process by process."""
    by_process: dict[int, list[jax.Device]] = {}
    for device in sorted(jax.devices(local[0].platform), key=lambda device: device.id):
        by_process.setdefault(device.process_index, []).append(device)
    places = [by_process[jax.process_index()].index(device) for device in local]
    if len({len(devices) for devices in by_process.values()}) > 1:
        counts = ", ".join(str(len(by_process[process])) for process in sorted(by_process))
        raise UsageError(f"all processes need the same number of devices, they have {counts}: limit them by --devices")
    return [by_process[process][place] for process in sorted(by_process) for place in places]


def _from_first(tree: Any) -> Any:
    """The arrays of process 0, bit for bit: sent as integers, since adding 0 to a float loses the sign of a zero."""
    arrays = jax.tree.map(np.asarray, tree)
    bits = jax.tree.map(lambda array: array.view(f"u{array.itemsize}"), arrays)
    received = multihost_utils.broadcast_one_to_all(bits)
    return jax.tree.map(lambda array, like: np.asarray(array).view(like.dtype), received, arrays)
