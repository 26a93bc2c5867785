"""The cache of compiled kernels is renewed whenever source that a kernel is made of changes."""

import re
from pathlib import Path

import batch_server
from batch_server.kernel_cache import KERNELS

PACKAGE = Path(batch_server.__file__).parent
# Numba itself, or what another file compiles with it.
COMPILED = re.compile(r"^(from|import) (numba|llvmlite|batch_server\.rendering\.compiled)\b", re.MULTILINE)


def test_every_file_with_a_kernel_counts() -> None:
    counted = {file for name in KERNELS for file in (PACKAGE / name).rglob("*.py")} | {
        PACKAGE / name for name in KERNELS
    }
    compiled = {file for file in PACKAGE.rglob("*.py") if COMPILED.search(file.read_text())}
    assert PACKAGE / "randomness.py" in compiled
    assert compiled <= counted
