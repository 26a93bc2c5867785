"""A run's figures at /metrics, as Prometheus reads them."""

import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from inkstream.listening import ListenAddress
from inkstream.stats import StatsCounter
from trainer.cli import main
from trainer.monitoring import metrics_port

LOOPBACK = ListenAddress("127.0.0.1", 0)


def scrape(address):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        (sample.name.removeprefix("inkstream_trainer_"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def row(step, samples, data_wait_s):
    return {
        "step": step,
        "epoch": 0,
        "loss": 1 / step,
        "accuracy": 0.5,
        "samples": samples,
        "learning_rate": 0.1,
        "data_wait_s": data_wait_s,
        "seconds": 0.5,
    }


def test_figures_are_those_of_the_steps_and_of_the_stream(capsys):
    stats = StatsCounter(["a:1", "b:1"])
    with metrics_port(LOOPBACK) as figures:
        address = capsys.readouterr().out.removeprefix("metrics on ").strip()
        assert scrape(address)["steps_total",] == 0
        figures.begin({"dataset": "doodles", "model": "cnn"}, stats.snapshot)
        for step in (41, 42, 43):
            stats.chunk("a:1", 20, 1000, wait_s=0.5, decode_s=0.25)
            stats.chunk("b:1", 12, 600, wait_s=2.0, decode_s=0.125)
            stats.batch(32, wait_s=0.5)
            figures.add_step(row(step, samples=30, data_wait_s=0.25))
        stats.failure("b:1")
        stats.hedge("a:1")
        stats.move("b:1")
        shown = scrape(address)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://{address}/", timeout=60)
    assert shown["info", "doodles", "cnn"] == 1
    assert shown["steps_total",] == shown["stream_batches_total",] == 3
    assert (shown["samples_total",], shown["stream_rows_total",]) == (90, 96)
    assert (shown["step",], shown["loss",]) == (43, 1 / 43)
    assert (shown["data_wait_seconds_total",], shown["step_seconds_total",]) == (0.75, 1.5)
    assert shown["stream_wait_seconds_total",] == 1.5
    assert (shown["server_chunks_total", "a:1"], shown["server_rows_total", "b:1"]) == (3, 36)
    assert shown["server_received_bytes_total", "a:1"] == 3000
    assert (shown["server_wait_seconds_total", "b:1"], shown["server_decode_seconds_total", "a:1"]) == (6, 0.75)
    assert shown["stream_ready_batches",] == 0
    assert (shown["server_failures_total", "a:1"], shown["server_failures_total", "b:1"]) == (0, 1)
    assert (shown["server_hedges_total", "a:1"], shown["server_moves_total", "b:1"]) == (1, 1)
    with pytest.raises(OSError):
        scrape(address)


def test_nothing_listens_unless_asked(capsys):
    with metrics_port(None) as figures:
        figures.add_step(row(1, 32, 0.0))
    assert capsys.readouterr().out == ""


def test_a_wrong_address_is_refused(tmp_path, capsys):
    words = ["fit", "--server", "127.0.0.1:1", "--dataset", "any", "--out", str(tmp_path / "run"), "--metrics", "9090"]
    assert main(words) == 2
    assert "--metrics must be HOST:PORT" in capsys.readouterr().err
