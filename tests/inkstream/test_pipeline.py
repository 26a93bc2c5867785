"""Settings are checked and normalized when they are constructed."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from inkstream.errors import InvalidPipeline
from inkstream.pipeline import Augment, Erase, Filter, Pipeline, Render

BROKEN: list[tuple[type, dict[str, Any], str]] = [
    (Render, {"size": 7}, "render.size"),
    (Render, {"size": 1281}, "render.size"),
    (Render, {"size": 64.0}, "render.size"),
    (Render, {"size": True}, "render.size"),
    (Render, {"encoding": "grey"}, "render.encoding"),
    (Render, {"style": "pretty"}, "render.style"),
    (Render, {"size": 8, "line_width_px": 2.5}, "render.line_width_px"),
    (Render, {"line_width_px": math.nan}, "render.line_width_px"),
    (Render, {"style": "classic", "line_width_px": 3.0}, "render.line_width_px"),
    (Render, {"style": "classic", "encoding": "rainbow", "ink": 3}, "render.ink"),
    (Render, {"ink": 9, "paper": 9}, "render.ink"),
    (Render, {"paper": 256}, "render.paper"),
    (Erase, {"area": (0.5, 0.4)}, "augment.erase.area"),
    (Erase, {"area": 0.4}, "augment.erase.area"),
    (Erase, {"aspect": (0.0, 1.0)}, "augment.erase.aspect.low"),
    (Erase, {"fill": "value"}, "augment.erase.value"),
    (Erase, {"value": 3}, "augment.erase.value"),
    (Augment, {"rotate_deg": 181}, "augment.rotate_deg"),
    (Augment, {"rotate_deg": "10"}, "augment.rotate_deg"),
    (Augment, {"stroke_dropout": 1.0}, "augment.stroke_dropout"),
    (Augment, {"scale": (0.9, math.inf)}, "augment.scale.high"),
    (Augment, {"crop": 0.6}, "augment.crop"),
    (Augment, {"erase": 0.5}, "augment.erase"),
    (Filter, {"classes": ()}, "filter.classes"),
    (Filter, {"classes": "cat"}, "filter.classes"),
    (Filter, {"countries": ["USA"]}, "filter.countries"),
    (Filter, {"countries": ["DE\n"]}, "filter.countries"),
    (Filter, {"recognized": 1}, "filter.recognized"),
    (Pipeline, {"dataset": "", "batch_size": 1}, "dataset"),
    (Pipeline, {"dataset": "d", "batch_size": 0}, "batch_size"),
    (Pipeline, {"dataset": "d", "batch_size": 65_537}, "batch_size"),
    (Pipeline, {"dataset": "d", "batch_size": 4, "seed": -1}, "seed"),
    (Pipeline, {"dataset": "d", "batch_size": 4, "seed": 2**64}, "seed"),
    (Pipeline, {"dataset": "d", "batch_size": 4, "split": "test"}, "split"),
    (Pipeline, {"dataset": "d", "batch_size": 4, "validation": 1.0}, "validation"),
    (Pipeline, {"dataset": "d", "batch_size": 4, "remainder": "wrap"}, "remainder"),
    (Pipeline, {"dataset": "d", "batch_size": 4, "shuffle": 1}, "shuffle"),
    (Pipeline, {"dataset": "d", "batch_size": 4, "class_balanced": 1}, "class_balanced"),
    (Pipeline, {"dataset": "d", "batch_size": 4, "class_balanced": True, "shuffle": False}, "class_balanced"),
]


@pytest.mark.parametrize(("settings", "values", "field"), BROKEN)
def test_a_broken_rule_is_named_with_its_value(settings: type, values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidPipeline) as caught:
        settings(**values)
    assert [violation.field for violation in caught.value.violations] == [field]
    assert isinstance(caught.value, ValueError)


def test_all_violations_are_named_at_once() -> None:
    with pytest.raises(InvalidPipeline, match=r"render\.size .* render\.encoding .* render\.style"):
        Render(size=1, encoding="x", style="y")


def test_line_width_augmentation_is_refused_in_classic() -> None:
    with pytest.raises(InvalidPipeline, match=r"augment\.line_width"):
        Pipeline("d", 4, render=Render(style="classic"), augment=Augment(line_width=(0.5, 1.5)))


def test_defaults_are_filled_in_by_style() -> None:
    assert Render() == Render(ink=255, paper=0, line_width_px=2)
    assert Render(style="classic") == Render(style="classic", ink=0, paper=255)
    assert Render(style="classic", encoding="rainbow").paper_pixel == b"\xff\xff\xff"
    assert Render(encoding="thirds", paper=7).paper_pixel == b"\x07\x07\x07"


def test_settings_that_mean_the_same_are_equal() -> None:
    assert Augment(rotate_deg=10, scale=[1, 1]) == Augment(rotate_deg=10.0, scale=(1.0, 1.0))  # type: ignore[arg-type]
    assert Pipeline("d", np.int64(4), augment=Augment(), filter=Filter()) == Pipeline("d", 4)  # type: ignore[arg-type]
    assert Filter(classes=("b", "a", "b")) == Filter(classes=("a", "b"))


def test_a_setting_is_frozen_and_replaced_by_a_copy() -> None:
    pipeline = Pipeline("d", 4, augment=Augment(shift=0.1))
    with pytest.raises(dataclasses.FrozenInstanceError):
        pipeline.batch_size = 5  # type: ignore[misc]
    plain = pipeline.replace(split="validation", augment=None)
    assert (plain.split, plain.augment, plain.batch_size) == ("validation", None, 4)


def test_many_bad_names_make_a_short_error() -> None:
    with pytest.raises(InvalidPipeline) as caught:
        Filter(countries=[f"c{i}x" for i in range(900)])  # type: ignore[arg-type]
    assert len(str(caught.value)) < 4096
