"""`batch-server import` as people run it: exit codes, what is printed where, the bar."""

import io
import re

import pytest

from batch_server.commands import import_drawings
from batch_server.importing.display import ConsoleDisplay
from batch_server.importing.reading import Progress
from inkstream.command_line import Command, run_command

COMMAND = Command("batch-server", "Only what is tested.", {"import": lambda: import_drawings})
CSV = 'key_id,drawing,word\n{},"[[[1],[2]]]",cat\n'


@pytest.fixture
def run(capfd):
    def run(*words):
        code = run_command(COMMAND, ["import", *map(str, words)])
        out, err = capfd.readouterr()
        return code, out, re.sub(r"(?m)^(looking|reading|writing) .*\n", "", err)  # on a slow machine

    return run


def test_what_came_of_it_is_printed_on_standard_output(run, tmp_path):
    (tmp_path / "a.csv").write_text(CSV.format(5) + "bad\n" * 7)
    target = tmp_path / "x.lmdb"
    code, out, err = run(tmp_path / "a.csv", "--dataset", target)
    assert code == 0
    assert out.startswith(f"{target}: 1 drawing in 1 class\nrejected: 7 (batch-server inspect {target} --rejects)\n")
    rejected = [f"rejected: {tmp_path}/a.csv, line {line}: a row has as many fields" for line in range(3, 8)]
    lines = [line for line in err.splitlines() if line.startswith("rejected")]  # the first run compiles kernels
    assert all(line.startswith(start) for line, start in zip(lines[:5], rejected, strict=True))
    assert lines[5:] == ["rejected: 2 more"]


def test_no_drawing_is_a_failure(run, tmp_path):
    (tmp_path / "a.csv").write_text(CSV.format(0))
    code, out, err = run(tmp_path / "a.csv", "--dataset", tmp_path / "x.lmdb")
    assert (code, out) == (1, "")
    assert err.endswith("batch-server: there is no drawing in the sources: no dataset was written\n")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "--dataset", "x.lmdb"], "no such file or folder: nowhere"),
        ([".", "--dataset", "x"], "--dataset is a file name that ends in .lmdb, got x"),
        ([".", "--dataset", "x.lmdb", "--workers", "0"], "--workers is a number from 1 to 1024, got 0"),
        ([".", "--dataset", "x.lmdb", "--class", ""], "--class: empty word"),
        ([".", "--dataset", "old.lmdb"], "old.lmdb exists: give --replace to replace it, or another --dataset"),
        (["."], "the following arguments are required: --dataset"),
        (["--dataset", "x.lmdb"], "the following arguments are required: SOURCE"),
    ],
)
def test_wrong_usage_is_told_before_work_starts(run, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.lmdb").write_bytes(b"")
    code, _, err = run(*words)
    assert code == 2
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["old.lmdb"]


def test_a_source_that_cannot_be_read_is_a_failure(run, tmp_path):
    code, _, err = run("/proc/self/mem", "--dataset", tmp_path / "x.lmdb")
    assert code == 1
    assert err == "batch-server: cannot read /proc/self/mem: Input/output error\n"


def test_progress_is_plain_lines_every_few_seconds_where_there_is_no_terminal():
    text = io.StringIO()
    now_s = 0.0
    with ConsoleDisplay(text, clock=lambda: now_s) as display:
        display.looking()
        for tenths in range(200):
            now_s = tenths / 10
            display.reading(Progress(10 * tenths, tenths), 4000)
        display.note("something to know")
        now_s = 30.0
        display.writing(5_000, 10_000)
    assert text.getvalue().splitlines() == [
        "reading 12 %, 50 drawings",
        "reading 25 %, 100 drawings",
        "reading 37 %, 150 drawings",
        "something to know",
        "writing 50 %, 5,000 drawings",
    ]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    text = Terminal()
    now_s = 0.0
    with ConsoleDisplay(text, clock=lambda: now_s) as display:
        display.looking()
        now_s = 1.0
        display.reading(Progress(2_000, 77), 4_000)
        now_s = 2.0
        display.writing(9_000, 10_000)
    assert "reading" in text.getvalue()
    assert "50%" in text.getvalue()
    assert "77 drawings" in text.getvalue()
    assert "90%" in text.getvalue()
