"""Inkstream's client: `inkstream_client.py ADDRESS DATASET SEED COMPRESSION`. The seed is new: nothing is in caches."""

import sys

from drawing import BATCH_SIZE, ROTATE_DEG, SCALE, SHIFT, SIZE_PX, STROKE_DROPOUT
from rate import print_rate

import inkstream
from inkstream.allocator import keep_freed_memory

ENDLESS = 1 << 30  # epochs

if __name__ == "__main__":
    keep_freed_memory()  # as trainers do
    address, dataset, seed, compression = sys.argv[1:]
    augment = inkstream.Augment(rotate_deg=ROTATE_DEG, shift=SHIFT, scale=SCALE, stroke_dropout=STROKE_DROPOUT)
    render = inkstream.Render(size=SIZE_PX)
    pipeline = inkstream.Pipeline(
        dataset=dataset, batch_size=BATCH_SIZE, seed=int(seed), render=render, augment=augment
    )
    with (
        inkstream.connect(address) as client,
        client.stream(pipeline, epochs=ENDLESS, compression=compression) as stream,
    ):
        print_rate(len(batch["image"]) for batch in stream)
