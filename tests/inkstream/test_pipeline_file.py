import json
from pathlib import Path

import pytest

from inkstream.errors import InvalidRequest
from inkstream.pipeline import Augment, Erase, Filter, Pipeline, Render
from inkstream.pipeline_file import PipelineFile

EVERYTHING = Pipeline(
    dataset="doodles",
    batch_size=100,
    split="validation",
    seed=2**64 - 1,
    render=Render(size=96, encoding="thirds", ink=0, paper=255, line_width_px=1.5),
    augment=Augment(rotate_deg=10, scale=(0.9, 1.1), line_width=(0.5, 2), erase=Erase(fill="value", value=9)),
    validation=0.1,
    remainder="pad",
    shuffle=False,
    filter=Filter(classes=("dog", "日本"), countries=("US",), recognized=True),
)


@pytest.mark.parametrize("pipeline", [EVERYTHING, Pipeline(dataset="doodles", batch_size=1)])
def test_what_is_saved_is_loaded(tmp_path: Path, pipeline: Pipeline) -> None:
    file = PipelineFile(pipeline, "f1" * 16, 3)
    file.save(tmp_path / "pipeline.json")
    loaded = PipelineFile.load(tmp_path / "pipeline.json")
    assert loaded == file
    assert loaded.digest == file.digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pipeline": {"seed": 8}}, "changed after it was saved"),
        ({"fingerprint": "other"}, "changed after it was saved"),
        ({"renderer_version": 4}, "changed after it was saved"),
        ({"pipeline": {"batch_size": 0}}, "batch_size must be"),
        ({"pipeline": {"colour": "red"}}, "no pipeline file of this version"),
        ({"pipeline": {"render": {"glow": 1}}}, "no pipeline file of this version"),
    ],
)
def test_a_changed_file_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = tmp_path / "pipeline.json"
    PipelineFile(EVERYTHING, "f1" * 16, 3).save(path)
    members = json.loads(path.read_text())
    for name, value in change.items():
        members[name] = members[name] | value if isinstance(value, dict) else value
    path.write_text(json.dumps(members))
    with pytest.raises(InvalidRequest, match=said) as refused:
        PipelineFile.load(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"pipeline": 3, "fingerprint": "", "renderer_version": 1}'])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pipeline.json"
    path.write_text(text)
    with pytest.raises(InvalidRequest, match="no pipeline file"):
        PipelineFile.load(path)
