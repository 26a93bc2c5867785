"""Every command in docs/training.md runs, on tiny settings."""

import re
import shlex
from pathlib import Path

from trainer.cli import main

GUIDE = Path(__file__).parents[2] / "docs" / "training.md"
# The drawings that the game did not recognize are a tenth of all; one size and encoding compile once.
TINY = "--epochs 1 --batch-size 64 --recognized no --validation 0.2 --size 16 --encoding gray".split()


def commands():
    for block in re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(), flags=re.DOTALL | re.MULTILINE):
        yield from block.replace("\\\n", " ").strip().splitlines()


def test_the_commands_of_the_guide_run(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = set()
    for line in commands():
        program, subcommand, *rest = shlex.split(line)
        assert program == "trainer"
        words = [word.replace("localhost:50051", server.address).replace("doodles", "scribbles") for word in rest]
        if subcommand == "fit":
            words += TINY
        if subcommand != "models":
            words += ["--devices", "cpu:2"]
        assert main([subcommand, *words]) == 0, line
        seen.add(subcommand)
    assert seen == {"fit", "models", "evaluate", "predict"}
    assert (tmp_path / "submission.csv").exists() and (tmp_path / "guesses.png").exists()
