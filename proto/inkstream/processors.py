"""The processors that this process may use, and who uses them: a container often has fewer than its machine.

Linux tells; elsewhere a figure is None where there is none.
"""

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")
_STAT = Path("/proc/stat")
# Where the controller `cpu` is found in version 1 of cgroups.
_V1_FOLDERS = ("cpu", "cpu,cpuacct")


class Quota(NamedTuple):
    """How much processor time a container has.

    Attributes:
        cores: Processors' worth of time, the tightest of all limits that apply.
        folder: Of the cgroup that has this limit.
    """

    cores: float
    folder: Path


class Use(NamedTuple):
    """Who used the processors for a while; in processors, 1.0 being all the time of one.

    Attributes:
        own: This process.
        others: Everybody else, on those that this process may use; None where unknown.
        held_back: Share of the quota's periods in which the container had used it up and stood still; 0 without one.
    """

    own: float
    others: float | None
    held_back: float


def usable_cores() -> int:
    """As many threads as can be busy at a time: the processors of this process, and no more than its quota pays for."""
    quota = cpu_quota()
    return bound_cores() if quota is None else min(bound_cores(), max(1, math.ceil(quota.cores)))


def bound_cores() -> int:
    """The processors that this process may run on, where the system tells; else all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_quota(cgroups: Path = _CGROUPS, own: Path = _OWN_CGROUP) -> Quota | None:
    """The tightest limit that a container sets, None without one.

    Args:
        cgroups: Where cgroups are mounted.
        own: Names those of this process, as /proc/self/cgroup does.
    """
    quotas = [Quota(cores, folder) for folder in _folders(cgroups, own) if (cores := _quota_cores(folder)) is not None]
    return min(quotas, default=None)


class UseMeter:
    """Measures from its making on who uses the processors."""

    def __init__(self) -> None:
        self._quota = cpu_quota()
        self._before = _Counts.now(self._quota)

    def so_far(self) -> Use:
        """Since then."""
        before, now = self._before, _Counts.now(self._quota)
        passed_s = max(now.at_s - before.at_s, 1e-9)
        own = (now.own_s - before.own_s) / passed_s
        others = None
        if now.busy_s is not None and before.busy_s is not None:
            others = max(0.0, (now.busy_s - before.busy_s) / passed_s - own)
        periods = now.periods - before.periods
        return Use(own, others, (now.held_back - before.held_back) / periods if periods else 0.0)


class _Counts(NamedTuple):
    at_s: float
    own_s: float
    busy_s: float | None
    periods: int
    held_back: int

    @classmethod
    def now(cls, quota: Quota | None) -> "_Counts":
        stat = _numbers(quota.folder / "cpu.stat") if quota is not None else {}
        return cls(
            time.monotonic(), time.process_time(), _busy_s(), stat.get("nr_periods", 0), stat.get("nr_throttled", 0)
        )


def _folders(cgroups: Path, own: Path) -> Iterator[Path]:
    """The folders of this process's cgroup and all above it; a container may see itself as the topmost."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mounts = [cgroups]
        elif "cpu" in controllers.split(","):
            mounts = [cgroups / name for name in _V1_FOLDERS]
        else:
            continue
        inside = Path(path.lstrip("/"))
        for mount in mounts:
            yield from (mount / part for part in (inside, *inside.parents))


def _quota_cores(folder: Path) -> float | None:
    """The limit of one cgroup: `cpu.max` in version 2, two files in version 1."""
    try:
        if (folder / "cpu.max").exists():
            limit, period = (folder / "cpu.max").read_text().split()
        else:
            limit, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(limit) / int(period) if limit.strip() not in ("max", "-1") else None
    except (OSError, ValueError):
        return None


def _busy_s() -> float | None:
    """For how long the processors of this process were busy since the machine started, whoever used them."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    try:
        lines = [line.split() for line in _STAT.read_text().splitlines() if line.startswith("cpu")]
    except OSError:
        return None
    mine = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    # user, nice, system, idle, iowait, irq, softirq, steal; guests are counted as users.
    ticks = sum(sum(map(int, [*words[1:4], *words[6:9]])) for words in lines if words[0] in mine)
    return ticks / os.sysconf("SC_CLK_TCK")


def _numbers(path: Path) -> dict[str, int]:
    """A file of names and numbers, one pair a line; empty if it cannot be read."""
    try:
        return {name: int(number) for name, number in map(str.split, path.read_text().splitlines())}
    except (OSError, ValueError):
        return {}
