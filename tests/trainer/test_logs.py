import csv
import json
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.records.curve import draw_curve
from trainer.records.logs import EVALUATION_COLUMNS, STEP_COLUMNS, Table, read_rows

COLUMNS = ("step", "loss", "note")


def fill(path, steps):
    with Table(path, COLUMNS) as table:
        for step in steps:
            table.append(step=step, loss=np.float32(1 / step).item(), note=None)


def csv_rows(path):
    with open(path.with_suffix(".csv"), newline="") as file:
        return list(csv.DictReader(file))


def test_both_files_hold_the_bits_of_a_loss(tmp_path):
    path = tmp_path / "steps.jsonl"
    fill(path, range(1, 50))
    for number, (row, line) in enumerate(zip(read_rows(path), csv_rows(path), strict=True), start=1):
        assert np.float32(row["loss"]) == np.float32(float(line["loss"])) == np.float32(1 / number)
        assert row["note"] is None and line["note"] == ""


@settings(deadline=None, max_examples=60)
@given(written=st.integers(0, 12), cut=st.integers(0, 14), torn=st.integers(0, 40))
def test_cutting_and_going_on_equals_never_having_stopped(written, cut, torn):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "steps.jsonl"
        fill(path, range(1, written + 1))
        for name in (path, path.with_suffix(".csv")):  # as if the process had died in the middle of a line
            if torn and written:
                data = name.read_bytes()
                last = data.rstrip(b"\n").rfind(b"\n") + 1
                name.write_bytes(data[: min(last + torn, len(data) - 1)])
        with Table(path, COLUMNS) as table:
            table.cut(cut)
        whole = written - 1 if torn and written else written
        kept = min(whole, cut)
        assert [row["step"] for row in read_rows(path)] == list(range(1, kept + 1))
        fill(path, range(kept + 1, 16))
        expected = Path(folder) / "expected.jsonl"
        fill(expected, range(1, 16))
        assert path.read_bytes() == expected.read_bytes()
        assert path.with_suffix(".csv").read_bytes() == expected.with_suffix(".csv").read_bytes()


def test_the_curve_is_drawn_with_and_without_validation(tmp_path):
    steps = [dict.fromkeys(STEP_COLUMNS, 0.5) | {"step": step} for step in range(1, 200)]
    epoch = dict.fromkeys(EVALUATION_COLUMNS, 0.5) | {"step": 100}
    unvalidated = epoch | dict.fromkeys(("loss", "top1", "top3", "map3", "class_mean"))
    for name, epochs in (("with", [epoch]), ("without", [unvalidated])):
        draw_curve(tmp_path / f"{name}.png", steps, epochs)
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert json.dumps(epoch)  # rows are plain values
