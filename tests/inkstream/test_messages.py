"""Pipelines survive the wire, unknown things are refused, and digests tell batches apart."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkstream import messages
from inkstream.errors import InvalidPipeline
from inkstream.pipeline import (
    ENCODINGS,
    FILLS,
    MAX_BATCH_SIZE,
    REMAINDERS,
    SPLITS,
    Augment,
    Erase,
    Filter,
    Pipeline,
    Render,
)
from inkstream.v1 import batch_service_pb2 as pb


def number(low: float, high: float, **options: Any) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False, **options)


def interval(low: float, high: float) -> st.SearchStrategy[tuple[float, float]]:
    return st.tuples(number(low, high), number(low, high)).map(lambda pair: (min(pair), max(pair)))


@st.composite
def renders(draw: Any) -> Render:
    size, encoding = draw(st.integers(8, 1280)), draw(st.sampled_from(ENCODINGS))
    ink, paper = draw(st.lists(st.integers(0, 255), min_size=2, max_size=2, unique=True))
    if draw(st.booleans()):
        return Render(size, encoding, "antialiased", draw(number(0.5, min(64, size / 4))), ink, paper)
    if encoding == "rainbow":
        return Render(size, encoding, "classic")
    return Render(size, encoding, "classic", ink=ink, paper=paper)


@st.composite
def erases(draw: Any) -> Erase:
    fill = draw(st.sampled_from(FILLS))
    value = draw(st.integers(0, 255)) if fill == "value" else None
    return Erase(draw(number(0, 1)), draw(interval(0.001, 1)), draw(interval(0.05, 20)), fill, value)


def augments(line_width: st.SearchStrategy[tuple[float, float]]) -> st.SearchStrategy[Augment]:
    return st.builds(
        Augment,
        rotate_deg=number(0, 180),
        shift=number(0, 1),
        shear=number(0, 1),
        scale=interval(0.1, 10),
        zoom=interval(0.1, 10),
        flip_horizontal=number(0, 1),
        flip_vertical=number(0, 1),
        stroke_dropout=number(0, 1, exclude_max=True),
        jitter=number(0, 0.5),
        line_width=line_width,
        crop=number(0, 0.5),
        erase=st.none() | erases(),
    )


FILTERS = st.builds(
    Filter,
    classes=st.none() | st.lists(st.text(min_size=1), min_size=1, max_size=4),
    countries=st.none() | st.lists(st.from_regex(r"[0-9A-Za-z]{2}", fullmatch=True), min_size=1, max_size=4),
    recognized=st.none() | st.booleans(),
)


@st.composite
def pipelines(draw: Any) -> Pipeline:
    render = draw(renders())
    widths = st.just((1.0, 1.0)) if render.style == "classic" else interval(0.25, 4)
    return Pipeline(
        dataset=draw(st.text(min_size=1)),
        batch_size=draw(st.integers(1, MAX_BATCH_SIZE)),
        split=draw(st.sampled_from(SPLITS)),
        seed=draw(st.integers(0, 2**64 - 1)),
        render=render,
        augment=draw(st.none() | augments(widths)),
        validation=draw(number(0, 1, exclude_max=True)),
        remainder=draw(st.sampled_from(REMAINDERS)),
        shuffle=(shuffle := draw(st.booleans())),
        filter=draw(st.none() | FILTERS),
        class_balanced=shuffle and draw(st.booleans()),
    )


@given(pipelines())
def test_a_pipeline_comes_back_from_the_wire(pipeline: Pipeline) -> None:
    message = pb.Pipeline.FromString(messages.to_message(pipeline).SerializeToString())
    assert messages.from_message(message) == pipeline
    assert messages.digest(messages.from_message(message), "f", 1) == messages.digest(pipeline, "f", 1)


@given(pipelines(), pipelines())
def test_digests_differ_where_anything_differs(one: Pipeline, other: Pipeline) -> None:
    same = one.replace(dataset="d") == other.replace(dataset="d")
    assert (messages.digest(one, "f", 1) == messages.digest(other, "f", 1)) == same


RENDERS = (Render(size=64), Render(encoding="order"), Render(line_width_px=3), Render(ink=9), Render(paper=9))
AUGMENTED = ("rotate_deg", "shift", "shear", "flip_horizontal", "flip_vertical", "stroke_dropout", "jitter", "crop")
ERASES = (Erase(), Erase(probability=1), Erase(fill="paper"), Erase(area=(0.1, 0.2)), Erase(aspect=(1, 2)))
FILTERED = (Filter(["a"]), Filter(None, ["aa"]), Filter(recognized=True), Filter(recognized=False))
CHANGES: list[dict[str, Any]] = [
    {},
    {"batch_size": 9},
    {"split": "all"},
    {"seed": 1},
    {"validation": 0.006},
    {"remainder": "pad"},
    {"shuffle": False},
    {"class_balanced": True},
    {"render": Render(style="classic", ink=255, paper=0)},
    *({"render": render} for render in RENDERS),
    *({"augment": Augment(**{name: 0.25})} for name in AUGMENTED),
    *({"augment": Augment(**{name: (0.5, 2)})} for name in ("scale", "zoom", "line_width")),
    *({"augment": Augment(erase=erase)} for erase in ERASES),
    *({"filter": only} for only in FILTERED),
]


def test_each_setting_counts_for_itself() -> None:
    plain = Pipeline("d", 8)
    digests = {messages.digest(plain.replace(**change), "f", 1) for change in CHANGES}
    digests |= {messages.digest(plain, "g", 1), messages.digest(plain, "f", 2)}
    assert len(digests) == len(CHANGES) + 2


def test_equal_settings_have_equal_digests() -> None:
    written = Pipeline("d", 8, augment=Augment(rotate_deg=10, scale=[1, 2]), filter=Filter(classes=["b", "a", "b"]))
    computed = Pipeline(
        "other name",
        np.int64(8),  # type: ignore[arg-type]
        augment=Augment(rotate_deg=np.float64(10), shift=-0.0, scale=(1.0, 2.0)),
        filter=Filter(classes=("a", "b")),
    )
    assert messages.digest(written, "f", 1) == messages.digest(computed, "f", 1)
    assert messages.digest(Pipeline("d", 8, augment=Augment()), "f", 1) == messages.digest(Pipeline("d", 8), "f", 1)


def test_the_digest_of_a_pipeline_never_changes() -> None:
    """Trainers refuse to resume under another digest: a change of this value ends every run."""
    assert (
        messages.digest(Pipeline("d", 8, augment=Augment(erase=Erase())), "f", 1) == "557f227597d505923fddad6c5a55fafb"
    )


def test_an_empty_message_gets_every_default() -> None:
    assert messages.from_message(pb.Pipeline(dataset="d", batch_size=8)) == Pipeline("d", 8)
    explicit_zeros = pb.Pipeline(dataset="d", batch_size=8, render=pb.Render(), filter=pb.Filter())
    assert messages.from_message(explicit_zeros) == Pipeline("d", 8)
    augmented = pb.Pipeline(dataset="d", batch_size=8, augment=pb.Augment(erase=pb.Erase()))
    assert messages.from_message(augmented) == Pipeline("d", 8, augment=Augment(erase=Erase()))


def test_a_present_zero_is_not_absent() -> None:
    message = pb.Pipeline(dataset="d", batch_size=8, validation=0, shuffle=False, render=pb.Render(paper=9, ink=0))
    message.augment.erase.probability = 0
    message.filter.recognized = False
    pipeline = messages.from_message(message)
    assert (pipeline.validation, pipeline.shuffle, pipeline.render.ink) == (0, False, 0)
    assert pipeline.augment == Augment(erase=Erase(probability=0))
    assert pipeline.filter == Filter(recognized=False)


def violations(message: pb.Pipeline) -> dict[str, str]:
    with pytest.raises(InvalidPipeline) as caught:
        messages.from_message(message)
    return dict(caught.value.violations)


def test_every_violation_is_named() -> None:
    message = pb.Pipeline(batch_size=0, split=9, remainder=-1, validation=1)  # type: ignore[arg-type]
    message.render.size = 3
    message.render.style = 7  # type: ignore[assignment]
    message.augment.rotate_deg = float("nan")
    message.augment.scale.low = 2
    message.augment.erase.fill = 77  # type: ignore[assignment]
    message.augment.erase.area.high = 2
    message.filter.countries.append("USA")
    assert set(violations(message)) == {
        "dataset",
        "batch_size",
        "split",
        "remainder",
        "validation",
        "render.size",
        "render.style",
        "augment.rotate_deg",
        "augment.scale.high",
        "augment.erase.fill",
        "augment.erase.area.low",
        "filter.countries",
    }
    assert violations(message)["split"] == "must be one of 1 (train), 2 (validation), 3 (all), got 9"


@pytest.mark.parametrize("path", ["", "render.", "augment.", "augment.zoom.", "augment.erase.", "filter."])
def test_fields_of_a_newer_version_are_refused_wherever_they_are(path: str) -> None:
    message = pb.Pipeline(dataset="d", batch_size=8)
    inner: Any = message
    for name in path.split(".")[:-1]:
        inner = getattr(inner, name)
    inner.MergeFromString(b"\xf8\x07\x01")  # field 127, a number
    assert violations(message)[f"{path}field 127"].startswith("is unknown")


def test_a_thousand_unknown_fields_make_a_short_error() -> None:
    message = pb.Pipeline(dataset="d", batch_size=8)
    for number in range(100, 1100):
        key = number << 3
        message.MergeFromString(bytes([key & 0x7F | 0x80, key >> 7]) + b"\x01")
    with pytest.raises(InvalidPipeline) as caught:
        messages.from_message(message)
    assert len(str(caught.value)) < 2000


@given(st.binary(max_size=100))
def test_any_message_gives_a_pipeline_or_violations(data: bytes) -> None:
    message = pb.Pipeline()
    try:
        message.MergeFromString(data)
    except Exception:  # not a message
        return
    try:
        pipeline = messages.from_message(message)
    except InvalidPipeline as error:
        assert error.violations
    else:
        assert messages.from_message(messages.to_message(pipeline)) == pipeline
