"""The commands against a real server."""

import csv
import http.client
import json
import re
import signal
import socket
import threading
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

import inkstream
from inkstream.pipeline_file import PipelineFile
from trainer.cli import main
from trainer.progress import ProgressLine

MODELS_PAGE = Path(__file__).parents[2] / "docs" / "models.md"


class MetricsWatch:
    """Looks at a run's metrics while it trains, again and again; `seen` is the last it saw."""

    def __init__(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.seen = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._ended.set()
        self._thread.join(60)

    def _look(self):
        while not self._ended.is_set():
            try:
                with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=60) as answer:
                    self.seen = answer.read().decode()
            except (OSError, http.client.HTTPException):  # it does not listen yet, or no more
                self._ended.wait(0.01)


@pytest.fixture(scope="module")
def watched(server, tmp_path_factory):
    """A run on two of the three classes, and what its metrics said last."""
    out = tmp_path_factory.mktemp("trained") / "run"
    given = f"fit --server {server.address} --dataset scribbles --size 16 --batch-size 64 --epochs 1 --validation 0.2"
    classes = ["--classes", "power outlet", "cat"]
    with MetricsWatch() as watch:
        given += f" --devices cpu:2 --metrics {watch.address} --rotate-deg 15 --stroke-dropout 0.2 --erase 0.5"
        assert main([*given.split(), "--out", str(out), *classes]) == 0
    return out, watch.seen


@pytest.fixture(scope="module")
def trained(watched):
    return watched[0]


@pytest.fixture
def client(server):
    with inkstream.connect(server.address) as client:
        yield client


def source(server):
    return ["--server", server.address, "--dataset", "scribbles", "--devices", "cpu:2"]


def test_a_run_leaves_logs_checkpoints_and_a_curve(trained, client):
    assert (trained / "classes.txt").read_text() == "cat\npower outlet\n"
    assert (trained / "curve.png").read_bytes().startswith(b"\x89PNG")
    config = json.loads((trained / "config.json").read_text())
    resolved = client.resolve(
        inkstream.Pipeline(
            dataset="scribbles",
            batch_size=64,
            validation=0.2,
            render=inkstream.Render(size=16),
            augment=inkstream.Augment(rotate_deg=15, stroke_dropout=0.2, erase=inkstream.Erase(probability=0.5)),
            filter=inkstream.Filter(classes=("cat", "power outlet")),
            remainder="pad",
        )
    )
    assert config["run"]["digest"] == resolved.digest
    assert json.loads((trained / "pipeline.json").read_text())["digest"] == resolved.digest
    steps = [json.loads(line) for line in (trained / "steps.jsonl").read_text().splitlines()]
    assert len(steps) == resolved.steps_per_epoch
    assert sum(row["samples"] for row in steps) == resolved.samples
    assert all(row["data_wait_s"] >= 0 and row["seconds"] > 0 for row in steps)


def test_fit_shows_its_figures_while_it_trains(server, watched):
    _, seen = watched
    figures = {sample.name: sample for family in text_string_to_metric_families(seen) for sample in family.samples}
    assert figures["inkstream_trainer_info"].labels == {"dataset": "scribbles", "model": "cnn"}
    # The steps are done before the validation, during which somebody looks.
    assert figures["inkstream_trainer_steps_total"].value > 0
    assert figures["inkstream_trainer_samples_total"].value > 0
    assert figures["inkstream_trainer_server_rows_total"].labels == {"server": server.address}
    assert figures["inkstream_trainer_server_rows_total"].value > 0


def test_a_batch_of_the_run_is_drawn_again_as_it_was_sent(trained, client, data_dir, run_batch_server, tmp_path):
    """Pixel by pixel: `batch-server preview` needs only the dataset and the run's folder."""
    saved, out, epoch, step = PipelineFile.load(trained / "pipeline.json"), tmp_path / "batch.png", 3, 7
    with client.stream(saved.pipeline, epochs=epoch + 1, start=inkstream.Cursor(epoch, step)) as stream:
        sent = next(iter(stream))
    assert (sent.epoch, sent.step) == (epoch, step)
    where = ["--pipeline", trained / "pipeline.json", "--epoch", str(epoch), "--step", str(step)]
    run_batch_server("preview", data_dir / "scribbles.lmdb", "--out", out, *where)
    sheet = cv2.imread(str(out), cv2.IMREAD_UNCHANGED)[..., 0]  # gray: all channels are equal
    corners = []
    for picture in sent["image"]:
        shown = picture[..., 0].repeat(7, axis=0).repeat(7, axis=1)
        match = cv2.matchTemplate(sheet, shown, cv2.TM_SQDIFF)
        y, x = (int(at) for at in np.unravel_index(match.argmin(), match.shape))
        assert np.array_equal(sheet[y : y + 112, x : x + 112], shown)
        corners.append((y, x))
    assert corners == sorted(set(corners)) and len(corners) == 64


