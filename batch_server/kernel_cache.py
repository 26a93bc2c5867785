"""Where compiled kernels are kept: a folder per state of the source code, so that no stale one is ever run.

Numba keeps a compiled kernel on disk until the file that holds it changes, and looks at no other file: a kernel would
go on calling what another file said before an update, with other pixels or another order and no error. So the folder's
name is a hash of all of our source. It lies in `NUMBA_CACHE_DIR` where that is set, else beside the code; where neither
can be written to, Numba takes the user's own cache folder.
"""

import os
from pathlib import Path

import numba.core.config
import xxhash


def use_kernel_cache() -> None:
    """Sets Numba's cache folder. To be called before a kernel is defined."""
    package = Path(__file__).parent
    digest = xxhash.xxh3_64()
    for file in sorted(package.rglob("*.py")):
        digest.update(file.read_bytes())
    # The variable, not Numba's setting, which may be our own already.
    parent = Path(os.environ.get("NUMBA_CACHE_DIR") or package / "__pycache__")
    numba.core.config.CACHE_DIR = str(parent / f"kernels-{digest.hexdigest()}")
