"""Meaningless drawings, as many as a test wants."""

import json
import random
from pathlib import Path

CLASSES = ("cat", "power outlet", "The Eiffel Tower")


def scribble(rng: random.Random) -> list[list[list[int]]]:
    """Strokes of a meaningless drawing: 1 to 8 of them with 2 to 20 points."""
    return [
        [[rng.randrange(256) for _ in range(points)] for _ in "xy"]
        for points in (rng.randint(2, 20) for _ in range(rng.randint(1, 8)))
    ]


def write_scribbles(folder: Path, samples: int, seed: int = 20) -> None:
    """Writes simplified .ndjson files, one for each class, into a folder that exists."""
    rng = random.Random(seed)
    key_ids = rng.sample(range(1, 2**53), samples)
    for label, name in enumerate(CLASSES):
        with open(folder / f"{label}.ndjson", "w") as lines:
            for key_id in key_ids[label :: len(CLASSES)]:
                row = {
                    "word": name,
                    "countrycode": rng.choice(("US", "DE", "BR", "")),
                    "timestamp": f"2017-03-{rng.randint(1, 28):02} 21:12:07.26604 UTC",
                    "recognized": rng.random() < 0.9,
                    "key_id": str(key_id),
                    "drawing": scribble(rng),
                }
                lines.write(json.dumps(row) + "\n")
