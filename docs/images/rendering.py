"""Draws the figures of docs/rendering.md from procedural sketches: `python docs/images/rendering.py`."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from batch_server.drawing.record import pack
from batch_server.rendering import draw
from batch_server.store.records import Records
from deploy.sketches import SUBJECTS, sketch
from inkstream.pipeline import ENCODINGS, STYLES, Augment, Erase, Render

LABEL_WIDTH_PX = 150
GAP_PX = 3


def strip(label: str, words: list[str], render: Render, augment: Augment | None) -> npt.NDArray[np.uint8]:
    """One labelled row of pictures, uint8 `[height, width, 3]`, RGB."""
    sketches = [sketch(word, number=0, seed=3) for word in words]
    out = np.empty((len(words), render.size, render.size, render.channels), np.uint8)
    records = Records.of([pack(one.strokes) for one in sketches])
    draw(records, np.arange(len(words), dtype=np.uint64), seed=4, epoch=0, render=render, augment=augment, out=out)
    text = np.full((render.size, LABEL_WIDTH_PX, 3), 255, np.uint8)
    cv2.putText(text, label, (4, render.size // 2 + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    cells = [np.broadcast_to(picture, (render.size, render.size, 3)) for picture in out]
    row = np.hstack([text, *(np.pad(cell, ((0, 0), (0, GAP_PX), (0, 0)), constant_values=128) for cell in cells)])
    return np.pad(row, ((0, GAP_PX), (0, 0), (0, 0)), constant_values=128)


def label_of(augment: Augment) -> str:
    """The settings of an `Augment` that are not defaults."""
    changed = {
        field.name: getattr(augment, field.name)
        for field in dataclasses.fields(augment)
        if getattr(augment, field.name) != field.default
    }
    return ", ".join(f"{name}={'Erase(1)' if name == 'erase' else value}" for name, value in changed.items())


def save(name: str, rows: list[npt.NDArray[np.uint8]]) -> None:
    """Writes rows as one small PNG beside this file."""
    cv2.imwrite(str(Path(__file__).with_name(name)), np.vstack(rows)[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


def main() -> None:
    """Draws both figures."""
    words = list(SUBJECTS)[:8]
    encodings = [
        strip(f"{style} {encoding}", words, Render(size=80, style=style, encoding=encoding), None)
        for style in STYLES
        for encoding in ENCODINGS
    ]
    save("encodings.png", encodings)
    augments = [
        Augment(),
        Augment(rotate_deg=30),
        Augment(shift=0.2),
        Augment(shear=0.4),
        Augment(scale=(0.5, 1.2)),
        Augment(zoom=(0.5, 1.2)),
        Augment(flip_horizontal=0.5),
        Augment(flip_vertical=0.5),
        Augment(stroke_dropout=0.3),
        Augment(jitter=0.02),
        Augment(line_width=(0.5, 3)),
        Augment(crop=0.2),
        Augment(erase=Erase(probability=1)),
    ]
    save("augment.png", [strip(label_of(one) or "none", ["sailboat"] * 10, Render(size=64), one) for one in augments])


if __name__ == "__main__":
    main()
