"""What a benchmark ran on; no name of the machine, no path."""

import os
import platform
from importlib import metadata
from pathlib import Path

_LIBRARIES = ("numpy", "numba", "lmdb", "grpcio", "protobuf", "opencv-python-headless", "jax", "flax")


def machine() -> str:
    """Processor, cores, memory and system."""
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{_processor()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB of memory, {platform.system()}"


def versions() -> str:
    """Python and the libraries that figures depend on."""
    libraries = (f"{name} {metadata.version(name)}" for name in _LIBRARIES)
    return f"Python {platform.python_version()}, {', '.join(libraries)}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
