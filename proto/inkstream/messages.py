"""Pipelines to and from the contract's messages, and the digest that says which batches are equal.

Every default lives in the dataclasses of `pipeline`: a field that is absent here is left to them.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from inkstream.errors import InvalidPipeline, Violation
from inkstream.pipeline import ENCODINGS, FILLS, REMAINDERS, SPLITS, STYLES, Augment, Erase, Filter, Pipeline, Render
from inkstream.v1 import batch_service_pb2 as pb

_Settings = TypeVar("_Settings")

# A request of a few bytes must not make an error of many: unknown fields beyond these are not named.
_MAX_UNKNOWN_FIELDS = 16


def _numbers(prefix: str, names: Iterable[str], enum: Any) -> dict[str, Any]:
    """The numbers of an enum's values by their names in Python."""
    return {name: enum.Value(f"{prefix}_{name.upper()}") for name in names}


_SPLITS = _numbers("SPLIT", SPLITS, pb.Split)
_REMAINDERS = _numbers("REMAINDER", REMAINDERS, pb.Remainder)
_ENCODINGS = _numbers("ENCODING", ENCODINGS, pb.Encoding)
_STYLES = _numbers("STYLE", STYLES, pb.Style)
_FILLS = _numbers("FILL", FILLS, pb.Fill)

_AUGMENT_NUMBERS = (
    "rotate_deg",
    "shift",
    "shear",
    "flip_horizontal",
    "flip_vertical",
    "stroke_dropout",
    "jitter",
    "crop",
)
_AUGMENT_INTERVALS = ("scale", "zoom", "line_width")


def digest(pipeline: Pipeline, fingerprint: str, renderer_version: int) -> str:
    """Names the batches of a pipeline: equal digests, equal batches.

    It is the first half of the SHA-256 of canonical JSON, in which the dataset appears by its contents, not its name.

    Args:
        pipeline: Which batches.
        fingerprint: Of the dataset.
        renderer_version: Of the renderer that draws them.

    Returns:
        32 hex digits.
    """
    settings = asdict(pipeline)
    del settings["dataset"]
    if not pipeline.class_balanced:  # which came later: runs from before it go on under the digest that they know
        del settings["class_balanced"]
    parts = {"fingerprint": fingerprint, "pipeline": settings, "renderer_version": renderer_version}
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def to_message(pipeline: Pipeline) -> pb.Pipeline:
    """The message of a pipeline, with every setting written out."""
    return pb.Pipeline(
        dataset=pipeline.dataset,
        split=_SPLITS[pipeline.split],
        batch_size=pipeline.batch_size,
        seed=pipeline.seed,
        render=_render_message(pipeline.render),
        augment=_augment_message(pipeline.augment) if pipeline.augment else None,
        validation=pipeline.validation,
        remainder=_REMAINDERS[pipeline.remainder],
        shuffle=pipeline.shuffle,
        filter=_filter_message(pipeline.filter) if pipeline.filter else None,
        class_balanced=pipeline.class_balanced,
    )


def from_message(message: pb.Pipeline) -> Pipeline:
    """The pipeline of a message, checked and with every default filled in.

    Raises:
        InvalidPipeline: Settings break their rules, or the message has fields or enum values that this version does
            not know; all violations are named.
    """
    violations = list(_unknown_fields(message))
    render = _build(Render, _render_settings, message.render, violations)
    augment = _build(Augment, _augment_settings, message.augment, violations)
    only = _build(Filter, _filter_settings, message.filter, violations)

    def settings(_: Message, violations: list[Violation]) -> dict[str, Any]:
        return {
            "dataset": message.dataset,
            "batch_size": message.batch_size,
            "seed": message.seed,
            **_choice("split", message.split, _SPLITS, violations),
            **_choice("remainder", message.remainder, _REMAINDERS, violations),
            **_present(message, "validation", "shuffle"),
            "render": render or Render(),
            "augment": augment,
            "filter": only,
            "class_balanced": message.class_balanced,
        }

    pipeline = _build(Pipeline, settings, message, violations)
    if violations or pipeline is None:
        raise InvalidPipeline(violations)
    return pipeline