def test_evaluate_agrees_with_the_validation_of_the_run(server, trained, monkeypatch, capsys):
    streams, stream = [], inkstream.Client.stream
    monkeypatch.setattr(inkstream.Client, "stream", lambda *a, **k: streams.append(stream(*a, **k)) or streams[-1])
    assert main(["evaluate", str(trained), *source(server), "--compression", "none", "--json"]) == 0
    figures, stats = json.loads(capsys.readouterr().out), streams[0].stats()
    assert stats.wire_bytes > stats.rows * 16 * 16  # with sparse words it would be fewer
    (epoch,) = [json.loads(line) for line in (trained / "evaluations.jsonl").read_text().splitlines()]
    for name in ("loss", "top1", "top3", "map3", "class_mean"):
        assert figures[name] == epoch[name]
    assert [row["name"] for row in figures["classes"]] == ["cat", "power outlet"]
    assert sum(row["samples"] for row in figures["classes"]) == figures["samples"]
    assert np.mean([row["top1"] for row in figures["classes"]]) == pytest.approx(figures["class_mean"])


def test_evaluate_prints_a_table(server, trained, capsys):
    assert main(["evaluate", str(trained), *source(server), "--split", "train", "--checkpoint", "last"]) == 0
    shown = capsys.readouterr().out
    assert "power outlet" in shown and "MAP@3" in shown


def test_evaluate_refuses_classes_that_the_model_does_not_know(server, trained, capsys):
    assert main(["evaluate", str(trained), *source(server), "--batch-size", "0"]) == 2
    assert "trainer: --batch-size must be a whole number from 1" in capsys.readouterr().err
    assert main(["evaluate", str(trained), *source(server), "--classes", "cat", "The Eiffel Tower"]) == 2
    assert "does not know 1 of the classes of dataset 'scribbles': 'The Eiffel Tower'" in capsys.readouterr().err


def predictions(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_predict_guesses_every_sample_once_in_order(server, trained, client, tmp_path):
    out, sheet = tmp_path / "guesses.csv", tmp_path / "guesses.png"
    assert main(["predict", str(trained), *source(server), "--out", str(out), "--pictures", str(sheet)]) == 0
    rows = predictions(out)
    every = inkstream.Pipeline(dataset="scribbles", batch_size=500, split="all", shuffle=False)
    with client.stream(every) as stream:
        key_ids = [key_id for batch in stream for key_id in batch["key_id"].tolist()]
    assert [int(row["key_id"]) for row in rows] == key_ids and len(key_ids) == 2311
    assert {row["word"] for row in rows} <= {"cat power_outlet", "power_outlet cat"}
    assert sheet.read_bytes().startswith(b"\x89PNG")


def test_predict_that_was_stopped_goes_on(server, trained, tmp_path, monkeypatch, capsys):
    whole, stopped = tmp_path / "whole.csv", tmp_path / "stopped.csv"
    assert main(["predict", str(trained), *source(server), "--out", str(whole)]) == 0
    with monkeypatch.context() as patch:
        update = ProgressLine.update

        def update_and_interrupt(self, done, text):
            update(self, done, text)
            if done >= 500:
                signal.raise_signal(signal.SIGINT)

        patch.setattr(ProgressLine, "update", update_and_interrupt)
        assert main(["predict", str(trained), *source(server), "--out", str(stopped)]) == 130
    assert not stopped.exists() and "run it again" in capsys.readouterr().out
    steps = []
    monkeypatch.setattr(ProgressLine, "update", lambda self, done, text: steps.append(done))
    assert main(["predict", str(trained), *source(server), "--out", str(stopped)]) == 0
    assert stopped.read_bytes() == whole.read_bytes()
    assert steps[0] > 500  # it did not begin anew


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--batch-size", "33"], "--batch-size must be divisible by the 2 devices, got 33"),
        (["--size", "4"], "trainer: --size must be a whole number from 8"),
        (["--model", "mobilenet_v1", "--size", "16"], "--size must be at least 32 for mobilenet_v1, got 16"),
        (["--devices", "cpu:2x"], "--devices must be all, a count"),
        (["--devices", "0,7"], "asks for device 7, there are 0 to 1"),
        (["--dropout", "1"], "trainer: --dropout must be a number from 0 below 1, got 1.0"),
        (["--epochs", "0"], "trainer: --epochs must be a number from 1"),
        (["--mixup", "0.2", "--batch-size", "30"], "divisible by twice the 2 devices, as --mixup pairs rows, got 30"),
        (["--class-weights", "cat=x"], "--class-weights must be balanced, or pairs such as cat=2, got 'cat=x'"),
        (["--class-weights", "dog=2"], "names classes that are not trained on: 'dog'. There are "),
        (["--sample-weights", "/none.csv"], "--sample-weights /none.csv cannot be read"),
        (["--freeze", "9"], "--freeze must be at most 5, the stages of this model, or all, got 9"),
        (["--freeze", "head"], "--freeze: must be a number of stages or all, got 'head'"),
        (["--layer-decay", "0"], "trainer: --layer-decay must be a number from 1e-06 to 1, got 0.0"),
        (["--weights", "a.weights.h5"], "weights of cnn are not read from .h5; .h5 is read into mobilenet_v1, "),
        (["--weights", "a.pth"], "safetensors.torch.save_file(model.state_dict(), ...)), got a.pth"),
        (["--early-stopping", "--validation", "0"], "--monitor map3 is measured in validation"),
        (["--scale", "2", "1"], "trainer: --scale low must be at most high, got (2.0, 1.0)"),
        (["--erase", "0.5", "--erase-area", "0.1", "2"], "--erase-area high must be a number from "),
        (["--erase", "2"], "trainer: --erase must be a number from 0 to 1, got 2.0"),
        (["--classes", "dog"], "trainer: --classes must be classes of dataset 'scribbles', got 'dog'"),
        (["--classes", "cat"], "at least 2 classes to tell apart, got only 'cat'"),
        (["--dataset", "nothing"], "nothing"),
    ],
)
def test_requests_that_make_no_sense_are_refused_before_work_starts(server, tmp_path, capsys, words, named):
    given = ["fit", *source(server), "--out", str(tmp_path / "run"), "--epochs", "1", "--size", "16"]
    assert main([*given, *words]) == 2
    assert named in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_weights_of_samples_that_are_nowhere_are_refused(server, tmp_path, capsys):
    weights, out = tmp_path / "weights.csv", tmp_path / "run"
    weights.write_text("key_id,weight\n7,2\n")
    words = ["--out", str(out), "--size", "16", "--sample-weights", str(weights), "--class-weights", "balanced"]
    assert main(["fit", *source(server), *words]) == 2
    assert "has 1 key ids of 1 that are not in the dataset: 7" in capsys.readouterr().err
    assert not out.exists()


