"""Checkpoints: all that a run needs to go on and a user needs to use the model, in one atomic save (Orbax).

A checkpoint has three items: `model` (the parameters and running statistics that are to be used), `training` (all else
that a training needs to go on), and `record`, a JSON object with the position and everything that describes the model
(`trainer.run`). Its number is the count of steps done.
"""

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from inkstream.command_line import Failure
from trainer.optimization.settings import Cadence
from trainer.optimization.timetable import Timetable
from trainer.optimization.updates import TrainState, Weights
from trainer.records.not_finite import NotFinite

NEWEST_KEPT = 2  # the last but one, in case the newest turns out to be unreadable
_UNFINISHED = "*.orbax-checkpoint-tmp*"


class Checkpoints:
    """The checkpoints in one folder."""

    def __init__(self, folder: Path):
        """Opens a folder, which need not exist: then it holds none, and only `prepare` makes saving possible."""
        logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax reports each save at length
        self._folder = folder
        self._manager = self._open() if folder.is_dir() else None

    @property
    def folder(self) -> Path:
        """Holds a folder for each, named by its number."""
        return self._folder

    def prepare(self) -> None:
        """Creates the folder, or removes what a killed save has left in it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for leftover in self._folder.glob(_UNFINISHED):
            shutil.rmtree(leftover)
        self._manager = self._manager or self._open()

    def clear(self) -> None:
        """Deletes all of them."""
        for step in self.steps():
            assert self._manager is not None
            self._manager.delete(step)

    def steps(self) -> list[int]:
        """The numbers of all whole checkpoints, in rising order."""
        return sorted(self._manager.all_steps()) if self._manager is not None else []

    def newest(self) -> int:
        """The highest number; 0, which no checkpoint has, where there is none."""
        return max(self.steps(), default=0)

    def save(self, step: int, state: TrainState, record: dict[str, Any]) -> None:
        """Writes a checkpoint; it exists whole when this returns, and not at all if the process dies before.

        Args:
            step: Its number, above all others.
            state: Replicated on the devices.
            record: What JSON can hold.

        Raises:
            NotFinite: A number of the state is not finite.
        """
        host = jax.tree.map(np.array, state)  # copies: a view would keep the devices from reusing the memory
        _check_finite(host, step)
        self._write(step, host.evaluated, record, training=ocp.args.StandardSave(_training(host)))

    def save_model(self, step: int, weights: Weights, record: dict[str, Any]) -> None:
        """Writes a checkpoint of a model that is not trained on, NumPy arrays; otherwise as `save`."""
        self._write(step, weights, record)

    def prune(self, kept: Callable[[int], bool]) -> None:
        """Deletes all but the newest two and those whose numbers are to be `kept`."""
        assert self._manager is not None
        for step in self.steps()[:-NEWEST_KEPT]:
            if not kept(step):
                self._manager.delete(step)

    def record(self, step: int) -> dict[str, Any]:
        """The record of a checkpoint.

        Raises:
            Failure: It is damaged.
        """
        return self._restore(step, record=ocp.args.JsonRestore())["record"]

    def weights(self, step: int, like: Weights) -> Weights:
        """The weights of a checkpoint that are to be used, as NumPy arrays.

        Args:
            step: Its number.
            like: Weights with the same names and shapes (`jax.ShapeDtypeStruct` will do).

        Raises:
            Failure: The checkpoint holds other arrays, or is damaged.
        """
        self._check_names(step, "model", like._asdict())
        restore = ocp.args.StandardRestore(jax.tree.map(_as_host, like._asdict()))
        return Weights(**self._restore(step, model=restore)["model"])

    def state(self, step: int, like: TrainState) -> TrainState:
        """The state of a checkpoint, as NumPy arrays; as `weights` otherwise."""
        evaluated = self.weights(step, like.evaluated)
        restore = ocp.args.StandardRestore(jax.tree.map(_as_host, _training(like)))
        found = self._restore(step, training=restore)["training"]
        weights = Weights(**found["weights"]) if like.average is not None else evaluated
        average = evaluated if like.average is not None else None
        return TrainState(weights, found["slots"], found.get("gathered"), average)

    def _write(self, step: int, weights: Weights, record: dict[str, Any], **more: Any) -> None:
        assert self._manager is not None and step > self.newest()
        model = ocp.args.StandardSave(weights._asdict())
        self._manager.save(step, args=ocp.args.Composite(model=model, record=ocp.args.JsonSave(record), **more))

    def _open(self) -> ocp.CheckpointManager:
        # Saved in the foreground: it takes tenths of a second, and the state does not change meanwhile.
        # Of several processes only one works with a run's folder: Orbax must not wait for the others.
        this = jax.process_index()
        options = ocp.CheckpointManagerOptions(
            create=False,  # the folder exists; Orbax would have all processes meet over it
            enable_async_checkpointing=False,
            multiprocessing_options=ocp.options.MultiprocessingOptions(primary_host=this, active_processes={this}),
        )
        handlers = {
            "model": ocp.StandardCheckpointHandler(),
            "training": ocp.StandardCheckpointHandler(),
            "record": ocp.JsonCheckpointHandler(),
        }
        return ocp.CheckpointManager(self._folder.resolve(), options=options, item_handlers=handlers)

    def _restore(self, step: int, **items: Any) -> Any:
        assert self._manager is not None
        with self._reading(step):
            return self._manager.restore(step, args=ocp.args.Composite(**items))

    @contextmanager
    def _reading(self, step: int) -> Iterator[None]:
        """Tells what Orbax and TensorStore raise for files that are gone or damaged."""
        try:
            yield
        except (OSError, ValueError, LookupError) as error:
            why = str(error).partition("\n")[0]
            raise Failure(
                f"checkpoint {step} in {self._folder} cannot be read: {why}. Delete its folder to use the one before it"
            ) from error

    def _check_names(self, step: int, item: str, wanted: Any) -> None:
        """Orbax's own complaint about a tree that does not fit cannot be read."""
        assert self._manager is not None
        with self._reading(step):
            saved = {_name(path): leaf.shape for path, leaf in _leaves(self._manager.item_metadata(step)[item].tree)}
        asked = {_name(path): leaf.shape for path, leaf in _leaves(wanted)}
        for name in sorted(saved.keys() | asked.keys()):
            if saved.get(name) != asked.get(name):
                raise Failure(
                    f"checkpoint {step} in {self._folder} does not fit this version's model: {name} has shape "
                    f"{saved.get(name, 'none')} there and {asked.get(name, 'none')} here"
                )


