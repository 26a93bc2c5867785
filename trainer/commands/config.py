"""`--config`: options from a file, which the command line and the environment override."""

import argparse
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inkstream.command_line import UsageError
from trainer.records.configuration import Asked, Configuration, preset_names

# Options that belong to one start of a run, not to the run.
_OF_ONE_START = frozenset(
    ("config", "out", "resume", "metrics", "coordinator", "processes", "process_id", "peer_timeout")
)


def add_config(parser: argparse.ArgumentParser) -> None:
    """`--config`, and the words for which its file stands."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="take options from the config.json of a run, to repeat it, or from a preset: "
        f"{', '.join(preset_names())}; those that are given here win",
    )
    parser.set_defaults(earlier_words=_words)


def configuration(options: argparse.Namespace) -> Configuration | None:
    """The file that `--config` names."""
    return Configuration.load(options.config) if options.config is not None else None


def asked(options: argparse.Namespace, parser: argparse.ArgumentParser) -> Asked:
    """What belongs to the run of all that was asked for."""
    names = [action.dest for action in parser._actions if action.option_strings and action.dest != "help"]
    values = {name: getattr(options, name) for name in names if name not in _OF_ONE_START}
    return Asked({name: _plain(value) for name, value in values.items()}, shlex.join(options.command))


def _words(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[str]:
    """The words for which the file stands that `words` name, if they do.

    Raises:
        UsageError: The file has something that is no option.
    """
    finder = argparse.ArgumentParser(prog=parser.prog, add_help=False, allow_abbrev=False)
    finder.add_argument("--config")
    name = finder.parse_known_args(words)[0].config
    if name is None:
        return []
    file = Configuration.load(name)
    actions = {action.dest: action for action in parser._actions if action.option_strings and action.dest != "config"}
    if unknown := sorted(file.options.keys() - actions.keys()):
        raise UsageError(f"--config {file.path} has options that {parser.prog} has not: {', '.join(unknown)}")
    return [word for name, value in file.options.items() for word in _words_for(actions[name], value, file.path)]


def _words_for(action: argparse.Action, value: Any, path: Path) -> list[str]:
    """The words that give an option a value; none for one that means that it is not given."""
    option = action.option_strings[0]
    if value is None or value == []:
        return []
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise UsageError(f"--config {path}: {action.dest} must be true or false, got {value!r}")
        return [option] if value else [] if len(action.option_strings) == 1 else [action.option_strings[1]]
    if isinstance(value, Mapping):
        raise UsageError(f"--config {path}: {action.dest} must be a value or a list of them, got {value!r}")
    if isinstance(value, list):
        return [option, *map(str, value)]
    return [f"{option}={value}"]


def _plain(value: Any) -> Any:
    """A value that JSON can hold; paths stay right in another folder."""
    if isinstance(value, Path):
        return str(value.absolute())
    return [*map(_plain, value)] if isinstance(value, list | tuple) else value
