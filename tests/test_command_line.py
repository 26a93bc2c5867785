"""The shell of the commands: environment variables, exit codes, no traceback for a user's mistake."""

import argparse
from pathlib import Path

import pytest

import batch_server.cli
import trainer.cli
from inkstream.command_line import Command, Failure, UsageError, run_command
from inkstream.errors import InvalidRequest, ServerUnavailable


class Echo:
    """A subcommand that records its options, or raises what it is told to."""

    def __init__(self) -> None:
        self.seen: argparse.Namespace | None = None
        self.raises: BaseException | None = None

    def add(self, subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
        parser = subcommands.add_parser("echo", help="says it again")
        parser.add_argument("words", nargs="*", help="what to say")
        parser.add_argument("--times", type=int, default=1, help="how often")
        parser.add_argument("--scale", type=float, nargs=2, default=(1.0, 1.0), help="a pair")
        parser.add_argument("--loud", action="store_true", help="in capitals")
        parser.set_defaults(run=self.run)

    def run(self, options: argparse.Namespace) -> None:
        self.seen = options
        if self.raises:
            raise self.raises


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (batch_server.cli.COMMAND, "inspect missing.lmdb"),
        (batch_server.cli.COMMAND, "inspect missing.lmdb --verify"),
        (batch_server.cli.COMMAND, "preview missing.lmdb --out grid.png"),
        (batch_server.cli.COMMAND, "doctor missing.lmdb"),
        (batch_server.cli.COMMAND, "doctor ."),
        (batch_server.cli.COMMAND, "serve --data missing"),
        (batch_server.cli.COMMAND, "import missing.csv --dataset new.lmdb"),
        (trainer.cli.COMMAND, "evaluate missing --server localhost:1 --dataset any"),
        (trainer.cli.COMMAND, "predict missing --server localhost:1 --dataset any --out guesses.csv"),
    ],
)
def test_to_name_what_is_not_there_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: Command, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(command, words.split()) == 2
    assert ("missing" if "missing" in words else ".") in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.fixture
def echo() -> Echo:
    return Echo()


def call(echo: Echo, *words: str) -> int:
    return run_command(Command("tool", "A tool.", {"echo": lambda: echo}), words)


def test_settings_come_from_the_environment(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TIMES": "3", "SCALE": "0.5 2", "LOUD": "true"}.items():
        monkeypatch.setenv(f"INKSTREAM_{name}", value)
    assert call(echo, "echo", "hi") == 0
    assert echo.seen is not None
    assert (echo.seen.times, echo.seen.scale, echo.seen.loud, echo.seen.words) == (3, [0.5, 2.0], True, ["hi"])


@pytest.mark.parametrize("words", [("--times", "5"), ("--times=5",)])
def test_an_option_wins_over_the_environment(
    echo: Echo, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("INKSTREAM_TIMES", "3")
    assert call(echo, "echo", *words) == 0
    assert echo.seen is not None and echo.seen.times == 5


def test_a_wrong_variable_is_wrong_usage(
    echo: Echo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INKSTREAM_LOUD", "perhaps")
    assert call(echo, "echo") == 2
    assert capsys.readouterr().err == "tool: INKSTREAM_LOUD must be true or false, got 'perhaps'\n"


@pytest.mark.parametrize("words", [("echo", "--times", "x"), ("echo", "--tim", "2"), ("shout",), ()])
def test_wrong_usage_exits_with_2(echo: Echo, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(echo, *words) == 2
    assert "usage: tool" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("no"), 2),
        (InvalidRequest("no"), 2),
        (Failure("no"), 1),
        (ServerUnavailable("no"), 1),
        (FileNotFoundError("no"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_become_exit_codes_and_one_line(
    echo: Echo, error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    echo.raises = error
    assert call(echo, "echo") == code
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_programming_error_is_not_hidden(echo: Echo) -> None:
    echo.raises = ValueError("a bug")
    with pytest.raises(ValueError, match="a bug"):
        call(echo, "echo")


def test_help_shows_defaults_and_variables(echo: Echo, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(echo, "echo", "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "how often (default: 1) [INKSTREAM_TIMES]" in text


def test_variables_stand_before_what_is_no_option(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKSTREAM_TIMES", "3")
    assert call(echo, "echo", "--", "--loud") == 0
    assert echo.seen is not None
    assert (echo.seen.times, echo.seen.words, echo.seen.loud) == (3, ["--loud"], False)


def test_ctrl_c_while_subcommands_are_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    def load() -> Echo:
        raise KeyboardInterrupt

    assert run_command(Command("tool", "A tool.", {"echo": load}), ["echo"]) == 130
    assert capsys.readouterr().err == "tool: interrupted\n"


def test_only_the_subcommand_that_is_asked_for_is_imported(echo: Echo) -> None:
    def never() -> Echo:
        raise AssertionError("not asked for")

    assert run_command(Command("tool", "A tool.", {"echo": lambda: echo, "slow": never}), ["echo"]) == 0
    with pytest.raises(AssertionError, match="not asked for"):
        run_command(Command("tool", "A tool.", {"echo": lambda: echo, "slow": never}), ["--help"])
