"""`trainer find-lr` against a real server, and what it prints given to `fit`."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from trainer.cli import main
from trainer.learning_rate.find_lr import Found
from trainer.learning_rate.range_test import Point, Rise, suggestion

PAGE = Path(__file__).parents[2] / "docs" / "learning-rate.md"
# In these drawings is nothing to learn. But from pixels that are not scaled the first losses are large, and fall.
PICTURES = "--dataset scribbles --size 8 --model mlp --dropout 0 --normalize imagenet-mean"
DATA = f"{PICTURES} --min-rate 0.00001 --max-rate 30 --updates 40"


NAMES = ("rate", "loss")


@pytest.fixture
def find(server, capsys):
    def found(*words):
        assert main(["find-lr", "--server", server.address, *DATA.split(), "--json", *words]) == 0
        return json.loads(capsys.readouterr().out)

    return found


def test_neither_the_devices_matter_nor_whether_an_update_takes_one_batch_or_two(find):
    two = find("--batch-size", "64", "--devices", "cpu:2")
    one = find("--batch-size", "32", "--accumulate", "2", "--devices", "cpu:1")
    assert (one["devices"], two["devices"]) == (1, 2) and one["rows"] == two["rows"] == 64
    rates, losses = ([np.array([point[name] for point in each["points"]]) for each in (one, two)] for name in NAMES)
    np.testing.assert_array_equal(rates[0][:20], rates[1][:20])
    np.testing.assert_allclose(losses[0][:20], losses[1][:20], rtol=0.01)
    assert 0.5 < one["suggestion"]["rate"] / two["suggestion"]["rate"] < 2


def test_what_is_printed_is_what_fit_takes_and_nothing_but_the_picture_is_written(
    server, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    words = f"--server {server.address} {DATA} --batch-size 64 --devices cpu:2"
    assert main(["find-lr", *words.split(), "--out", "rates.png", "--schedule", "plateau", "--early-stopping"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["rates.png"]
    assert Path("rates.png").read_bytes().startswith(b"\x89PNG")
    shown = capsys.readouterr().out
    assert len(re.findall(r"^ +\d\.\d\de[-+]\d\d +\d+\.\d{4} +\d+\.\d{4}$", shown, flags=re.MULTILINE)) >= 10
    options = re.search(r"--learning-rate \S+ --reference-batch 64", shown).group(0)
    asked = []
    monkeypatch.setattr("trainer.fit.fit", lambda request: asked.append(request) or 0)
    fit = f"fit --server s:1 --dataset scribbles --out run --batch-size 128 {options}"
    assert main(shlex.split(fit)) == 0
    rate = float(options.split()[1])
    assert asked[0].optimization.rate(128) == pytest.approx(2 * rate)


def test_a_range_in_which_nothing_happens_is_a_failure_with_a_remedy(server, capsys):
    words = f"find-lr --server {server.address} {DATA} --batch-size 64 --max-rate 0.00002 --updates 12 --devices cpu:2"
    assert main(words.split()) == 1
    assert "widen --min-rate and --max-rate" in capsys.readouterr().err
    assert main([*words.split(), "--min-rate", "1"]) == 2
    assert "--min-rate must be below --max-rate" in capsys.readouterr().err


def test_the_command_of_the_page_is_understood(tmp_path, monkeypatch, capsys):
    asked = []
    points = tuple(Point(10.0**exponent, 3.0, 2 + abs(exponent + 1)) for exponent in range(-5, 2))
    found = Found(points, suggestion(points), 64, 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("trainer.learning_rate.find_lr.find_lr", lambda request: asked.append(request) or found)
    (block,) = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert main(shlex.split(block.replace("\\\n", " "))[1:]) == 0
    assert asked[0].optimization.optimizer == "sgd" and asked[0].rise == Rise(1e-5, 10.0, 150)
    assert "--learning-rate 0.01 --reference-batch 64" in capsys.readouterr().out
    assert Path("rates.png").is_file()
