import dataclasses

import pytest

from batch_server.doctor.diagnosis import CompressionFigures, Figures, diagnose
from inkstream.pipeline import Pipeline, Render

PIPELINE = Pipeline(dataset="doodles", batch_size=256)
SPARSE = CompressionFigures(encode_s=0.8e-6, one_thread_per_s=200_000, all_threads_per_s=1_600_000, wire_bytes=4_000)
NONE = CompressionFigures(encode_s=0.5e-6, one_thread_per_s=210_000, all_threads_per_s=1_700_000, wire_bytes=16_400)
# A server of eight processors with nothing else to do, its data in memory.
HEALTHY = Figures(
    threads=8,
    cores=8,
    quota_cores=None,
    held_back=0.0,
    other_cores=0.1,
    found_per_s=1_590_000,
    disk_bytes=0,
    shortage=None,
    read_s=0.3e-6,
    draw_s=3.9e-6,
    half_size_draw_s=2.6e-6,
    compressions={"sparse": SPARSE, "none": NONE},
)


def with_sparse(**changes: float) -> dict[str, CompressionFigures]:
    return {"sparse": dataclasses.replace(SPARSE, **changes), "none": NONE}


@pytest.mark.parametrize(
    ("changes", "limit", "words"),
    [
        ({}, "drawing", ["Drawing limits", "78%", "5.0 microseconds", "1,600,000 drawings/s", "6,400 MB/s"]),
        ({"compressions": with_sparse(encode_s=30e-6)}, "encoding", ["Encoding limits", "88%"]),
        ({"read_s": 9e-6}, "reading", ["Reading limits"]),
        (
            {"found_per_s": 90_000, "disk_bytes": 12_345_678},
            "disk",
            ["The disk limits", "90,000/s", "12.3 MB of them from the disk"],
        ),
        ({"quota_cores": 2.5, "held_back": 0.4}, "quota", ["quota limits", "2.5 of 8", "40%"]),
    ],
)
def test_what_limits_is_named_with_its_figures(changes: dict, limit: str, words: list[str]) -> None:
    found = diagnose(dataclasses.replace(HEALTHY, **changes), PIPELINE)
    assert found.limit == limit
    for each in words:
        assert each in found.says


@pytest.mark.parametrize(
    "changes",
    [
        {"found_per_s": 90_000},  # slow at first, yet nothing came from the disk: somebody else was at work
        {"disk_bytes": 12_345_678},  # some reads that cost nothing
        {"quota_cores": 8.0, "held_back": 0.4},
        {"quota_cores": 2.5, "held_back": 0.01},
    ],
)
def test_what_does_not_limit_is_not_blamed(changes: dict) -> None:
    assert diagnose(dataclasses.replace(HEALTHY, **changes), PIPELINE).limit == "drawing"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "each processor adds about 200,000 drawings/s"),
        ({}, "--size 64 instead of 128 draws 1.5 times as fast"),
        ({}, "the network needs 100 Gbit/s"),
        ({}, "1 Gbit/s carries 118 MB/s, in drawings/s: 29,375 with sparse, 7,165 with none"),
        ({"threads": 4}, "Only 4 of 8 processors draw: raise --threads"),
        ({"threads": 1, "quota_cores": 2.5}, "Only 1 of 2 processors draw: raise --threads"),
        ({"shortage": "90 GB do not fit"}, "90 GB do not fit."),
        ({"found_per_s": 90_000, "disk_bytes": 4096}, "serve --warm"),
        ({"quota_cores": 2.5, "held_back": 0.4}, "--threads 2"),
        ({"other_cores": 3.0}, "Other programs used 3.0 of 8 processors"),
        ({"compressions": with_sparse(all_threads_per_s=600_000.0)}, "8 threads do 3.0 times the work of one"),
    ],
)
def test_advice_follows_from_the_figures(changes: dict, words: str) -> None:
    assert any(words in text for text in diagnose(dataclasses.replace(HEALTHY, **changes), PIPELINE).advice)


def test_advice_that_would_change_nothing_is_left_out() -> None:
    same = diagnose(dataclasses.replace(HEALTHY, half_size_draw_s=3.8e-6), PIPELINE)
    text = " ".join(same.advice)
    for words in ("--size", "--threads", "--encoding", "--style", "Other programs", "times the work of one"):
        assert words not in text


def test_no_more_threads_are_proposed_than_a_quota_pays_for() -> None:
    text = " ".join(diagnose(dataclasses.replace(HEALTHY, threads=2, quota_cores=2.5), PIPELINE).advice)
    assert "--threads" not in text
    assert "each processor adds about 800,000 drawings/s" in text  # two of them delivered 1,600,000


def test_it_is_said_first_that_others_disturb() -> None:
    disturbed = dataclasses.replace(HEALTHY, other_cores=3.0, shortage="90 GB do not fit")
    assert diagnose(disturbed, PIPELINE).advice[0].startswith("Other programs used 3.0 of 8 processors")


def test_slower_pictures_are_named() -> None:
    slow = PIPELINE.replace(render=Render(encoding="thirds", style="classic"))
    text = " ".join(diagnose(HEALTHY, slow).advice)
    assert "--encoding gray" in text and "--style antialiased" in text
