"""JAX for the tests of the trainer: the processor as two devices, and programs compiled only once.

Set before anything imports JAX, and inherited by the processes that tests start.
"""

import os
import tempfile

_COMPILED = tempfile.TemporaryDirectory(prefix="jax-compiled-")  # removed when the interpreter ends

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUM_CPU_DEVICES"] = "2"
os.environ["JAX_COMPILATION_CACHE_DIR"] = _COMPILED.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
