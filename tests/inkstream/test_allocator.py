"""What a process frees it keeps, where the C library is glibc."""

import platform
import subprocess
import sys

import pytest

# Page faults while 64 blocks of 4 MiB, each written to, come and go after a first one.
PROGRAM = """
import resource
from inkstream.allocator import keep_freed_memory
{call}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
b"x" * (4 << 20)
before = faults()
for _ in range(64):
    b"x" * (4 << 20)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is tuned")
def test_freed_memory_is_used_again_without_a_page_fault() -> None:
    faults = [
        int(subprocess.run([sys.executable, "-c", PROGRAM.format(call=call)], check=True, capture_output=True).stdout)
        for call in ("", "keep_freed_memory()")
    ]
    assert faults[1] < 64 < faults[0]
