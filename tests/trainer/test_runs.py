"""Runs are listed with what tells them apart, whatever became of them."""

import csv
import io
import json

import pytest

from trainer.cli import main
from trainer.records.logs import EVALUATION_COLUMNS, STEP_COLUMNS, Table, last_row

OPTIONS = {
    "model": "cnn",
    "server": ["a:1"],
    "monitor": "map3",
    "learning_rate": 0.003,
    "scale": [0.9, 1.1],
    "steps": None,
}


def write_run(folder, figures=(), done=0, **options):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"options": OPTIONS | options}))
    with Table(folder / "steps.jsonl", STEP_COLUMNS) as table:
        for step in range(1, done + 1):
            table.append(**dict.fromkeys(STEP_COLUMNS, 0.1) | {"step": step})
    with Table(folder / "evaluations.jsonl", EVALUATION_COLUMNS) as table:
        for step, row in enumerate(figures, start=1):
            table.append(**dict.fromkeys(EVALUATION_COLUMNS, 0.5) | row | {"step": step})
    return folder


@pytest.fixture
def runs(tmp_path):
    best_in_the_middle = [{"map3": 0.5}, {"map3": 0.9, "top1": 0.8}, {"map3": 0.7}]
    (write_run(tmp_path / "a", best_in_the_middle, done=30, server=["b:2"]) / "curve.png").touch()
    lowest = [{"loss": 0.2, "map3": 0.3}, {"loss": float("nan")}]
    write_run(tmp_path / "deep" / "b", lowest, done=7, steps=9, monitor="loss", learning_rate=0.1)
    broken = write_run(tmp_path / "c", done=1)
    (broken / "not-finite.json").write_text(json.dumps({"what": "the loss is nan", "steps_done": 2}))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "config.json").write_text("{")
    return tmp_path


def test_each_run_has_its_differing_settings_and_best_figures(runs, capsys):
    assert main(["runs", str(runs), "--csv"]) == 0
    rows = {row["run"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert {name: row["state"] for name, row in rows.items()} == {
        "a": "finished",
        "c": "not finite",
        "d": "unreadable",
        "deep/b": "unfinished",
    }
    first, second, broken = rows["a"], rows["deep/b"], rows["c"]
    assert (first["steps_done"], first["best_step"], first["map3"], first["top1"]) == ("30", "2", "0.9", "0.8")
    assert (second["steps_done"], second["best_step"], second["map3"]) == (
        "7",
        "1",
        "0.3",
    )  # lowest loss, not a number apart
    assert broken["problem"] == "step 2: the loss is nan" and broken["best_step"] == ""
    assert (first["learning_rate"], second["learning_rate"], second["monitor"]) == ("0.003", "0.1", "loss")
    assert not {"model", "scale", "server"} & first.keys()  # equal in all, or only a place


def test_the_table_for_people_has_a_line_for_each_run_in_columns(runs, capsys):
    assert main(["runs", str(runs)]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["a", "c", "d", "deep/b"]
    column = heading.index("learning_rate")
    assert [line[column:].split()[0] for line in lines] == ["0.003", "0.003", "-", "0.1"]


def test_a_folder_without_runs_is_wrong_usage(tmp_path, capsys):
    for folder in (tmp_path, tmp_path / "none"):
        assert main(["runs", str(folder)]) == 2
        assert "there is none in" in capsys.readouterr().err


def test_the_last_row_is_found_behind_a_torn_one(tmp_path):
    path = write_run(tmp_path / "run", done=40) / "steps.jsonl"
    assert last_row(path)["step"] == 40
    path.write_bytes(path.read_bytes()[:-3])
    assert last_row(path)["step"] == 39
    path.write_bytes(b'{"st')
    assert last_row(path) == {"step": 0}
