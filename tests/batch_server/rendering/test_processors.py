"""Equal bytes on every processor, at every thread count, and no kernel that leaves its arrays."""

import json
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batch_server.rendering import draw, self_test_digest
from batch_server.store.records import Records
from inkstream.pipeline import Augment, Render

# Prints the self-test's digest, and what shows that the emulation took effect.
REPORT = """
import json, math
import cv2, numpy, xxhash
from numba.core.registry import cpu_target
from numpy._core import _multiarray_umath as numpy_core
from batch_server.rendering import self_test_digest
from batch_server.rendering.bench import empty_bench
from batch_server.rendering.segments import cover_segments

bounds_checked = False
try:
    segments, too_small = numpy.zeros((4, 9)), numpy.zeros(255, numpy.uint8)
    cover_segments(too_small, 16, segments, 0, 1, 2.0, empty_bench())
except IndexError:
    bounds_checked = True
sines = xxhash.xxh3_64_hexdigest(numpy.array([math.sin(0.37 * i) for i in range(20000)]).tobytes())
print(json.dumps({
    "digest": self_test_digest(),
    "llvm": cpu_target.target_context.codegen().magic_tuple()[1:],
    "numpy": [name for name, found in numpy_core.__cpu_features__.items() if found],
    "opencv": cv2.getCPUFeaturesLine().split(),
    "sines": sines,
    "bounds_checked": bounds_checked,
}))
"""


def report(environment: dict[str, str]) -> dict[str, Any]:
    """What `REPORT` prints in a process of its own; Numba keeps the kernels of each processor apart."""
    finished = subprocess.run(
        [sys.executable, "-c", REPORT],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)  # type: ignore[no-any-return]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="emulates older x86 processors")
def test_digest_is_equal_on_emulated_processors(tmp_path: Path) -> None:
    numpy_core: Any = np._core._multiarray_umath  # type: ignore[attr-defined]
    beyond_v3 = [name for name in numpy_core.__cpu_dispatch__ if "AVX512" in name or "V4" in name]
    first = {
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F",
        "NUMBA_CPU_NAME": "x86-64",
        "NUMBA_CPU_FEATURES": "",
        "NPY_DISABLE_CPU_FEATURES": " ".join(numpy_core.__cpu_dispatch__),
        "OPENCV_CPU_DISABLE": "SSE4.1,SSE4.2,AVX,FP16,AVX2,AVX512-SKX",
    }
    # The code for this one checks every index as well: the self-test would end with an IndexError.
    third = {
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F",
        "NUMBA_CPU_NAME": "x86-64-v3",
        "NUMBA_CPU_FEATURES": "",
        "NPY_DISABLE_CPU_FEATURES": " ".join(beyond_v3),
        "OPENCV_CPU_DISABLE": "AVX512-SKX",
        "NUMBA_BOUNDSCHECK": "1",
        "NUMBA_CACHE_DIR": str(tmp_path),  # Numba would take kernels without these checks
    }
    with ThreadPoolExecutor(2) as pool:
        oldest, middle = pool.map(report, (first, third))

    assert oldest["llvm"] == ["x86-64", ""]
    assert not set(oldest["numpy"]) & set(numpy_core.__cpu_dispatch__)
    assert {"SSE2", "*AVX?", "*AVX2?"} <= set(oldest["opencv"])
    assert oldest["sines"] != middle["sines"] or "FMA3" not in middle["numpy"]  # glibc took its older code
    assert not oldest["bounds_checked"]

    assert middle["llvm"] == ["x86-64-v3", ""]
    assert not set(middle["numpy"]) & set(beyond_v3)
    assert "*AVX512-SKX?" in middle["opencv"]
    assert middle["bounds_checked"]

    assert oldest["digest"] == middle["digest"] == self_test_digest()


@pytest.mark.parametrize("style", ["antialiased", "classic"])
def test_threads_draw_equal_bytes(generated: list[Any], style: str) -> None:
    from batch_server.drawing.record import pack

    records = Records.of([pack(drawing) for drawing in generated])
    key_ids = np.arange(len(generated), dtype=np.uint64)
    render = Render(size=96, style=style, encoding="rainbow")
    augment = Augment(rotate_deg=20, stroke_dropout=0.2, jitter=0.01, crop=0.1)

    def drawn(epoch: int) -> bytes:
        out = np.empty((len(generated), 96, 96, 3), np.uint8)
        draw(records, key_ids, seed=1, epoch=epoch, render=render, augment=augment, out=out)
        return out.tobytes()

    epochs = [1, 2, 3, 4] * 3
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(drawn, epochs)) == [drawn(epoch) for epoch in epochs]
