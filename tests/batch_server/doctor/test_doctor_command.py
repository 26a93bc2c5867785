import json

import pytest

from batch_server.cli import main
from inkstream.pipeline import Pipeline, Render
from inkstream.pipeline_file import PipelineFile

QUICK = ("--seconds", "0.3", "--size", "32")


def test_it_says_what_limits_with_figures(data_dir, capsys):
    assert main(["doctor", str(data_dir / "scribbles.lmdb"), *QUICK, "--rotate-deg", "10"]) == 0
    text = capsys.readouterr().out
    for words in ("2,311 samples", "32 px, gray, antialiased, rotate_deg 10", "sparse", "zstd", " limits", "Gbit/s"):
        assert words in text


def test_a_program_gets_the_figures(data_dir, capsys):
    assert main(["doctor", str(data_dir), *QUICK, "--threads", "2", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["dataset"] == "scribbles" and record["samples"] == 2311
    assert record["limit"] in ("drawing", "encoding", "reading", "disk", "quota") and record["says"]
    figures = record["figures"]
    assert figures["threads"] == 2 and figures["read_s"] > 0 and figures["draw_s"] > 0
    sparse, none = figures["compressions"]["sparse"], figures["compressions"]["none"]
    assert none["wire_bytes"] > 32 * 32 > sparse["wire_bytes"] > 0
    assert min(each["all_threads_per_s"] for each in figures["compressions"].values()) > 0


def test_the_pipeline_of_a_run_is_measured(data_dir, tmp_path, capsys):
    file = tmp_path / "pipeline.json"
    pipeline = Pipeline(dataset="scribbles", batch_size=16, render=Render(size=16, encoding="thirds"))
    PipelineFile(pipeline, "any", 1).save(file)
    words = ["doctor", str(data_dir), "--seconds", "0.2", "--pipeline", str(file)]
    assert main(words) == 0
    assert "16 px, thirds, antialiased, 16 in a batch" in capsys.readouterr().out
    assert main([*words, "--size", "32"]) == 2
    assert "leave out --size" in capsys.readouterr().err
    PipelineFile(pipeline.replace(dataset="others"), "any", 1).save(file)
    assert main(words) == 2
    assert "others.lmdb does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--threads", "0"], "--threads must be at least 1, got 0"),
        (["--memory", "63"], "--memory must be at least 64 MiB, as of serve, got 63"),
        (["--seconds", "0"], "--seconds must be from 0.1 to 600, got 0"),
        (["--seconds", "nan"], "--seconds must be from 0.1"),
        (["--size", "3"], "size"),
        (["--pipeline", "missing.json"], "missing.json is none"),
    ],
)
def test_what_makes_no_sense_is_refused(data_dir, capsys, words, error):
    assert main(["doctor", str(data_dir / "scribbles.lmdb"), *words]) == 2
    assert error in capsys.readouterr().err


def test_a_folder_without_datasets_is_refused(tmp_path, capsys):
    assert main(["doctor", str(tmp_path)]) == 2
    assert "has none" in capsys.readouterr().err
