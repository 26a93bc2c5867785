"""A run whose numbers overflow: it ends, says with which batch, and leaves the checkpoints from before."""

import contextlib
import io
import json

import numpy as np
import pytest
from matplotlib.image import imread

import inkstream
from inkstream.pipeline_file import PipelineFile
from tests.trainer.runs import rows
from trainer.cli import main
from trainer.montage import GAP_PX, GAP_VALUE, montage
from trainer.records.checkpoint_names import find_checkpoint
from trainer.records.folder import RunFolder

ABSURD = "--model mlp --optimizer sgd --schedule constant --learning-rate 100 --checkpoint-every-steps 1"


def fit(server, out):
    given = f"--server {server.address} --dataset scribbles --size 16 --batch-size 64 --epochs 1 --devices cpu:2"
    return ["fit", *given.split(), *ABSURD.split(), "--out", str(out)]


@pytest.fixture(scope="module")
def broken(server, tmp_path_factory):
    """The folder of a run that broke and said so."""
    out = tmp_path_factory.mktemp("broken") / "run"
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        assert main(fit(server, out)) == 1
    said = errors.getvalue()
    assert str(out / "not-finite.png") in said and "--clip-norm" in said and "Traceback" not in said
    return out


def test_the_batch_is_written_down_and_drawn(broken, server):
    known = json.loads((broken / "not-finite.json").read_text())
    pipeline = PipelineFile.load(broken / "pipeline.json").pipeline
    with inkstream.connect(server.address) as client:
        with client.stream(pipeline, epochs=1, start=(known["epoch"], known["step"])) as stream:
            batch = next(iter(stream))
    assert known["key_ids"] == batch["key_id"].tolist() and known["cursor"] == list(batch.cursor)
    drawn = (imread(broken / "not-finite.png")[..., :3] * 255).round().astype(np.uint8)
    np.testing.assert_array_equal(drawn, montage(255 - batch["image"]))


def test_the_checkpoints_are_those_from_before(broken):
    steps = rows(broken, "steps")
    checkpoints, newest = find_checkpoint(RunFolder(broken), "last")
    assert newest == len(steps) == json.loads((broken / "not-finite.json").read_text())["steps_done"] - 1
    record = checkpoints.record(newest)
    assert record["standing"]["step"] == newest


def test_a_montage_holds_every_picture_in_its_place():
    images = np.arange(5 * 8 * 8 * 3, dtype=np.uint32).astype(np.uint8).reshape(5, 8, 8, 3)
    sheet = montage(images)
    pitch = 8 + GAP_PX
    assert sheet.shape == (2 * pitch + GAP_PX, 3 * pitch + GAP_PX, 3)
    np.testing.assert_array_equal(sheet[pitch + GAP_PX : 2 * pitch, GAP_PX + pitch : 2 * pitch], images[4])
    assert (sheet[pitch + GAP_PX :, GAP_PX + 2 * pitch :] == GAP_VALUE).all()