class SaveClock:
    """Says when a checkpoint is due, besides after each evaluation."""

    def __init__(self, cadence: Cadence):
        self._cadence = cadence
        self._last = time.monotonic()

    def __call__(self, step: int) -> bool:
        """Whether one is due after `step` steps; saying so starts the minutes anew."""
        every_steps, every_minutes = self._cadence.every_steps, self._cadence.every_minutes
        minutes = (time.monotonic() - self._last) / 60
        due = (every_steps is not None and step % every_steps == 0) or (
            every_minutes is not None and minutes >= every_minutes
        )
        if due:
            self._last = time.monotonic()
        return due


def keeping(cadence: Cadence, timetable: Timetable, best: int | None) -> Callable[[int], bool]:
    """Whether a checkpoint is to be kept: the best one, and those of every n-th evaluation if asked for."""

    def kept(step: int) -> bool:
        evaluation = timetable.evaluation(step)
        periodic = cadence.keep_every is not None and evaluation is not None and evaluation % cadence.keep_every == 0
        return step == best or periodic

    return kept


def _training(state: TrainState) -> dict[str, Any]:
    """What a state holds besides the weights that are to be used."""
    parts = {"slots": state.slots}
    if state.gathered is not None:
        parts["gathered"] = state.gathered
    if state.average is not None:
        parts["weights"] = state.weights._asdict()
    return parts


def _check_finite(state: TrainState, step: int) -> None:
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        if jnp.issubdtype(leaf.dtype, jnp.floating) and not np.isfinite(leaf).all():
            raise NotFinite(f"{jax.tree_util.keystr(path)} of the model or its optimizer is not finite", step)


def _as_host(leaf: Any) -> np.ndarray:
    """What makes Orbax restore a NumPy array."""
    return np.empty(leaf.shape, leaf.dtype)


def _leaves(tree: Any) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda node: hasattr(node, "shape"))[0]


def _name(path: tuple[Any, ...]) -> str:
    return ".".join(str(getattr(key, "key", getattr(key, "idx", key))) for key in path)
