"""A trainer that only looks: takes batches at a pace, hashes them, and notes how long it had to wait.

`python -m tests.chaos.consumer ADDRESS...` is one in a process of its own, which prints a line of JSON for each epoch.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field

import numpy as np
import xxhash

import inkstream

BATCH_SIZE = 256
AUGMENT = inkstream.Augment(rotate_deg=10, shift=0.05, scale=(0.9, 1.1), stroke_dropout=0.05)
# Hardly more than one range and the reserve for a second copy of another need: reading ahead hides little more than a
# second of a fault at 3,000 rows a second.
MEMORY_BYTES = 64 << 20


def pipeline(seed: int = 7) -> inkstream.Pipeline:
    """What consumers ask for: 16 KiB a row, two batches a range."""
    render = inkstream.Render(size=128)
    return inkstream.Pipeline("scribbles", BATCH_SIZE, split="all", seed=seed, render=render, augment=AUGMENT)


@dataclass
class Epoch:
    """What a consumer got of one epoch, or of its shard of it.

    Attributes:
        round: How many streams came before.
        epoch: Within the stream.
        digest: XXH3-128 of every position and tensor, in order.
        rows: That came.
        distinct: Key ids among them.
        seconds: From the first wait to the last batch.
        ended_at: When the last batch came, on the machine's monotonic clock, which all processes share.
        waits_s: For each batch.
    """

    round: int
    epoch: int
    digest: str = ""
    rows: int = 0
    distinct: int = 0
    seconds: float = 0.0
    ended_at: float = 0.0
    waits_s: list[float] = field(default_factory=list)

    @property
    def worst_pause_s(self) -> float:
        """The longest wait for a batch."""
        return max(self.waits_s)


class Pace:
    """Takes the time that a trainer would work on its batches; lost time is not caught up."""

    def __init__(self, rows_per_s: float):
        self._rows_per_s = rows_per_s
        self._free_at = time.monotonic()

    def work(self, rows: int) -> None:
        """Returns when the trainer would be done with these rows, had it begun now."""
        now = time.monotonic()
        self._free_at = max(now, self._free_at) + rows / self._rows_per_s
        time.sleep(max(0.0, self._free_at - now))


def epochs_of(batches: Iterable[inkstream.Batch], rows_per_s: float = float("inf"), round: int = 0) -> Iterator[Epoch]:
    """Consumes a stream that starts at an epoch's beginning.

    Args:
        batches: The stream; opened by the first `next` if its opening is to count as waiting.
        rows_per_s: The trainer's pace.
        round: To be noted.

    Yields:
        Each epoch when it is over.
    """
    pace, state = Pace(rows_per_s), xxhash.xxh3_128()
    found: Epoch | None = None
    key_ids: set[int] = set()
    begun = asked = time.monotonic()
    for batch in batches:
        now = time.monotonic()
        if found is None or batch.epoch != found.epoch:
            if found is not None:
                yield found
            found, key_ids, begun = Epoch(round, batch.epoch), set(), asked
            state.reset()
        state.update(f"{batch.epoch} {batch.step}".encode())
        for name in ("image", "label", "key_id", "mask"):
            state.update(f"{name} {batch[name].dtype} {batch[name].shape}".encode())
            state.update(np.ascontiguousarray(batch[name]).data)
        found.waits_s.append(now - asked)
        key_ids.update(batch["key_id"].tolist())
        found.rows += len(batch["key_id"])
        found.digest, found.distinct = state.hexdigest(), len(key_ids)
        found.seconds, found.ended_at = now - begun, now
        pace.work(len(batch["key_id"]))
        asked = time.monotonic()
    if found is not None:
        yield found


def main() -> int:
    """Consumes until the time is over and the round is whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="+")
    parser.add_argument("--epochs", type=int, default=2, help="of each round, which is a stream of its own")
    parser.add_argument("--rows-per-s", type=float, default=float("inf"))
    parser.add_argument("--seconds", type=float, default=0, help="no further round is begun after these")
    parser.add_argument("--seed", type=int, default=7, help="of the pipeline")
    options = parser.parse_args()

    def opened() -> Iterator[inkstream.Batch]:
        with client.stream(pipeline(options.seed), epochs=options.epochs, memory_bytes=MEMORY_BYTES) as stream:
            yield from stream
            print(json.dumps({"stats": asdict(stream.stats())}), flush=True)

    until, round = time.monotonic() + options.seconds, 0
    with inkstream.connect(options.servers) as client:
        while not round or time.monotonic() < until:
            for epoch in epochs_of(opened(), options.rows_per_s, round):
                print(json.dumps({"epoch": asdict(epoch)}), flush=True)
            round += 1
    return 0


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    sys.exit(main())
