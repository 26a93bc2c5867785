"""The batch server: imports drawings into LMDB, draws them and streams batches."""

from batch_server.kernel_cache import use_kernel_cache

use_kernel_cache()
