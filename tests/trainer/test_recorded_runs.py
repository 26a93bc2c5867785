"""What a run leaves behind, and that it can be repeated and resumed from that, to the bit, with all that has a memory:
accumulation, warm-up, a moving average and plateaus."""

import contextlib
import io
import json
import signal
import time
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import NamedTuple

import numpy as np
import pytest
from matplotlib.image import imread

import inkstream
from inkstream.pipeline_file import PipelineFile
from inkstream.stats import StreamStats
from tests.trainer.runs import TIMES, assert_equal_runs, host_state, rows
from trainer.cli import main
from trainer.metrics import Tally
from trainer.monitoring import RunFigures
from trainer.montage import montage
from trainer.progress import ProgressLine
from trainer.records.checkpoint_names import find_checkpoint
from trainer.records.configuration import Asked, Configuration
from trainer.records.folder import RunFolder
from trainer.records.tensorboard import events

STEPS, STOP = 26, 23
EPOCH = 29  # batches of the stream
# Evaluations after 5, 10, 15, ... steps; none is progress after the first, so the third and the fifth reduce the rate.
RECIPE = (
    f"--model mlp --dropout 0.3 --clip-norm 1 --steps {STEPS} --eval-every 5 --accumulate 3 --warmup 8 "
    "--ema-decay 0.9 --schedule plateau --plateau-patience 2 --min-delta 0.5"
)


@pytest.fixture(scope="module")
def recorded(server, tmp_path_factory):
    """The folder of a run."""
    out = tmp_path_factory.mktemp("recorded") / "run"
    given = f"--server {server.address} --dataset scribbles --size 16 --batch-size 64 --validation 0.2 --devices cpu:2"
    assert main(["fit", *given.split(), *RECIPE.split(), "--tensorboard", "--out", str(out)]) == 0
    return out


def again(recorded, out, *more):
    return main(["fit", "--config", str(recorded / "config.json"), "--out", str(out), *more])


def shown(out):
    """What TensorBoard is given, in order: scalars by step, tag and value without times, and pictures."""
    values = [
        (event.step, value)
        for path in sorted((out / "tensorboard").iterdir(), key=lambda path: path.suffix)
        for event, _ in events(path)
        for value in event.summary.value
    ]
    scalars = [(step, value.tag, value.simple_value) for step, value in values if not value.HasField("image")]
    pictures = [(step, value.image.encoded_image_string) for step, value in values if value.HasField("image")]
    return [each for each in scalars if each[1].split("/")[1] not in TIMES], pictures


def stop_after(monkeypatch, step):
    update = ProgressLine.update

    def update_and_stop(self, done, text):
        update(self, done, text)
        if done == step:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(ProgressLine, "update", update_and_stop)


class Repeated(NamedTuple):
    """A run again: its folder, what it said, and how far its training stream came while each batch was validated."""

    out: Path
    said: str
    streamed: list[StreamStats]


@pytest.fixture(scope="module")
def repeated(recorded, tmp_path_factory):
    out, streamed, training = tmp_path_factory.mktemp("repeated") / "run", [], []
    begin, add = RunFigures.begin, Tally.add

    def begin_and_watch(self, about, stats):
        training.append(stats)
        begin(self, about, stats)

    def add_when_training_is_ahead(self, *rows):
        deadline = time.monotonic() + 60
        while len(streamed) < 2 and whole(training[0]()) < EPOCH and time.monotonic() < deadline:
            Event().wait(0.001)
        streamed.append(training[0]())
        add(self, *rows)

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        patch.setattr(RunFigures, "begin", begin_and_watch)
        patch.setattr(Tally, "add", add_when_training_is_ahead)
        assert again(recorded, out) == 0
    return Repeated(out, said.getvalue(), streamed)


def whole(stats):
    """Batches of training that are here or were used."""
    return stats.batches + stats.ready_batches


