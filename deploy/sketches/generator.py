"""Whole drawings and files of them: hurried, crooked, unfinished, as people draw in twenty seconds."""

import csv
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from deploy.sketches.pen import Pen, Stroke
from deploy.sketches.subjects import SUBJECTS

_COUNTRIES = ("BR", "DE", "FR", "GB", "IN", "JP", "KE", "US")
# Official key ids have 16 digits; these start at one.
_FIRST_KEY_ID = 1_000_000_000_000_000
_DAY = "2017-01-24"


class Sketch(NamedTuple):
    """One drawing.

    Attributes:
        word: What it shows.
        key_id: Its identity, unique in the whole set.
        country: Two letters.
        recognized: False where the pen was lifted so early that a guesser would have given up.
        strokes: Per stroke its x and its y coordinates, 0..255, the longer side of the drawing 255.
    """

    word: str
    key_id: int
    country: str
    recognized: bool
    strokes: list[tuple[list[int], list[int]]]


def sketch(word: str, number: int, seed: int) -> Sketch:
    """Draws one sketch: a function of its arguments.

    Args:
        word: A key of `SUBJECTS`.
        number: Which sketch of that word, from 0; it decides the key id.
        seed: Other drawings under the same key ids.
    """
    rng = random.Random(f"{seed}/{word}/{number}")  # text is hashed with SHA-512, the same in every process
    pen = Pen(rng, shake=min(0.12, 0.02 + rng.expovariate(40)))
    SUBJECTS[word](pen)
    strokes = _as_drawn(pen)
    kept = _unfinished(strokes, rng) if rng.random() < 0.1 else strokes
    return Sketch(
        word=word,
        key_id=_FIRST_KEY_ID + number * len(SUBJECTS) + list(SUBJECTS).index(word),
        country=rng.choice(_COUNTRIES),
        recognized=len(kept) > 0.6 * len(strokes),
        strokes=_fit(_tilt(kept, rng)),
    )


def write_labelled(folder: Path, per_class: int, seed: int) -> None:
    """Writes official simplified `.ndjson`, one file per class.

    Args:
        folder: Where to, created if need be.
        per_class: Sketches of each class: numbers 0..per_class - 1.
        seed: See `sketch`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for word in SUBJECTS:
        with (folder / f"{word}.ndjson").open("w", encoding="utf-8", newline="\n") as file:
            for number in range(per_class):
                drawn = sketch(word, number, seed)
                record = {
                    "word": word,
                    "countrycode": drawn.country,
                    "timestamp": f"{_DAY} {number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.00000 UTC",
                    "recognized": drawn.recognized,
                    "key_id": str(drawn.key_id),
                    "drawing": drawn.strokes,
                }
                file.write(json.dumps(record, separators=(",", ":")) + "\n")


def write_unlabelled(path: Path, numbers: range, seed: int) -> None:
    """Writes sketches without labels in the layout of the competition's test file, classes mixed.

    Args:
        path: The `.csv` file; its folder is created if need be.
        numbers: Which sketches of each class.
        seed: See `sketch`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("key_id", "countrycode", "drawing"))
        for drawn in _mixed(numbers, seed):
            rows.writerow((drawn.key_id, drawn.country, json.dumps(drawn.strokes)))


def _mixed(numbers: range, seed: int) -> Iterator[Sketch]:
    order = [(word, number) for word in SUBJECTS for number in numbers]
    random.Random(f"{seed}/order").shuffle(order)
    return (sketch(word, number, seed) for word, number in order)


def _as_drawn(pen: Pen) -> list[Stroke]:
    """The strokes as this person happened to draw them: another order or direction, one forgotten, one drawn twice."""
    rng, strokes = pen.rng, pen.strokes
    if rng.random() < 0.15:
        rng.shuffle(strokes)
    if len(strokes) > 3 and rng.random() < 0.15:
        strokes.pop(rng.randrange(len(strokes)))
    if rng.random() < 0.1:
        again = rng.choice(strokes)
        strokes.append([(x + rng.gauss(0, 0.05), y + rng.gauss(0, 0.05)) for x, y in again])
    if rng.random() < 0.05:  # a slip of the pen
        x, y = rng.uniform(-1, 1), rng.uniform(-1, 1)
        strokes.append([(x, y), (x + rng.gauss(0, 0.4), y + rng.gauss(0, 0.4))])
    return [stroke[::-1] if rng.random() < 0.2 else stroke for stroke in strokes]


def _unfinished(strokes: list[Stroke], rng: random.Random) -> list[Stroke]:
    """The first strokes: time was up."""
    return strokes[: max(1, round(len(strokes) * rng.uniform(0.2, 0.9)))]


def _tilt(strokes: list[Stroke], rng: random.Random) -> list[Stroke]:
    """The drawing turned, slanted, and squeezed in one direction."""
    angle = math.radians(rng.gauss(0, 20 if rng.random() < 0.15 else 6))
    slant, squeeze = rng.gauss(0, 0.1), math.exp(rng.gauss(0, 0.18))
    cos, sin = math.cos(angle), math.sin(angle)
    tilted = []
    for stroke in strokes:
        points = [((x + slant * y) * squeeze, y) for x, y in stroke]
        tilted.append([(cos * x - sin * y, sin * x + cos * y) for x, y in points])
    return tilted


def _fit(strokes: list[Stroke]) -> list[tuple[list[int], list[int]]]:
    """Whole numbers with the top left at 0 and the longer side at 255, as in Quick, Draw!'s simplified drawings."""
    xs, ys = zip(*(point for stroke in strokes for point in stroke), strict=True)
    left, top = min(xs), min(ys)
    scale = 255 / max(max(xs) - left, max(ys) - top, 1e-6)
    return [
        ([round((x - left) * scale) for x, _ in stroke], [round((y - top) * scale) for _, y in stroke])
        for stroke in strokes
    ]
