"""How much memory this process may use, and whether datasets fit into it beside the server.

Drawings are read at random, so a dataset is fast where all of it stays in the page cache. A container's limit counts
the page cache that its processes read, too: Linux tells it in the files of control groups, of version 1 or 2
(docs.kernel.org/admin-guide/cgroup-v1/memory.html, docs.kernel.org/admin-guide/cgroup-v2.html).
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_CGROUP, _MOUNTS = Path("/proc/self/cgroup"), Path("/proc/self/mountinfo")

# Above `memory.high` the system takes page cache back as well, so both bound it.
_LIMITS = {"cgroup": ("memory.limit_in_bytes",), "cgroup2": ("memory.max", "memory.high")}

# What a server takes beside its chunks (docs/serving.md, "Bounds").
PROGRAM_BYTES = 256 << 20
# The least it may take for chunks: below, the largest (one row of 1,280 pixels a side, cropped out of twice that) would
# not fit.
LEAST_CHUNKS_MIB = 64


class MemoryLimit(NamedTuple):
    """What this process may use.

    Attributes:
        size_bytes: Of memory, page cache included.
        of_container: Whether a control group sets it; else it is all of the machine's memory.
    """

    size_bytes: int
    of_container: bool

    def shortage(self, dataset_bytes: int, server_bytes: int) -> str | None:
        """Says in words that datasets do not fit into the page cache; None if they do.

        Args:
            dataset_bytes: Of all datasets that are used at a time.
            server_bytes: What the server itself may take: `--memory` and `PROGRAM_BYTES`.
        """
        room_bytes = max(0, self.size_bytes - server_bytes)
        if dataset_bytes <= room_bytes:
            return None
        owner = "this container" if self.of_container else "this machine"
        return (
            f"{size_text(dataset_bytes)} of datasets do not fit into memory: {owner} has "
            f"{size_text(self.size_bytes)}, of which the server itself may take {size_text(server_bytes)}, so drawings "
            f"will be read from the disk; give it {size_text(dataset_bytes + server_bytes)}, or a fast disk"
        )


def memory_limit() -> MemoryLimit:
    """The machine's memory, or what a control group leaves of it."""
    machine_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    group_bytes = least_limit(map(_read, limit_files(_read(_CGROUP), _read(_MOUNTS))))
    if group_bytes is None or group_bytes >= machine_bytes:
        return MemoryLimit(machine_bytes, of_container=False)
    return MemoryLimit(group_bytes, of_container=True)


def limit_files(groups: str, mounts: str) -> list[Path]:
    """The files that may hold a limit: of the process's control group and of those around it.

    Args:
        groups: The text of /proc/self/cgroup.
        mounts: The text of /proc/self/mountinfo.
    """
    files = []
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, *_, options) = before.split(), (*after.split(), "", "")[:3]
        if len(fields) < 5 or kind not in _LIMITS or (kind == "cgroup" and "memory" not in options.split(",")):
            continue
        root, mounted_at = PurePosixPath(fields[3]), Path(fields[4])
        group = _group(groups, kind)
        # A container may see its own group alone, mounted as if it were the root of all.
        inner = group.relative_to(root) if group.is_relative_to(root) else PurePosixPath()
        folders = [mounted_at / part for part in (inner, *inner.parents)]
        files += [folder / name for folder in folders for name in _LIMITS[kind]]
    return files


def least_limit(texts: Iterable[str]) -> int | None:
    """The least of several limits in bytes; None if there is none.

    Args:
        texts: What the files hold: a number, `max`, or nothing where one could not be read.
    """
    return min((int(text) for text in texts if text.strip().isdecimal()), default=None)


def _group(groups: str, kind: str) -> PurePosixPath:
    """The process's control group: of the memory controller, or the only one in version 2."""
    for line in groups.splitlines():
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        if "memory" in controllers.split(",") if kind == "cgroup" else number == "0" and not controllers:
            return PurePosixPath(path)
    return PurePosixPath("/")


def _read(path: Path) -> str:
    """The text of a file; empty where there is none, as on other systems."""
    with suppress(OSError):
        return path.read_text()
    return ""


def size_text(size_bytes: int) -> str:
    """For people: `6.5 GB`, `5.8 MB`."""
    return f"{size_bytes / 1e9:,.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:,.1f} MB"