def test_a_run_is_repeated_from_its_config_to_the_bit(recorded, repeated):
    assert_equal_runs(repeated.out, recorded)
    assert host_state(repeated.out) == host_state(recorded)
    assert "config.json" not in repeated.said  # nothing is other than there


def test_the_training_stream_fills_its_buffer_while_a_batch_is_validated(repeated):
    first = repeated.streamed[0]
    assert first.batches < 10 and whole(first) == EPOCH  # it was stopped by nothing but the end of the data
    assert len({stats.batches for stats in repeated.streamed[:3]}) == 1  # and none was used meanwhile


def test_a_run_that_is_interrupted_in_all_that_has_a_memory_goes_on_to_the_bit(recorded, tmp_path):
    out = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, STOP)
        assert again(recorded, out) == 143
    checkpoints, newest = find_checkpoint(RunFolder(out), "last")
    patience = checkpoints.record(newest)["standing"]["patience"]
    assert newest == STOP and STOP % 3 == 2 and STOP // 3 < 8  # within an update, and that within the warm-up
    assert (patience["plateau_waited"], patience["rate_scale"]) == (1, 0.5)
    assert again(recorded, out, "--resume") == 0
    assert_equal_runs(out, recorded)
    assert host_state(out) == host_state(recorded)
    rates = [float(row["learning_rate"]) for row in rows(out, "steps")]
    assert any(before > after for before, after in pairwise(rates))  # in spite of the warm-up
    assert len(list((out / "tensorboard").iterdir())) == 2
    assert shown(out) == shown(recorded)  # what was written after the checkpoint is cut off


def test_tensorboard_is_shown_both_logs_and_the_first_batch(recorded, server):
    scalars, ((first, png),) = shown(recorded)
    for table, kind in (("steps", "step"), ("evaluations", "evaluation")):
        logged = [
            (int(row["step"]), f"{kind}/{name}", float(np.float32(cell)))
            for row in rows(recorded, table)
            for name, cell in row.items()
            if name != "step"
        ]
        assert [each for each in scalars if each[1].startswith(f"{kind}/")] == logged
    pipeline = PipelineFile.load(recorded / "pipeline.json").pipeline
    with inkstream.connect(server.address) as client, client.stream(pipeline) as stream:
        batch = next(iter(stream))
    drawn = (imread(io.BytesIO(png)) * 255).round().astype(np.uint8)
    np.testing.assert_array_equal(drawn, montage(batch["image"][:64]))
    assert first == 1


def test_names_of_checkpoints_say_what_is_in_them(recorded, server, capsys):
    found = {path.name: path.resolve().name for path in (recorded / "models").iterdir()}
    figures = {row["step"]: float(row["map3"]) for row in rows(recorded, "evaluations")}
    best = max(figures, key=lambda step: figures[step])
    names = {step: f"mlp-16x16x1-epoch001-step{int(step):06}-map3-{figures[step]:.4f}" for step in ("25", "26", best)}
    expected = {f"best-{names[best]}": best, f"last-{names['26']}": "26"}
    assert found == expected | ({names["25"]: "25"} if best != "25" else {})
    source = ["--server", server.address, "--dataset", "scribbles", "--devices", "cpu:2", "--json"]
    for arguments in (
        [str(recorded / "models" / f"last-{names['26']}")],
        [str(recorded), "--checkpoint", f"last-{names['26']}"],
    ):
        assert main(["evaluate", *arguments, *source]) == 0
        measured = json.loads(capsys.readouterr().out)
        assert measured["step"] == 26 and measured["map3"] == pytest.approx(figures["26"], abs=1e-6)


