"""The subcommands of `batch-server`, a module each: `add(subcommands)` declares one, `run(options)` does it.

All of them need kernels.
"""

from batch_server.kernel_cache import check_kernel_cache

check_kernel_cache()