def test_without_validation_the_last_checkpoint_is_the_best(server, tmp_path, capsys):
    out = tmp_path / "run"
    given = ["--size", "16", "--batch-size", "64", "--epochs", "1", "--validation", "0", "--recognized", "no"]
    assert main(["fit", *source(server), "--out", str(out), *given]) == 0
    (row,) = [json.loads(line) for line in (out / "evaluations.jsonl").read_text().splitlines()]
    assert row["map3"] is None and row["train_loss"] > 0
    capsys.readouterr()
    assert main(["evaluate", str(out), *source(server), "--split", "all", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["step"] == row["step"]


def test_a_server_that_is_not_there_is_a_failure(tmp_path, capsys, monkeypatch):
    connect = inkstream.connect
    monkeypatch.setattr(inkstream, "connect", lambda servers, **options: connect(servers, timeout_s=0.5, **options))
    words = ["fit", "--server", "127.0.0.1:1", "--dataset", "d", "--out", str(tmp_path / "run"), "--devices", "cpu:2"]
    assert main(words) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_a_folder_without_a_checkpoint_is_a_failure(server, tmp_path, capsys):
    assert main(["evaluate", str(tmp_path), *source(server)]) == 1
    assert "holds no checkpoint" in capsys.readouterr().err


def test_models_as_json_are_those_of_their_page(capsys):
    assert main(["models", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    numbers = ("parameters", "parameters_with_statistics", "min_size_px", "usual_size_px")
    page = MODELS_PAGE.read_text()
    assert [(row["name"], *(f"{row[number]:,}" for number in numbers)) for row in rows] == re.findall(
        r"^\| `(\w+)` \|.* \| ([\d,]+) \| ([\d,]+) \| (\d+), (\d+) \|$", page, re.MULTILINE
    )
    assert {row["name"]: row["source"] for row in rows}["vgg19"] == "torchvision vgg19"
    assert main(["models", "--alpha", "9"]) == 2


def test_help_shows_the_defaults(capsys):
    assert main(["fit", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for default in ("(default: 32) [INKSTREAM_BATCH_SIZE]", "(default: 128) [INKSTREAM_SIZE]", "(default: gray)"):
        assert default in shown


def test_settings_from_the_environment_leave_arguments_alone(server, trained, monkeypatch, capsys):
    monkeypatch.setenv("INKSTREAM_SERVER", server.address)
    monkeypatch.setenv("INKSTREAM_CLASSES", "cat 'power outlet'")
    monkeypatch.setenv("INKSTREAM_DEVICES", "cpu:2")
    assert main(["evaluate", str(trained), "--dataset", "scribbles", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)["classes"]] == ["cat", "power outlet"]


def test_an_unclosed_quotation_in_the_environment_is_wrong_usage(trained, monkeypatch, capsys):
    monkeypatch.setenv("INKSTREAM_CLASSES", "cat 'power outlet")
    assert main(["evaluate", str(trained), "--server", "x:1", "--dataset", "d"]) == 2
    assert "INKSTREAM_CLASSES must be words as in a shell" in capsys.readouterr().err
