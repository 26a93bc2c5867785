"""Each preset is a valid set of options, says what to expect of it, and stands in docs/presets.md as it is."""

import re
import shlex
from pathlib import Path

import pytest

from trainer.cli import main
from trainer.records.configuration import Configuration, preset_names

PAGE = (Path(__file__).parents[2] / "docs" / "presets.md").read_text()


@pytest.mark.parametrize("name", preset_names())
def test_the_command_of_a_preset_asks_for_its_options(name, monkeypatch):
    requests = []
    monkeypatch.setattr("trainer.fit.fit", lambda request: requests.append(request) or 0)
    preset = Configuration.load(name)
    program, *words = shlex.split(preset.about["command"])
    assert (program, main(words)) == ("trainer", 0) and name in words
    (request,) = requests
    assert preset.options.items() <= request.asked.options.items()
    assert preset.options.keys().isdisjoint(("server", "dataset", "out"))


def test_the_command_of_the_page_overrides_a_preset(monkeypatch):
    requests = []
    monkeypatch.setattr("trainer.fit.fit", lambda request: requests.append(request) or 0)
    (command,) = re.findall(r"^```sh\ntrainer (.*?)\n```", PAGE, flags=re.MULTILINE)
    assert main(shlex.split(command)) == 0
    assert (requests[0].model.name, requests[0].optimization.epochs) == ("mlp", 10)


def test_the_page_and_the_help_have_every_preset(capsys):
    assert main(["fit", "--help"]) == 0
    shown = capsys.readouterr().out
    for name in preset_names():
        about = Configuration.load(name).about
        cells = [f"`{name}`", *(about[column] for column in ("task", "hardware", "time", "result"))]
        assert f"| {' | '.join(cells)} |\n" in PAGE
        assert name in " ".join(shown.split())
