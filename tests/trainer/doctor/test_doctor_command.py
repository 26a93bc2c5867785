"""The command against a real server, on the program that other tests have compiled (`tests.trainer.runs.words`)."""

import json

import pytest

from trainer import service
from trainer.cli import main

GIVEN = "--dataset scribbles --size 16 --batch-size 64 --validation 0.2 --epochs 2 --rotate-deg 10 --dropout 0.3"


def words(server, *more):
    return ["doctor", "--server", server.address, *GIVEN.split(), "--devices", "cpu:2", "--seconds", "1", *more]


def test_it_says_what_limits_with_figures(server, capsys):
    assert main(words(server)) == 0
    printed = capsys.readouterr()
    for part in ("stream alone", "step alone", "both together", "A call to a server and back", " limits"):
        assert part in printed.out
    assert "compiling the training step" in printed.err


def test_a_program_gets_the_figures(server, capsys):
    assert main(words(server, "--json")) == 0
    printed = capsys.readouterr()
    record = json.loads(printed.out)
    figures = record["figures"]
    assert record["limit"] in ("device", "client", "wire", "servers") and record["says"] and printed.err == ""
    assert figures["stream"]["servers"] == 1 and 0 <= figures["stream"]["waiting"] <= 1
    assert figures["uncompressed"]["wire_bytes"] > 16 * 16 and figures["stream"]["wire_bytes"] > 0
    assert figures["resident"]["rows_per_s"] > 0 and 0 <= figures["fed"]["waiting"] < 1
    assert figures["round_trip_s"] > 0 and figures["retries"] == 0


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (["--seconds", "0"], "--seconds must be from 0.1 to 600, got 0"),
        (["--batch-size", "63"], "--batch-size must be divisible by the 2 devices"),
        (["--dataset", "missing"], "missing"),
    ],
)
def test_what_makes_no_sense_is_refused(server, capsys, more, error):
    assert main(words(server, *more)) == 2
    assert error in capsys.readouterr().err


def test_servers_that_are_not_there_are_said_before_anything_is_prepared(monkeypatch, capsys):
    assert service._ANSWER_S <= 10
    monkeypatch.setattr(service, "_ANSWER_S", 0.5)
    assert main(["doctor", "--server", "127.0.0.1:1", *GIVEN.split()]) == 1
    printed = capsys.readouterr()
    assert "127.0.0.1:1" in printed.err and "Traceback" not in printed.err and printed.out == ""
