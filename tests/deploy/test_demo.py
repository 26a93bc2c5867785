"""The demo's own decisions, and that it stops what it started."""

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.demo.__main__ import SKETCHES_PER_CLASS
from deploy.demo.commands import CommandFailed, Commands
from deploy.demo.plan import BUDGET_S, COST_S, SMALLEST_PX, make_plan
from deploy.demo.sources import labelled_parts, unlabelled_files
from deploy.sketches import SUBJECTS, write_labelled, write_unlabelled

ROOT = Path(__file__).parents[2]


@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=400))
def test_training_takes_minutes_whatever_the_number_of_drawings(sizes: list[int]) -> None:
    plan = make_plan({f"class {i:03}": size for i, size in enumerate(sizes)})
    assert plan.epochs >= 1
    epoch_s = plan.samples * COST_S[plan.size_px]
    # Two classes are the least without which there is nothing to tell apart, however large they are.
    two_s = sum(sorted(sizes)[-2:]) * COST_S[SMALLEST_PX]
    assert plan.epochs * epoch_s <= max(BUDGET_S + epoch_s / 2 + 0.01, two_s)
    assert plan.classes is None or 2 <= len(plan.classes) == plan.classes_count < len(sizes)


def test_the_sketches_get_large_pictures_and_several_epochs() -> None:
    plan = make_plan(dict.fromkeys(SUBJECTS, SKETCHES_PER_CLASS))
    assert (plan.size_px, plan.epochs, plan.classes) == (64, 6, None)


def test_the_largest_classes_are_taken_of_too_much() -> None:
    plan = make_plan({"a": 10, "b": 40_000, "c": 20, "d": 30_000, "e": 20_000})
    assert plan.classes == ["b", "d"]
    assert plan.options()[-3:] == ["--classes", "b", "d"]


def test_unlabelled_files_are_told_from_labelled_ones(tmp_path: Path) -> None:
    write_labelled(tmp_path / "b/ndjson", per_class=1, seed=1)
    write_unlabelled(tmp_path / "b/test.csv", range(1), seed=1)
    (tmp_path / "a.csv").write_text("key_id,countrycode,drawing,word\n")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.write(tmp_path / "b/test.csv", "test.csv")
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.write(tmp_path / "a.csv", "a.csv")
    unlabelled = unlabelled_files(tmp_path)
    assert unlabelled == [tmp_path / "b/test.csv", tmp_path / "c.zip"]
    assert labelled_parts(tmp_path, unlabelled) == [tmp_path / "a.csv", tmp_path / "b/ndjson", tmp_path / "d.zip"]
    assert unlabelled_files(tmp_path / "b/test.csv") == [tmp_path / "b/test.csv"]
    assert labelled_parts(tmp_path / "b/test.csv", [tmp_path / "b/test.csv"]) == []
    assert labelled_parts(tmp_path / "b/ndjson", []) == [tmp_path / "b/ndjson"]


def test_a_command_that_fails_ends_the_demo_with_its_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INKSTREAM_JSON", "perhaps")  # a user's setting, of which the command would complain
    with pytest.raises(CommandFailed, match="`batch-server inspect` ended with exit code 2"):
        Commands(tmp_path).run("batch-server", "inspect", tmp_path / "nothing.lmdb")
    shown, said = capfd.readouterr()
    assert shown.startswith("$ ") and f"batch-server inspect {tmp_path}/nothing.lmdb" in shown
    assert "nothing.lmdb" in said


def test_the_server_is_stopped_when_the_demo_fails(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "datasets").mkdir()
    with pytest.raises(ZeroDivisionError), Commands(tmp_path).serve(tmp_path / "datasets") as address:
        host, _, port = address.rpartition(":")
        assert host == "127.0.0.1" and int(port) > 0
        assert processes_with(str(tmp_path))
        raise ZeroDivisionError
    assert not processes_with(str(tmp_path))


def test_ctrl_c_ends_the_demo_and_its_commands(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    demo = subprocess.Popen(
        [sys.executable, "-m", "deploy.demo"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("$"):  # the import has begun
            break
    demo.send_signal(signal.SIGINT)
    demo.stdout.read()
    assert demo.wait(30) == 130
    demo.stdout.close()
    assert not processes_with("batch-server", cwd=tmp_path)


def processes_with(word: str, cwd: Path | None = None) -> list[str]:
    """Command lines that hold a word, of processes in a folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_text().replace("\0", " ")
            where = (folder / "cwd").resolve()
        except OSError:
            continue
        if word in line and (cwd is None or where == cwd.resolve()):
            found.append(line)
    return found
