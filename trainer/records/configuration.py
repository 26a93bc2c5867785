"""A run's config.json: what was asked for, what that became, and what trained it. `--config` takes it, to repeat a run.

about        task, command, hardware, time and result, in words (only in presets)
options      every option of `trainer fit` that belongs to the run, by its name with underscores
run          the settings as the run took them, the resolved pipeline and the classes (`trainer.run`)
environment  Python, packages, devices and processors
command      how it was last started; with the options that environment variables stood for

Only `options` must be there; presets have `about` besides.
"""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, Self

import inkstream.processors
from inkstream.command_line import UsageError

_PRESETS = Path(__file__).parents[1] / "presets"
MEMBERS = ("about", "options", "run", "environment", "command")
# Options that change nothing that is learnt: where things are, how they travel, what is kept.
UNLEARNT = (
    "server",
    "compression",
    "tls_ca",
    "tls_cert",
    "tls_key",
    "tls_server_name",
    "token_file",
    "tensorboard",
    "checkpoint_every_steps",
    "checkpoint_every_minutes",
    "keep_every",
)
# Of the run: what two runs must share to get the same pixels.
_DATA = ("fingerprint", "renderer_version", "self_test_digest")
# Of the run: the digests of files, and the options that name them.
_FILES = (("model", "weights_digest", "weights"), ("optimization", "sample_weights", "sample_weights"))
# Packages on which the bits of a loss depend.
_PACKAGES = (
    "inkstream",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "ml-dtypes",
    "jax-cuda12-plugin",
    "jax-cuda12-pjrt",
    "nvidia-cublas-cu12",
    "nvidia-cudnn-cu12",
)
_VARIABLES = ("NPROC", "XLA_FLAGS")


class Asked(NamedTuple):
    """What a run was started with, besides what it is.

    Args:
        options: Those of `trainer fit` that belong to the run; values that JSON can hold.
        command: As for a shell.
    """

    options: Mapping[str, Any]
    command: str


@dataclass(frozen=True)
class Configuration:
    """What a configuration file holds.

    Args:
        path: Of the file.
        about: What the settings are for; empty unless it is a preset.
        options: Settings by the names of options.
        run: `Run.to_json()` of the run that wrote the file; None in a preset.
        environment: What trained it, by `environment`; None in a preset.
    """

    path: Path
    about: Mapping[str, str]
    options: Mapping[str, Any]
    run: Mapping[str, Any] | None
    environment: Mapping[str, Any] | None

    @classmethod
    def load(cls, name: str) -> Self:
        """Reads a file.

        Args:
            name: Its path, or the name of a preset.

        Raises:
            UsageError: There is none, or it is not such a file.
        """
        preset = _PRESETS / f"{name}.json"
        path = preset if preset.is_file() and not Path(name).is_file() else Path(name)
        try:
            members = json.loads(path.read_text())
        except OSError as error:
            raise UsageError(
                f"--config must be the config.json of a run, a file like it, or one of {', '.join(preset_names())}; "
                f"{name} cannot be read: {error.strerror}"
            ) from None
        except ValueError as error:
            raise UsageError(f"--config {path} is not JSON: {error}") from None
        if not isinstance(members, dict) or not isinstance(members.get("options"), dict):
            raise UsageError(
                f'--config {path} has no "options": it must be the config.json of a run, or a file like it'
            )
        if unknown := sorted(members.keys() - set(MEMBERS)):
            raise UsageError(f"--config {path} may have {', '.join(MEMBERS)}; it also has {', '.join(unknown)}")
        if not _as_written(members.get("run"), members.get("environment")):
            raise UsageError(
                f'--config {path}: "run" or "environment" is not as a run writes it: remove both, "options" is enough'
            )
        return cls(path, members.get("about", {}), members["options"], members.get("run"), members.get("environment"))

    def check(self, asked: Asked, run: Mapping[str, Any], environment: Mapping[str, Any]) -> list[str]:
        """What is other than in the file, a line each.

        Args:
            asked: What this run is started with.
            run: What that became, by `Run.to_json()`.
            environment: What will train it.

        Raises:
            UsageError: A dataset of this name has other data than the run had, or is drawn otherwise.
        """
        lines = [
            f"--{name.replace('_', '-')} is {asked.options.get(name)!r}, not {value!r} as in {self.path}"
            for name, value in self.options.items()
            if asked.options.get(name) != value
        ]
        if self.run is not None:
            lines += self._check_run(asked, json.loads(json.dumps(run)))
        if self.environment is not None:
            lines += [
                f"warning: {name} was {before!r} in {self.path}, is {now!r}: the last bits of losses may differ"
                for name, before, now in _differences(_flat(self.environment), _flat(environment))
            ]
        return lines

    def _check_run(self, asked: Asked, run: Mapping[str, Any]) -> list[str]:
        """As `check`, of what the same options became before and now; `run` with lists for tuples."""
        assert self.run is not None
        dataset = run["pipeline"]["dataset"]
        for name in _DATA if dataset == self.run["pipeline"]["dataset"] else ():
            if run[name] != self.run[name]:
                raise UsageError(
                    f"{self.path} cannot be repeated on dataset {dataset!r}: {name} was {self.run[name]!r}, is "
                    f"{run[name]!r}. Serve what it was trained on; or, to train with its settings on what is served "
                    'now, remove "run" from a copy of the file'
                )
        lines = []
        for section, name, option in _FILES:
            before, now = self.run[section].get(name), run[section][name]
            if asked.options.get(option) == self.options.get(option) and None not in (before, now) and before != now:
                file = f"--{option.replace('_', '-')} {asked.options.get(option)}"
                lines.append(f"warning: {file} has changed: its digest was {before} in {self.path}, is {now}")
        return lines


def preset_names() -> list[str]:
    """What `Configuration.load` knows besides files."""
    return sorted(path.stem for path in _PRESETS.glob("*.json"))


def environment(devices: Sequence[str]) -> dict[str, Any]:
    """What trains a run, as far as its bits depend on it; a JSON object.

    Args:
        devices: The kind of each device.
    """
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:  # those for GPUs, on a machine without
            continue
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processors": inkstream.processors.bound_cores(),
        "devices": list(devices),
        "packages": packages,
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }


def _as_written(run: Any, environment: Any) -> bool:
    """Whether both, where they are there, have what is looked at when a run is repeated."""
    match run, environment:
        case (
            None
            | {
                "pipeline": {"dataset": _},
                "model": {},
                "optimization": {},
                "fingerprint": _,
                "renderer_version": _,
                "self_test_digest": _,
            },
            None | {"packages": {}},
        ):
            return True
    return False


def _flat(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Packages beside the rest."""
    return {**environment, **environment["packages"], "packages": None}


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Name, value before and value now of what differs."""
    return [(name, before.get(name), now.get(name)) for name in {**before, **now} if before.get(name) != now.get(name)]
