import pytest

from batch_server.memory_limits import PROGRAM_BYTES, MemoryLimit, least_limit, limit_files, memory_limit

V1_MOUNTS = """\
24 1 254:0 / / rw,relatime - ext4 /dev/vda rw
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:7 - cgroup cgroup rw,memory
"""
V1_GROUPS = "5:devices:/\n4:memory:/pods/one\n0::/\n"
# Docker without a namespace of control groups: the container's own group is all that is mounted.
V1_CONTAINER_MOUNTS = "35 31 0:32 /docker/1f2e /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
V1_CONTAINER_GROUPS = "4:memory:/docker/1f2e\n"
V2_MOUNTS = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V2_GROUPS = "0::/kubepods.slice/pod7\n"


def names(groups: str, mounts: str) -> list[str]:
    return [str(path) for path in limit_files(groups, mounts)]


def test_the_files_of_version_1_are_those_of_the_group_and_of_the_groups_around_it() -> None:
    memory = "/sys/fs/cgroup/memory"
    assert names(V1_GROUPS, V1_MOUNTS) == [
        f"{memory}/pods/one/memory.limit_in_bytes",
        f"{memory}/pods/memory.limit_in_bytes",
        f"{memory}/memory.limit_in_bytes",
    ]


def test_a_container_that_sees_its_group_as_the_root_finds_its_limit() -> None:
    assert names(V1_CONTAINER_GROUPS, V1_CONTAINER_MOUNTS) == ["/sys/fs/cgroup/memory/memory.limit_in_bytes"]
    assert names("0::/\n", V2_MOUNTS) == ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.high"]
    outside = names("0::/../../elsewhere\n", V2_MOUNTS.replace(" / /sys", " /mine /sys"))
    assert outside == ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.high"]


def test_version_2_has_one_tree() -> None:
    assert names(V2_GROUPS, V2_MOUNTS)[:2] == [
        "/sys/fs/cgroup/kubepods.slice/pod7/memory.max",
        "/sys/fs/cgroup/kubepods.slice/pod7/memory.high",
    ]
    assert len(names(V2_GROUPS, V2_MOUNTS)) == 6


def test_a_system_without_control_groups_has_no_files() -> None:
    assert names("", "") == []


@pytest.mark.parametrize(("groups", "mounts"), [("12:memory", V2_MOUNTS), (V2_GROUPS, "36 25 - cgroup2 x rw")])
def test_lines_of_another_form_are_passed_over(groups: str, mounts: str) -> None:
    assert all(name.startswith("/") for name in names(groups, mounts))


@pytest.mark.parametrize(
    ("texts", "least"),
    [
        (["max\n", "2147483648\n", "1073741824\n"], 1 << 30),
        (["max\n"], None),
        (["", "9223372036854771712\n"], 9223372036854771712),
        ([], None),
    ],
)
def test_the_least_limit_counts(texts: list[str], least: int | None) -> None:
    assert least_limit(texts) == least


def test_this_process_has_memory() -> None:
    assert (100 << 20) < memory_limit().size_bytes < (1 << 50)


def test_a_shortage_is_said_with_its_figures_and_the_remedy() -> None:
    limit = MemoryLimit(4_000_000_000, of_container=True)
    assert limit.shortage(2_000_000_000, 1_500_000_000) is None
    said = limit.shortage(6_500_000_000, 1_500_000_000)
    assert said is not None
    for words in ("6.5 GB of datasets do not fit", "this container has 4.0 GB", "take 1.5 GB", "give it 8.0 GB"):
        assert words in said
    assert "5.8 MB of datasets do not fit" in str(MemoryLimit(1, of_container=True).shortage(5_800_000, PROGRAM_BYTES))
    assert "this machine" in str(MemoryLimit(1, of_container=False).shortage(2, PROGRAM_BYTES))
