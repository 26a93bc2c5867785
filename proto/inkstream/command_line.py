"""The shell of both commands: settings from arguments or INKSTREAM_* variables, exit codes, no traceback for a mistake.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (Ctrl-C), 143 stopped (SIGTERM).
"""

import argparse
import gc
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple, Protocol, TypeAlias

from inkstream.errors import InkstreamError

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED, EXIT_STOPPED = 0, 1, 2, 130, 143

Subcommands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


class UsageError(Exception):
    """The user asked for something that makes no sense: the message states rule, value and remedy. Exit code 2."""


class Failure(Exception):
    """The command could not do what was asked: the message says what and why. Exit code 1."""


class Subcommand(Protocol):
    """A module that declares one subcommand; the parser's default `run` is what does it."""

    def add(self, subcommands: Subcommands) -> None:
        """Declares arguments, and `parser.set_defaults(run=run)` with `run(options) -> int | None`.

        Where there are settings from a file, too, the parser's default `earlier_words(parser, words)` says for which
        words the file stands that `words` name. What was typed comes later, so it wins.
        """


class Command(NamedTuple):
    """A command with subcommands.

    Attributes:
        name: What people type.
        description: What it is for.
        subcommands: By name what imports each; it may take a second, in which Ctrl-C must not end in a traceback.
    """

    name: str
    description: str
    subcommands: Mapping[str, Callable[[], Subcommand]]


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows every default, and keeps the line breaks of examples."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help if action.default is None else super()._get_help_string(action)
        if isinstance(action, argparse._HelpAction) or not action.option_strings:
            return text
        return f"{text} [{variable(action.dest)}]"


def variable(dest: str) -> str:
    """The environment variable of a setting: `INKSTREAM_LISTEN` for `listen`."""
    return f"INKSTREAM_{dest.upper()}"


def _words(action: argparse.Action, text: str) -> list[str]:
    """What a variable's text says on the command line."""
    if action.nargs == 0:
        if text.lower() in ("1", "true", "yes", "on"):
            return [action.option_strings[0]]
        if text.lower() in ("", "0", "false", "no", "off"):
            return [] if isinstance(action, argparse._StoreTrueAction) else [action.option_strings[1]]
        raise UsageError(f"{variable(action.dest)} must be true or false, got {text!r}")
    if action.nargs not in ("+", "*") and not isinstance(action.nargs, int):
        return [action.option_strings[-1], text]
    try:
        return [action.option_strings[-1], *shlex.split(text)]
    except ValueError as error:
        raise UsageError(f"{variable(action.dest)} must be words as in a shell, got {text!r}: {error}") from None


def _from_environment(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> list[str]:
    """Arguments that INKSTREAM_* variables stand for, leaving out what the command line says itself."""
    given = {word.split("=", 1)[0] for word in arguments}
    words: list[str] = []
    for action in parser._actions:
        text = os.environ.get(variable(action.dest))
        if text is not None and action.option_strings and not given.intersection(action.option_strings):
            words += _words(action, text)
    return words


def build_parser(command: Command, word: str = "") -> argparse.ArgumentParser:
    """The parser of a command.

    Args:
        command: What can be run.
        word: The name of its only subcommand that is needed; any other word, and it has them all.
    """
    parser = argparse.ArgumentParser(
        prog=command.name,
        description=command.description,
        formatter_class=_Help,
        epilog="Every option can also be set by an environment variable, which --help names; the option wins.",
    )
    subcommands = parser.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)
    subcommands._parser_class = lambda **kw: argparse.ArgumentParser(formatter_class=_Help, allow_abbrev=False, **kw)  # type: ignore[assignment]
    for name in (word,) if word in command.subcommands else command.subcommands:
        command.subcommands[name]().add(subcommands)
    return parser


def run_command(command: Command, arguments: Sequence[str]) -> int:
    """Parses, runs and turns what happens into an exit code.

    Args:
        command: What can be run.
        arguments: Words after the command's name.
    """
    words, chosen = list(arguments), None
    try:
        with leaving_at_once(), _collecting_nothing():
            parser = build_parser(command, *words[:1])
        if words and not words[0].startswith("-"):
            chosen = parser._subparsers._group_actions[0].choices.get(words[0])  # type: ignore[union-attr]
            if chosen is not None:
                # Last of the options: an open list among them must not take a positional argument.
                end = words.index("--") if "--" in words else len(words)
                words[end:end] = _from_environment(chosen, words[1:end])
        earlier = chosen.get_default("earlier_words") if chosen is not None else None
        options = parser.parse_args([*words[:1], *(earlier(chosen, words[1:]) if earlier else ()), *words[1:]])
        options.command = [command.name, *words]
        run: Callable[[argparse.Namespace], int | None] = options.run
        return run(options) or EXIT_DONE
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        return reported(command.name, error)


def reported(name: str, error: BaseException) -> int:
    """Prints why a command ended, and returns its exit code.

    Args:
        name: Of the command.
        error: A mistake of the user's, a failure, an interruption or a request to exit; anything else is raised.
    """
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else EXIT_USAGE
    if isinstance(error, KeyboardInterrupt):
        message, code = "interrupted", EXIT_INTERRUPTED
    elif isinstance(error, UsageError) or (
        isinstance(error, ValueError | LookupError) and isinstance(error, InkstreamError)
    ):
        message, code = str(error), EXIT_USAGE
    elif isinstance(error, Failure | InkstreamError | OSError):
        message, code = str(error), EXIT_FAILED
    else:
        raise error
    print(f"{name}: {message}", file=sys.stderr)
    return code


@contextmanager
def _collecting_nothing() -> Iterator[None]:
    """Loaded libraries are never garbage: looking for some in them takes a tenth of the time of loading them."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """While libraries are loaded, Ctrl-C ends the process there and then: some of them swallow KeyboardInterrupt."""

    def leave(number: int, frame: FrameType | None) -> None:
        os._exit(EXIT_INTERRUPTED)

    before = signal.getsignal(signal.SIGINT)
    ours = before is signal.default_int_handler  # else it is ignored, or somebody else's
    if not ours or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
