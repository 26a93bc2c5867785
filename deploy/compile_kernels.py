"""Compiles every kernel of the batch server by taking a few drawings the whole way: import, verify, serve, stream.

Run while the server's image is built: the compiled code stays in NUMBA_CACHE_DIR, and an image that cannot serve is
never finished.
"""

import itertools
import struct
import sys
import tempfile
from pathlib import Path

import batch_server.cli
import inkstream
from batch_server.serving.server import BatchServer, ServerSettings
from inkstream.pipeline import ENCODINGS, STYLES

DRAWINGS = 100
RECORD = (
    '{"word":"line","countrycode":"US","timestamp":"2017-03-08 21:12:07.26604 UTC","recognized":true,'
    '"key_id":"%d","drawing":[[[0,99],[99,0]]]}\n'
)
# The same drawing in the official binary layout: key id, country, recognized, time, strokes, points, x and y.
BINARY = struct.Struct("<Q2sbIHH2s2s").pack(DRAWINGS + 1, b"US", 1, 1_489_007_526, 1, 2, bytes((0, 99)), bytes((99, 0)))
VARIED = inkstream.Augment(rotate_deg=10, stroke_dropout=0.1, jitter=0.01, crop=0.1, erase=inkstream.Erase())


def main() -> int:
    """Does it; returns an exit code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources, dataset = [folder / "line.ndjson", folder / "line.bin"], str(folder / "line.lmdb")
        sources[0].write_text("".join(RECORD % key_id for key_id in range(1, DRAWINGS + 1)))
        sources[1].write_bytes(BINARY)
        for words in (["import", *map(str, sources), "--dataset", dataset], ["inspect", dataset, "--verify"]):
            code = batch_server.cli.main(words)
            if code:
                return code
        server = BatchServer(
            ServerSettings(
                data=folder,
                listen="127.0.0.1:0",
                threads=1,
                memory_bytes=256 << 20,
                cache_bytes=0,
                max_streams=4,
            )
        )
        server.load()
        server.start()
        try:
            for pipeline in pipelines():
                with inkstream.connect(server.address) as client, client.stream(pipeline, epochs=1) as stream:
                    drawn = sum(int(batch["mask"].sum()) for batch in stream)
                print(f"drew {drawn} drawings: {pipeline.render.style}, {pipeline.render.encoding}", flush=True)
        finally:
            server.stop()
    return 0


def pipelines() -> list[inkstream.Pipeline]:
    """All that reaches kernels of its own: styles, encodings, augmentations, both orders, a filter."""
    return [
        inkstream.Pipeline(
            dataset="line",
            batch_size=32,
            render=inkstream.Render(size=32, style=style, encoding=encoding),
            augment=augment,
            filter=inkstream.Filter(classes=("line",), countries=("US",), recognized=True),
            class_balanced=augment is not None,
        )
        for style, encoding, augment in itertools.product(STYLES, ENCODINGS, (None, VARIED))
    ]


if __name__ == "__main__":
    sys.exit(main())
