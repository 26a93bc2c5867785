"""A process that takes batches as fast as they come, for benchmarks that vary the client's process.

`python -m benchmarks.consumer ADDRESS... --dataset NAME` reads the arguments of `consume` from each line, a JSON
object, and answers with a JSON list: rows, bytes of messages, seconds, and the processor seconds of this process.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import inkstream
from benchmarks.dataset import AUGMENT


def main() -> None:
    """Serves standard input until it ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="+")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--tls-ca", type=Path)
    parser.add_argument("--token-file", type=Path)
    options = parser.parse_args()
    tls = inkstream.TLS(ca=options.tls_ca) if options.tls_ca else None
    with inkstream.connect(options.servers, tls=tls, token_file=options.token_file) as client:
        for line in sys.stdin:
            begun, worked = time.perf_counter(), time.process_time()
            rows, wire_bytes = consume(client, options.dataset, **json.loads(line))
            found = rows, wire_bytes, time.perf_counter() - begun, time.process_time() - worked
            print(json.dumps(found), flush=True)


def consume(
    client: inkstream.Client, dataset: str, *, compression: str, share: float, times: int, batch_size: int, seed: int
) -> tuple[int, int]:
    """Streams an epoch of a share of a dataset, several times the same one; returns rows and bytes of messages."""
    pipeline = inkstream.Pipeline(dataset, batch_size, split="validation", validation=share, seed=seed, augment=AUGMENT)
    rows = wire_bytes = 0
    for _ in range(times):
        with client.stream(pipeline, compression=compression) as stream:
            rows += sum(batch.rows.size for batch in stream)
            wire_bytes += stream.stats().wire_bytes
    return rows, wire_bytes


if __name__ == "__main__":
    main()