def _render_message(render: Render) -> pb.Render:
    return pb.Render(
        size=render.size,
        encoding=_ENCODINGS[render.encoding],
        style=_STYLES[render.style],
        line_width_px=render.line_width_px,
        ink=render.ink,
        paper=render.paper,
    )


def _augment_message(augment: Augment) -> pb.Augment:
    numbers = {name: getattr(augment, name) for name in _AUGMENT_NUMBERS}
    intervals: dict[str, Any] = {name: _interval_message(getattr(augment, name)) for name in _AUGMENT_INTERVALS}
    return pb.Augment(**numbers, **intervals, erase=_erase_message(augment.erase) if augment.erase else None)


def _erase_message(erase: Erase) -> pb.Erase:
    return pb.Erase(
        probability=erase.probability,
        area=_interval_message(erase.area),
        aspect=_interval_message(erase.aspect),
        fill=_FILLS[erase.fill],
        value=erase.value,
    )


def _filter_message(only: Filter) -> pb.Filter:
    message = pb.Filter(classes=only.classes or (), countries=only.countries or ())
    if only.recognized is not None:
        message.recognized = only.recognized
    return message


def _interval_message(interval: tuple[float, float]) -> pb.Interval:
    return pb.Interval(low=interval[0], high=interval[1])


def _build(
    kind: Callable[..., _Settings],
    settings: Callable[[Any, list[Violation]], dict[str, Any]],
    message: Message,
    violations: list[Violation],
) -> _Settings | None:
    """The object that a message describes, or None and its violations."""
    try:
        return kind(**settings(message, violations))
    except InvalidPipeline as error:
        violations += error.violations
        return None


def _render_settings(message: pb.Render, violations: list[Violation]) -> dict[str, Any]:
    return {
        **_present(message, "size", "line_width_px", "ink", "paper"),
        **_choice("render.encoding", message.encoding, _ENCODINGS, violations),
        **_choice("render.style", message.style, _STYLES, violations),
    }


def _augment_settings(message: pb.Augment, violations: list[Violation]) -> dict[str, Any]:
    settings = {name: getattr(message, name) for name in _AUGMENT_NUMBERS}
    settings |= _intervals(message, *_AUGMENT_INTERVALS)
    if message.HasField("erase"):
        settings["erase"] = _build(Erase, _erase_settings, message.erase, violations)
    return settings


def _erase_settings(message: pb.Erase, violations: list[Violation]) -> dict[str, Any]:
    return {
        **_present(message, "probability", "value"),
        **_intervals(message, "area", "aspect"),
        **_choice("augment.erase.fill", message.fill, _FILLS, violations),
    }


def _filter_settings(message: pb.Filter, violations: list[Violation]) -> dict[str, Any]:
    return {
        "classes": tuple(message.classes) or None,
        "countries": tuple(message.countries) or None,
        **_present(message, "recognized"),
    }


def _present(message: Message, *fields: str) -> dict[str, Any]:
    return {field: getattr(message, field) for field in fields if message.HasField(field)}


def _intervals(message: Message, *fields: str) -> dict[str, Any]:
    return {field: (interval.low, interval.high) for field, interval in _present(message, *fields).items()}


def _choice(path: str, number: int, numbers: Mapping[str, int], violations: list[Violation]) -> dict[str, str]:
    """The name of an enum's value under the last part of `path`; nothing for absent and unknown values."""
    names = {value: name for name, value in numbers.items()}
    if number in names:
        return {path.rpartition(".")[2]: names[number]}
    if number:
        known = ", ".join(f"{value} ({name})" for value, name in names.items())
        violations.append(Violation(path, f"must be one of {known}, got {number}"))
    return {}


def _unknown_fields(message: Message, path: str = "") -> Iterator[Violation]:
    """A violation for each field, however deep, that this version's contract does not have."""
    rule = "is unknown to this version of Inkstream: leave it out or upgrade"
    numbers = sorted({field.field_number for field in UnknownFieldSet(message)})  # type: ignore[attr-defined]
    for number in numbers[:_MAX_UNKNOWN_FIELDS]:
        yield Violation(f"{path}field {number}", rule)
    for field, value in message.ListFields():
        if field.message_type is not None:
            yield from _unknown_fields(value, f"{path}{field.name}.")
