"""What a preview shows: examples of every class, or the very rows of a batch that trainers got."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from batch_server.batches import BatchMaker, ChunkTensors
from batch_server.contact_sheet import Card
from inkstream.chunking import Span

# Rows of the shuffled epoch that are looked at in one go for examples.
_LOOK_ROWS = 4096


def examples_by_class(maker: BatchMaker, rows: int, columns: int) -> list[Card]:
    """Drawings of as many classes as possible, those of one class side by side.

    A dataset without labels is shown in the order of its epoch 0.

    Args:
        maker: Of a shuffled pipeline; which examples are shown follows from its seed.
        rows: Of the sheet.
        columns: Of the sheet.
    """
    indices = _chosen(maker, rows * columns)
    return cards(maker, maker.samples(0, indices, blank_rotten=True))


def batch_cards(maker: BatchMaker, epoch: int, step: int, most: int) -> list[Card]:
    """The first rows of a batch, in order.

    Args:
        maker: Of the pipeline.
        epoch: From 0.
        step: Within the epoch.
        most: How many rows are shown at most.
    """
    rows = Span(0, min(most, maker.epoch_plan.batch_rows(step)))
    return cards(maker, maker.chunk(epoch, step, rows, blank_rotten=True))


def cards(maker: BatchMaker, chunk: ChunkTensors) -> list[Card]:
    """A card for each row; its caption is the class, else the key id, or why it is blank."""
    return [
        _card(maker.dataset.classes, picture, int(label), int(key_id), bool(mask))
        for picture, label, key_id, mask in zip(chunk.image, chunk.label, chunk.key_id, chunk.mask, strict=True)
    ]


def _card(classes: tuple[str, ...], picture: NDArray[np.uint8], label: int, key_id: int, shown: bool) -> Card:
    if not shown:
        return Card(picture, f"rotten {key_id}" if key_id else "padding", faint=True)
    return Card(picture, classes[label]) if label >= 0 else Card(picture, str(key_id), faint=True)


def _chosen(maker: BatchMaker, count: int) -> NDArray[np.int64]:
    """Sample indices of `count` examples, grouped by class: the first of each class in the shuffled epoch 0."""
    quotas = _quotas(maker, count)
    found: dict[int, list[int]] = {label: [] for label in quotas}
    missing = sum(quotas.values())
    for indices, labels in _epoch(maker):
        if not missing:
            break
        for index, label in zip(indices.tolist(), labels.tolist(), strict=True):
            if label in found and len(found[label]) < quotas[label]:
                found[label].append(index)
                missing -= 1
    return np.array([index for label in sorted(found) for index in found[label]], np.int64)


def _quotas(maker: BatchMaker, count: int) -> dict[int, int]:
    """How many examples of each label are shown: equally many, or one each of classes at even distances."""
    labels = [label for label, size in enumerate(maker.dataset.class_counts) if size]
    only = maker.pipeline.filter
    if only is not None and only.classes is not None:
        labels = [label for label in labels if maker.dataset.classes[label] in only.classes]
    if not labels:
        return {-1: count}
    if len(labels) >= count:
        return {labels[i * len(labels) // count]: 1 for i in range(count)}
    return {label: (i + 1) * count // len(labels) - i * count // len(labels) for i, label in enumerate(labels)}


def _epoch(maker: BatchMaker) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
    """Samples and labels of epoch 0, in order, some thousand at a time."""
    for step in range(maker.epoch_plan.steps_per_epoch):
        rows = maker.epoch_plan.batch_rows(step)
        for start in range(0, rows, _LOOK_ROWS):
            indices = maker.epoch_plan.rows(0, step, Span(start, min(start + _LOOK_ROWS, rows)))
            yield indices, maker.dataset.take("label", indices)
