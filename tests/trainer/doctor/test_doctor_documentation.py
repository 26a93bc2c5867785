"""Every command in docs/doctor.md runs, on tiny settings; what it lists is what there is."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import batch_server.cli
import trainer.cli
from inkstream.pipeline import Pipeline, Render
from inkstream.pipeline_file import PipelineFile

PAGE = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE) for line in block.splitlines()
]
# The program that other tests have compiled (`tests.trainer.runs.words`).
TINY = {
    "trainer": "--size 16 --batch-size 64 --validation 0.2 --epochs 2 --dropout 0.3 --devices cpu:2",
    "batch-server": "",
}
MAIN = {"trainer": trainer.cli.main, "batch-server": batch_server.cli.main}


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_run(
    line: str, server: Any, data_dir: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("doodles", "also"):
        (tmp_path / "data" / f"{name}.lmdb").symlink_to(data_dir / "scribbles.lmdb")
    (tmp_path / "runs" / "first").mkdir(parents=True)
    pipeline = Pipeline(dataset="doodles", batch_size=64, render=Render(size=16))
    PipelineFile(pipeline, "any", 1).save("runs/first/pipeline.json")
    program, *words = shlex.split(
        line.replace("localhost:50051", server.address).replace("--dataset doodles", "--dataset scribbles")
    )
    assert MAIN[program]([*words, *TINY[program].split(), "--seconds", "0.2"]) == 0
    assert "limits" in capsys.readouterr().out


def test_the_page_knows_both_commands() -> None:
    assert {line.split()[0] for line in COMMANDS} == set(MAIN) and len(COMMANDS) == 5


@pytest.mark.parametrize(
    ("half", "found"),
    [
        ("From the trainer's end", {"device", "servers", "wire", "client"}),
        ("From the server's end", {"disk", "quota", "reading", "drawing", "encoding"}),
    ],
)
def test_whatever_can_limit_is_explained(half: str, found: set[str]) -> None:
    (section,) = re.findall(rf"^## {half}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == found
