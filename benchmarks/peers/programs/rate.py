"""How fast batches arrive."""

import json
import time
from collections.abc import Iterable

# Until then loaders start, and fill what they keep ready.
WARM_UP_S = 1.0
WARM_UP_BATCHES = 16
MEASURED_S = 4.0


def print_rate(rows_of_batches: Iterable[int]) -> None:
    """Prints drawings per second as a line of JSON, once batches arrive steadily.

    Args:
        rows_of_batches: The number of rows of each batch, given when the training loop has the batch; endless.
    """
    arriving = iter(rows_of_batches)
    started = time.perf_counter()
    batches = 0
    while batches < WARM_UP_BATCHES or time.perf_counter() - started < WARM_UP_S:
        next(arriving)
        batches += 1
    begun = now = time.perf_counter()
    rows = 0
    while now - begun < MEASURED_S:
        rows += next(arriving)
        now = time.perf_counter()
    print(json.dumps({"drawings_per_s": rows / (now - begun)}), flush=True)
