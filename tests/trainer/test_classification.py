import jax.numpy as jnp
import numpy as np
import pytest

from inkstream.command_line import Failure
from trainer import classification
from trainer.metrics import Tally


@pytest.mark.parametrize("classes", [1, 2, 3, 7])
def test_rank_is_the_place_in_a_stable_sort(classes):
    rng = np.random.default_rng(classes)
    logits = rng.integers(-2, 3, (500, classes)).astype(np.float32)  # few values, so that ties are common
    labels = rng.integers(0, classes, 500).astype(np.int32)
    order = np.argsort(-logits, axis=1, kind="stable")
    expected = np.argmax(order == labels[:, None], axis=1)
    np.testing.assert_array_equal(classification.ranks(logits, labels), expected)
    for count in (1, 3, classes):
        np.testing.assert_array_equal(classification.guesses(logits, count), order[:, :count])


def test_label_smoothing_spreads_the_target():
    logits = jnp.array([[2.0, 0.0, -1.0, 1.0]])
    probabilities = np.exp(logits[0]) / np.exp(logits[0]).sum()

    def loss(weight, smoothing):
        return classification.losses(logits, classification.targets(jnp.array([3]), jnp.array([weight]), 4, smoothing))

    plain, smooth = loss(1.0, 0.0), loss(1.0, 0.2)
    target = np.array([0.05, 0.05, 0.05, 0.85])
    np.testing.assert_allclose(plain, [-np.log(probabilities[3])], rtol=1e-6)
    np.testing.assert_allclose(smooth, [-(target * np.log(probabilities)).sum()], rtol=1e-6)
    np.testing.assert_allclose(loss(3.0, 0.2), 3 * smooth, rtol=1e-6)


def test_labels_map_to_outputs_and_unknown_ones_are_masked():
    outputs = np.array([-1, 1, 0], np.int32)
    found, known = classification.head_indices(np.array([2, 0, -1, 1], np.int32), outputs)
    assert found.tolist() == [0, 0, 0, 1] and known.tolist() == [True, False, False, True]
    found, known = classification.head_indices(np.array([-1, -1], np.int32), np.array([], np.int32))
    assert found.tolist() == [0, 0] and not known.any()


def test_what_is_not_a_number_is_never_right():
    scores = np.array([[np.nan, np.nan], [0, np.nan]], np.float32)
    assert (classification.ranks(scores, np.array([0, 0], np.int32)) > 0).all()


def test_averages_are_of_probabilities():
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet(np.ones(5), size=(4, 20))
    logarithms = np.log(probabilities).astype(np.float32)
    averaged = classification.averaged(list(logarithms))
    np.testing.assert_allclose(np.exp(averaged), probabilities.mean(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(classification.averaged([logarithms[0]]), logarithms[0])
    # far below what a float32 can hold as a probability
    faint = [np.array([[0.0, -200.0]], np.float32), np.array([[0.0, -201.0]], np.float32)]
    np.testing.assert_allclose(classification.averaged(faint)[0, 1], -200 + np.log((1 + np.exp(-1)) / 2), rtol=1e-6)


def test_tally_against_the_definitions():
    rng = np.random.default_rng(1)
    scores = np.log(rng.dirichlet(np.ones(5), size=500)).astype(np.float32)
    labels = rng.integers(0, 4, 500).astype(np.int32)  # class 4 never comes
    tally = Tally(5)
    for part in np.array_split(np.arange(500), 7):
        tally.add(scores[part], labels[part])
    kept = [
        (sorted(row, reverse=True).index(row[label]), int(label), -row[label])
        for row, label in zip(scores.astype(float).tolist(), labels, strict=True)
    ]
    per_class = [[r == 0 for r, c, _ in kept if c == label] for label in range(4)]
    summary = tally.summary()
    assert summary["samples"] == len(kept)
    assert summary["top1"] == sum(r == 0 for r, _, _ in kept) / len(kept)
    assert summary["top3"] == sum(r < 3 for r, _, _ in kept) / len(kept)
    assert summary["map3"] == pytest.approx(sum(1 / (r + 1) if r < 3 else 0 for r, _, _ in kept) / len(kept))
    assert summary["loss"] == pytest.approx(sum(loss for *_, loss in kept) / len(kept))
    assert summary["class_mean"] == pytest.approx(np.mean([np.mean(hits) for hits in per_class]))


def test_a_tally_of_nothing_is_refused():
    with pytest.raises(Failure, match="none of the samples has a label"):
        Tally(3).summary()