def test_options_override_the_file_and_say_so(recorded, tmp_path, monkeypatch, capsys):
    requests = []
    monkeypatch.setattr("trainer.fit.fit", lambda request: requests.append(request) or 0)
    monkeypatch.setenv("INKSTREAM_WARMUP", "0")
    monkeypatch.setenv("INKSTREAM_CONFIG", str(recorded / "config.json"))
    assert main(["fit", "--out", str(tmp_path / "run"), "--accumulate", "4", "--nesterov"]) == 0
    assert again(recorded, tmp_path / "run", "--accumulate=4", "--nesterov") == 0
    for request in requests:
        changed = request.optimization
        assert (changed.warmup, changed.accumulate, changed.nesterov, changed.ema_decay) == (0, 4, True, 0.9)
        assert "--warmup 0" in request.asked.command  # what the environment said can be seen later
    config = json.loads((recorded / "config.json").read_text())
    lines = requests[0].repeats.check(requests[0].asked, config["run"], config["environment"])
    assert sorted(line.split(" as in")[0] for line in lines) == [
        "--accumulate is 4, not 3",
        "--nesterov is True, not False",
        "--warmup is 0, not 8",
    ]


def changed(recorded, path, **members):
    path.write_text(json.dumps(json.loads((recorded / "config.json").read_text()) | members))
    return path


def test_other_data_is_refused_and_another_environment_is_told(recorded, tmp_path, capsys):
    config = json.loads((recorded / "config.json").read_text())
    other_data = changed(recorded, tmp_path / "data.json", run=config["run"] | {"fingerprint": "f0"})
    assert main(["fit", "--config", str(other_data), "--out", str(tmp_path / "run")]) == 2
    assert "fingerprint was 'f0', is '" in capsys.readouterr().err and not (tmp_path / "run").exists()

    packages = config["environment"]["packages"]
    older = {"environment": config["environment"] | {"packages": packages | {"jax": "0.1"}}}
    file = Configuration.load(str(changed(recorded, tmp_path / "older.json", **older)))
    (line,) = file.check(Asked(config["options"], ""), config["run"], config["environment"])
    assert line.startswith("warning: jax was '0.1'") and packages["jax"] in line
    weighed = config["options"] | {"sample_weights": "/weights.csv"}

    def run(digest):
        return config["run"] | {"optimization": config["run"]["optimization"] | {"sample_weights": digest}}

    file = Configuration.load(str(changed(recorded, tmp_path / "weighed.json", options=weighed, run=run("w1"))))
    (line,) = file.check(Asked(weighed, ""), run("w2"), file.environment)
    assert line.startswith("warning: --sample-weights /weights.csv has changed: its digest was w1 in ")
    assert file.check(Asked(weighed, ""), run("w1"), file.environment) == []
    renamed = config["run"] | {"fingerprint": "f0", "pipeline": config["run"]["pipeline"] | {"dataset": "others"}}
    file = Configuration.load(str(recorded / "config.json"))
    assert file.check(Asked(config["options"], ""), renamed, file.environment) == []  # asked for by its name


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "is not JSON"),
        ("[]", 'has no "options"'),
        ('{"options": {}, "colour": 1}', "it also has colour"),
        ('{"options": {}, "run": {"model": {}}}', '"run" or "environment" is not as a run writes it'),
        ('{"options": {}, "environment": []}', "remove both"),
        ('{"options": {"colour": "red", "epochs": 3}}', "options that trainer fit has not: colour"),
        ('{"options": {"epochs": {"many": 3}}}', "epochs must be a value or a list"),
        ('{"options": {"nesterov": "yes"}}', "nesterov must be true or false"),
        ('{"options": {"epochs": "many"}}', "--epochs: invalid int value: 'many'"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_by_name(tmp_path, capsys, text, named):
    path = tmp_path / "config.json"
    path.write_text(text)
    words = ["fit", "--server", "s:1", "--dataset", "d", "--out", str(tmp_path / "run"), "--config"]
    assert main([*words, str(path)]) == 2
    assert named in capsys.readouterr().err
    assert main([*words, str(tmp_path / "none.json")]) == 2
    assert "cannot be read" in capsys.readouterr().err
