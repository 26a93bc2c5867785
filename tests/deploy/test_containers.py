"""Dockerfiles and compose.yaml name what exists, and keep what the images promise."""

import argparse
import fnmatch
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import batch_server.cli
import trainer.cli
from inkstream.command_line import Command, build_parser, variable
from inkstream.pipeline import ENCODINGS, STYLES

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
TRAININGS = ["train-cnn", "train-mobilenet"]
DOCKERFILES = {"Dockerfile.server": batch_server.cli.COMMAND, "Dockerfile.trainer": trainer.cli.COMMAND}


def subparser(command: Command, name: str) -> argparse.ArgumentParser:
    choices = build_parser(command)._subparsers._group_actions[0].choices
    return choices[name]


def variables(command: Command, name: str) -> dict[str, argparse.Action]:
    return {variable(action.dest): action for action in subparser(command, name)._actions if action.option_strings}


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """Each instruction and its arguments, lines joined, comments left out."""
    lines = [line for line in (ROOT / dockerfile).read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def settings_of(dockerfile: str) -> dict[str, str]:
    text = " ".join(rest for word, rest in instructions(dockerfile) if word == "ENV")
    return dict(re.findall(r"(\w+)=(\S+)", text))


def in_build_context(path: str) -> bool:
    """Whether .dockerignore, which names what is let in, lets a path in."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*", "everything is left out that is not named"
    return any(fnmatch.fnmatch(path, rule[1:]) or path.startswith(rule[1:] + "/") for rule in rules if rule[0] == "!")


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_copied_files_exist_and_are_in_the_build_context(dockerfile: str) -> None:
    copied = [r.split()[:-1] for w, r in instructions(dockerfile) if w == "COPY" and not r.startswith("--from")]
    for source in (source for sources in copied for source in sources):
        assert (ROOT / source).exists(), source
        assert in_build_context(source), source


def test_the_build_context_is_small() -> None:
    assert not any(map(in_build_context, (".git", ".venv/bin/python", "tests/conftest.py", "docs/README.md")))


@pytest.mark.parametrize(("dockerfile", "other"), [("Dockerfile.server", "trainer"), ("Dockerfile.trainer", "server")])
def test_libraries_come_from_pinned_files_of_this_half(dockerfile: str, other: str) -> None:
    arguments = dict(rest.split("=") for word, rest in instructions(dockerfile) if word == "ARG")
    files = re.findall(r"requirements/(\S+)\.txt", " ".join(rest for word, rest in instructions(dockerfile)))
    names = {arguments["REQUIREMENTS"] if name == "${REQUIREMENTS}" else name for name in files}
    assert names == {dockerfile.removeprefix("Dockerfile."), "dev"}  # of `dev` only the build backend
    assert other not in names
    assert all((ROOT / "requirements" / f"{name}.txt").exists() for name in names)


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_images_do_not_run_as_root(dockerfile: str) -> None:
    final = instructions(dockerfile)
    final = final[max(i for i, (word, _) in enumerate(final) if word == "FROM") :]
    arguments = dict(rest.split("=") for word, rest in final if word == "ARG")
    assert [rest for word, rest in final if word == "USER"] == ["${USER_ID}:${USER_ID}"]
    assert int(arguments["USER_ID"]) > 0


def test_settings_in_the_server_image_exist() -> None:
    named = {name for name in settings_of("Dockerfile.server") if name.startswith("INKSTREAM_")}
    assert named <= set(variables(batch_server.cli.COMMAND, "serve"))


@pytest.mark.parametrize("name", ["batch-server", *TRAININGS])
def test_settings_in_compose_make_a_valid_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = batch_server.cli.COMMAND if name == "batch-server" else trainer.cli.COMMAND
    (subcommand,) = SERVICES[name]["command"]
    known, words = variables(command, subcommand), [subcommand]
    for setting, text in SERVICES[name]["environment"].items():
        assert isinstance(text, str), f"{setting}: YAML would write {text!r} in its own way"
        assert setting in known, f"{setting} is no setting of `{command.name} {subcommand}`"
        action = known[setting]
        words += [action.option_strings[-1], *([] if action.nargs == 0 else [text])]
    build_parser(command).parse_args(words)


def test_the_import_is_a_valid_command() -> None:
    build_parser(batch_server.cli.COMMAND).parse_args(SERVICES["import"]["command"])
    assert SERVICES["import"]["profiles"], "it is started by name, not by `up`"


def test_three_servers_and_two_trainings_on_one_service() -> None:
    assert SERVICES["batch-server"]["deploy"]["replicas"] == 3
    assert "container_name" not in SERVICES["batch-server"], "replicas cannot share a name"
    port = SERVICES["batch-server"]["environment"]["INKSTREAM_LISTEN"].rpartition(":")[2]
    for name in TRAININGS:
        assert SERVICES[name]["environment"]["INKSTREAM_SERVER"] == f"dns:///batch-server:{port}"
        assert set(SERVICES[name]["networks"]) == set(SERVICES["batch-server"]["networks"])
        assert SERVICES[name]["depends_on"]["batch-server"]["condition"] == "service_healthy"
    assert len({SERVICES[name]["environment"]["INKSTREAM_OUT"] for name in TRAININGS}) == 2


def test_servers_get_the_time_that_they_need_to_drain() -> None:
    serve = subparser(batch_server.cli.COMMAND, "serve")
    drain_s = serve.get_default("drain_delay") + serve.get_default("drain_grace")
    minutes = re.fullmatch(r"(\d+)m", SERVICES["batch-server"]["stop_grace_period"])
    assert minutes and 60 * int(minutes[1]) > drain_s


def test_what_speaks_without_tls_is_not_published() -> None:
    for service in SERVICES.values():
        assert "ports" not in service
        for network in service.get("networks", []):
            assert COMPOSE["networks"][network]["internal"]


def test_servers_cannot_write_to_the_data() -> None:
    (volume,) = SERVICES["batch-server"]["volumes"]
    assert volume.endswith(":/data:ro")


def test_the_health_probe_is_in_the_image() -> None:
    probe = Path(SERVICES["batch-server"]["healthcheck"]["test"][-1])
    (copied,) = [
        rest.split() for word, rest in instructions("Dockerfile.server") if probe.name in rest and word == "COPY"
    ]
    assert (f"deploy/{probe.name}" in copied, copied[-1]) == (True, f"{probe.parent}/")
    assert any(word == "HEALTHCHECK" and str(probe) in rest for word, rest in instructions("Dockerfile.server"))


def test_the_images_kernels_are_compiled_by_drawing_the_whole_way() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "deploy/compile_kernels.py"], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("drew 101 drawings") == 2 * len(STYLES) * len(ENCODINGS)
