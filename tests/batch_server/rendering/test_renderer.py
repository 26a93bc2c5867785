"""`draw` with anything that fits, and with what does not."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_server.drawing.record import pack
from batch_server.rendering import RENDERER_VERSION, draw, self_test_digest
from batch_server.rendering.self_test import PIPELINES
from batch_server.store.records import Records
from inkstream.pipeline import ENCODINGS, STYLES, Augment, Erase, Render

coordinates = st.integers(0, 255)
strokes = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=30).map(
    lambda points: ([x for x, _ in points], [y for _, y in points])
)
drawings = st.lists(strokes, min_size=1, max_size=12)
pairs = st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)).map(lambda ends: (min(ends), max(ends)))


@st.composite
def renders(choose: Any) -> Render:
    size = choose(st.integers(8, 80))
    style, encoding = choose(st.sampled_from(STYLES)), choose(st.sampled_from(ENCODINGS))
    if style == "classic":
        return Render(size=size, style=style, encoding=encoding)
    ink, paper = choose(st.tuples(coordinates, coordinates).filter(lambda both: both[0] != both[1]))
    width = choose(st.floats(0.5, size / 4))
    return Render(size=size, encoding=encoding, line_width_px=width, ink=ink, paper=paper)


augments = st.builds(
    Augment,
    rotate_deg=st.floats(0, 180),
    shift=st.floats(0, 1),
    shear=st.floats(0, 1),
    scale=pairs,
    zoom=pairs,
    flip_horizontal=st.floats(0, 1),
    flip_vertical=st.floats(0, 1),
    stroke_dropout=st.floats(0, 0.99),
    jitter=st.floats(0, 0.5),
    crop=st.floats(0, 0.5),
    erase=st.none() | st.just(Erase(area=(0.001, 1), aspect=(0.05, 20))),
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(drawings, min_size=1, max_size=3), renders(), augments, st.integers(0, 2**64 - 1))
def test_any_drawing_in_any_pipeline(chunk: Any, render: Render, augment: Augment, seed: int) -> None:
    records = Records.of([pack(drawing) for drawing in chunk])
    key_ids = np.arange(len(chunk), dtype=np.uint64) + np.uint64(2**64 - 5)
    twice = []
    for filler in (0, 255):
        guarded = np.full((len(chunk) + 2, render.size, render.size, render.channels), filler, np.uint8)
        draw(records, key_ids, seed=seed, epoch=2**64 - 1, render=render, augment=augment, out=guarded[1:-1])
        assert (guarded[[0, -1]] == filler).all()
        twice.append(guarded[1:-1])
    np.testing.assert_array_equal(*twice)  # every pixel is written


def test_extremes(pictures: Callable[..., npt.NDArray[np.uint8]], generated: list[Any]) -> None:
    extreme = {
        "rotate_deg": 180,
        "shift": 1,
        "shear": 1,
        "scale": (0.1, 10),
        "zoom": (0.1, 10),
        "jitter": 0.5,
        "crop": 0.5,
    }
    for render in (
        Render(size=1280, line_width_px=64, encoding="rainbow"),
        Render(size=8, line_width_px=0.5, encoding="order"),
        Render(size=1280, style="classic", encoding="thirds"),
    ):
        width = {} if render.style == "classic" else {"line_width": (0.25, 4)}
        out = pictures(generated[:8], render, Augment(**extreme, **width))
        assert len(np.unique(out)) >= 2


def test_records_may_be_read_only_and_drawings_many(generated: list[Any]) -> None:
    records = Records.of([pack(drawing) for drawing in generated] * 5)
    frozen = Records(np.frombuffer(records.data.tobytes(), np.uint8), records.offsets, records.rotten)
    assert not frozen.data.flags.writeable
    key_ids = np.arange(len(records), dtype=np.uint64)
    both = [np.empty((len(records), 16, 16, 1), np.uint8) for _ in range(2)]
    for given_records, out in zip((records, frozen), both, strict=True):
        draw(given_records, key_ids, seed=0, epoch=0, render=Render(size=16), augment=None, out=out)
    np.testing.assert_array_equal(*both)


def test_no_drawing_at_all() -> None:
    for style in STYLES:
        out = np.empty((0, 16, 16, 1), np.uint8)
        empty = np.zeros(0, np.uint64)
        draw(Records.of([]), empty, seed=0, epoch=0, render=Render(size=16, style=style), augment=None, out=out)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "record", [b"\x00", b"\x01", b"\x01\x02\x00", b"\x01\x00", b"\xff" * 9, pack([([1, 2], [3, 4])]) + b"\x00"]
)
def test_bytes_that_are_no_drawing_are_refused(style: str, record: bytes) -> None:
    records = Records.of([pack([([1], [1])]), record])
    out = np.empty((2, 16, 16, 1), np.uint8)
    with pytest.raises(ValueError, match=r"row 1 \(key id 9\) is not a well-formed drawing"):
        draw(
            records,
            np.array([5, 9], np.uint64),
            seed=0,
            epoch=0,
            render=Render(size=16, style=style),
            augment=None,
            out=out,
        )


def test_arrays_that_do_not_fit_are_refused() -> None:
    records = Records.of([pack([([1], [1])])] * 2)
    key_ids = np.zeros(2, np.uint64)
    good = np.empty((2, 16, 16, 1), np.uint8)

    def refused(match: str, **changes: Any) -> None:
        arguments = {"records": records, "key_ids": key_ids, "out": good} | changes
        with pytest.raises(ValueError, match=match):
            draw(
                arguments["records"],
                arguments["key_ids"],
                seed=0,
                epoch=0,
                render=Render(size=16),
                augment=None,
                out=arguments["out"],
            )

    refused("out must be uint8", out=np.empty((2, 16, 16, 3), np.uint8))
    refused("out must be uint8", out=np.empty((2, 16, 16, 1), np.int8))
    refused("C-contiguous", out=np.empty((2, 16, 16, 2), np.uint8)[..., :1])
    refused("2 key ids need 3 offsets", records=records.part(0, 1))
    refused("offsets must rise", records=Records(records.data, np.array([0, 4, 400]), records.rotten))
    refused("offsets must rise", records=Records(records.data, np.array([0, 4, 1]), records.rotten))
    refused("offsets must rise", records=Records(records.data, np.array([-1, 4, 8]), records.rotten))


def test_self_test_covers_what_it_should() -> None:
    assert {(render.style, render.encoding) for render, _ in PIPELINES} == {(s, e) for s in STYLES for e in ENCODINGS}
    used = [augment for _, augment in PIPELINES if augment]
    for name, default in vars(Augment()).items():
        assert any(getattr(augment, name) != default for augment in used), name


def test_pixels_of_this_version() -> None:
    """Pinned: a change of pixels needs a new RENDERER_VERSION, which clients use to refuse a mixed run."""
    assert (RENDERER_VERSION, self_test_digest()) == (2, "780ff329649b378e34db6daa8ded58f9")
