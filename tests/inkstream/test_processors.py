import threading
from pathlib import Path

import pytest

from inkstream.processors import UseMeter, bound_cores, cpu_quota, usable_cores

GROUP = "kubepods/pod7"


def quota_of(folder: Path, own: str) -> float | None:
    (folder / "own").write_text(own)
    found = cpu_quota(folder, folder / "own")
    return found.cores if found else None


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


@pytest.mark.parametrize(("text", "cores"), [("250000 100000\n", 2.5), ("max 100000\n", None)])
def test_version_2_has_one_file(tmp_path: Path, text: str, cores: float | None) -> None:
    write(tmp_path / GROUP, cpu__max=text)
    assert quota_of(tmp_path, f"0::/{GROUP}\n") == cores


@pytest.mark.parametrize(("quota", "cores"), [("150000\n", 1.5), ("-1\n", None)])
def test_version_1_has_two_files(tmp_path: Path, quota: str, cores: float | None) -> None:
    write(tmp_path / "cpu" / GROUP, cpu__cfs_quota_us=quota, cpu__cfs_period_us="100000\n")
    assert quota_of(tmp_path, f"3:cpuset:/\n2:cpu,cpuacct:/{GROUP}\n0::/\n") == cores


def test_the_tightest_limit_of_all_groups_around_it_counts(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "c", cpu__max="max 100000\n")
    write(tmp_path / "a" / "b", cpu__max="300000 100000\n")
    write(tmp_path / "a", cpu__max="200000 100000\n")
    assert quota_of(tmp_path, "0::/a/b/c\n") == 2.0


def test_a_container_that_sees_its_group_as_the_topmost_finds_its_limit(tmp_path: Path) -> None:
    write(tmp_path, cpu__max="50000 100000\n")
    assert quota_of(tmp_path, "0::/\n") == 0.5
    assert quota_of(tmp_path, "0::/docker/of/the/host\n") == 0.5


def test_nothing_is_known_without_control_groups(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path, tmp_path / "missing") is None
    assert quota_of(tmp_path, "0::/elsewhere\n") is None


def test_there_is_a_processor() -> None:
    assert 1 <= usable_cores() <= bound_cores()


def test_work_is_seen_as_ones_own() -> None:
    meter = UseMeter()
    while meter.so_far().own < 0.05:  # ends on the slowest machine
        sum(range(100_000))
    idle = UseMeter()
    threading.Event().wait(0.05)
    use = idle.so_far()
    assert use.own < 1.0 and (use.others is None or use.others >= 0.0) and 0.0 <= use.held_back <= 1.0
