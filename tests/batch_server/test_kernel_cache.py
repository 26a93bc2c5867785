"""The cache of compiled kernels is renewed whenever source that a kernel is made of changes."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from numba import njit

import batch_server
from batch_server import kernel_cache
from batch_server.kernel_cache import KERNELS, check_kernel_cache, use_kernel_cache, when_compiling

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


def test_it_is_told_once_that_kernels_are_compiled() -> None:
    told: list[str] = []
    kernel = njit(lambda x: x + 1)
    assert kernel(1) == 2
    with when_compiling(told.append):
        assert kernel(1) == 2
        assert told == []  # it is there
        assert kernel(1.0) == 2.0
        assert kernel(1j) == 1 + 1j
    assert len(told) == 1 and told[0].startswith("compiling kernels")
    assert kernel(np.float32(1)) == 2
    assert len(told) == 1


def test_the_users_folder_is_taken_where_the_first_cannot_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(file / "kernels"))  # below a file there is no folder, for nobody
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    use_kernel_cache()
    taken = Path(os.environ["NUMBA_CACHE_DIR"])
    assert taken.parent == tmp_path / "inkstream"
    assert taken.name.startswith("kernels-")  # with the hash, so no stale kernel is run from there either
    check_kernel_cache()


def test_without_any_folder_it_is_said_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(file / "kernels"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    use_kernel_cache()
    with pytest.raises(PermissionError, match="set NUMBA_CACHE_DIR"):
        check_kernel_cache()


def test_a_full_disk_is_no_place_unless_the_kernels_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    use_kernel_cache()
    monkeypatch.setattr(kernel_cache, "_ROOM_BYTES", 1 << 62)  # more than any disk has
    with pytest.raises(PermissionError, match="free"):
        check_kernel_cache()
    (Path(os.environ["NUMBA_CACHE_DIR"]) / "kernel").touch()
    check_kernel_cache()
