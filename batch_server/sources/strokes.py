"""A drawing as it stands in JSON, checked and packed.

Two lists per stroke, x and y, mean a simplified drawing: whole numbers in 0..255. Three lists, x, y and t, mean a raw
one: any numbers, which are simplified.
"""

import numpy as np

from batch_server.drawing.record import pack
from batch_server.drawing.simplify import simplify
from batch_server.sources.fields import shown


def record_of(drawing: object) -> bytes:
    """Packs a drawing that came out of a JSON parser.

    Args:
        drawing: Whatever stood where the drawing belongs.

    Returns:
        The packed record.

    Raises:
        ValueError: It is not a drawing; the message says why.
    """
    if type(drawing) is not list:
        raise ValueError(f"a drawing is a list of strokes, got {shown(drawing)}")
    if not drawing:
        raise ValueError("empty drawing")
    for number, stroke in enumerate(drawing, 1):
        if type(stroke) is not list or any(type(values) is not list for values in stroke):
            raise ValueError(f"a stroke is a list of lists of numbers, got {shown(stroke)} as stroke {number}")
        if len(stroke) != len(drawing[0]) or len(stroke) not in (2, 3):
            raise ValueError(
                f"all strokes have two lists (x, y) or all have three (x, y, t), got {len(stroke)} in stroke {number}"
            )
        if not stroke[0]:
            raise ValueError(f"stroke {number} has no point")
        if any(len(values) != len(stroke[0]) for values in stroke):
            lengths = " and ".join(str(len(values)) for values in stroke)
            raise ValueError(f"the lists of a stroke are equally long, got {lengths} in stroke {number}")
    return _simplified(drawing) if len(drawing[0]) == 2 else _raw(drawing)


def _simplified(drawing: list[list[list[object]]]) -> bytes:
    for number, stroke in enumerate(drawing, 1):
        for values in stroke:
            # A comparison of types, since True is an integer to Python.
            if {*map(type, values)} != {int} or min(values) < 0 or max(values) > 255:  # type: ignore[type-var, operator]
                wrong = next(value for value in values if type(value) is not int or not 0 <= value <= 255)
                raise ValueError(f"a coordinate is a whole number in 0..255, got {shown(wrong)} in stroke {number}")
    return pack(drawing)  # type: ignore[arg-type]


def _raw(drawing: list[list[list[object]]]) -> bytes:
    for number, stroke in enumerate(drawing, 1):
        for values in stroke:
            if not {*map(type, values)} <= {int, float}:
                wrong = next(value for value in values if type(value) not in (int, float))
                raise ValueError(f"a raw stroke holds numbers, got {shown(wrong)} in stroke {number}")
    xs = np.concatenate([np.array(x, np.float64) for x, _, _ in drawing])
    ys = np.concatenate([np.array(y, np.float64) for _, y, _ in drawing])
    ends = np.cumsum([len(x) for x, _, _ in drawing], dtype=np.int64)
    return pack(simplify(xs, ys, ends))
