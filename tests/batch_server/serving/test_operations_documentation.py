"""docs/operations.md names every metric that there is, with its labels, and no other."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.core import Metric

from batch_server.serving.metrics import ServerCollector
from inkstream.stats import StatsCounter
from trainer.monitoring import RunFigures
from trainer.records.logs import STEP_COLUMNS

PAGE = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")


def documented(half: str) -> dict[str, set[str]]:
    """Labels by name."""
    rows = re.findall(rf"^\| `(inkstream_{half}_\w+)` \| (.*?) \|", PAGE, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


def exported(metrics: list[Metric]) -> dict[str, set[str]]:
    return {sample.name: set(sample.labels) for metric in metrics for sample in metric.samples}


def test_every_metric_of_the_server_is_explained(serve: Callable[..., Any], call: Callable[..., Any]) -> None:
    server = serve()
    caller = call(server.address)
    caller.chunks(caller.request(steps=1))
    assert documented("server") == exported(list(ServerCollector(server).collect()))


def test_every_metric_of_the_trainer_is_explained() -> None:
    figures = RunFigures()
    figures.begin({"dataset": "doodles", "model": "cnn"}, StatsCounter(["10.0.0.5:50051"]).snapshot)
    figures.add_step(dict.fromkeys(STEP_COLUMNS, 1))
    assert documented("trainer") == exported(list(figures.collect()))


@pytest.mark.parametrize("block", re.findall(r"^```(?:yaml)?\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
def test_examples_use_only_what_there_is(block: str) -> None:
    names = documented("server") | documented("trainer")
    assert set(re.findall(r"inkstream_\w+", block)) <= names.keys()
    labels = {label for of in names.values() for label in of}
    assert set(re.findall(r"(?:by |ignoring)\((\w+)\)", block)) <= labels
