import numpy as np
import pytest

from trainer.prediction.balancing import MOST_ROUNDS, Probabilities, balance


def chunks_of(scores, count=7):
    return lambda: np.array_split(scores, count)


def test_rows_and_columns_get_equal_sums():
    rng = np.random.default_rng(1)
    scores = np.log(rng.dirichlet([5, 1, 0.3, 0.1], size=1000)).astype(np.float32)
    found = balance(chunks_of(scores), 4)
    balanced = np.exp(found.applied(scores))
    np.testing.assert_allclose(balanced.sum(axis=1), 1)
    np.testing.assert_allclose(balanced.sum(axis=0), 250, rtol=0.001)
    assert 0 < found.rounds < MOST_ROUNDS
    # It scales columns: within a row, ratios of a class's factor to another's are the same everywhere.
    change = found.applied(scores) - scores
    np.testing.assert_allclose(np.ptp(change - change[:, :1], axis=0), 0, atol=1e-5)


def test_it_undoes_what_an_unbalanced_training_has_taught():
    """Points of three classes that come equally often; the model takes the first for ten times likelier."""
    rng = np.random.default_rng(2)
    labels = rng.permutation(np.repeat(np.arange(3), 700))
    points = rng.normal(np.array([[0, 0], [1.5, 0], [0, 1.5]])[labels])
    centres = np.array([[0, 0], [1.5, 0], [0, 1.5]])
    fair = -((points[:, None] - centres) ** 2).sum(-1) / 2
    biased = fair + np.log([10, 1, 1])
    biased -= np.log(np.exp(biased).sum(axis=1, keepdims=True))

    def right(scores):
        return (scores.argmax(axis=1) == labels).mean()

    restored = right(balance(chunks_of(biased), 3).applied(biased))
    assert right(biased) + 0.1 < restored
    assert restored == pytest.approx(right(fair), abs=0.01)


def test_what_is_balanced_already_stays():
    scores = np.log(np.tile([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.3, 0.2, 0.5]], (10, 1)))
    found = balance(chunks_of(scores), 3)
    assert found.rounds == 0
    np.testing.assert_allclose(found.applied(scores), scores, atol=1e-12)


def test_probabilities_too_small_for_a_float_count():
    scores = np.array([[0.0, -800.0], [0.0, -810.0]])
    found = balance(chunks_of(scores, 1), 2)
    np.testing.assert_allclose(np.exp(found.applied(scores)).sum(axis=0), 1, rtol=0.001)
    assert found.applied(scores).argmax(axis=1).tolist() == [1, 0]


@pytest.mark.parametrize("torn", [0, 1, 19])
def test_probabilities_go_on_where_they_were_left(tmp_path, torn):
    rng = np.random.default_rng(4)
    ids, scores = rng.integers(0, 2**63, 10).astype(np.uint64), rng.normal(size=(10, 3)).astype(np.float32)
    path = tmp_path / "p"
    with Probabilities(path, {"step": 1}, 3) as kept:
        kept.append(ids, scores)
    part = tmp_path / "p.part"
    part.write_bytes(part.read_bytes()[: -torn or None])
    with Probabilities(path, {"step": 1}, 3) as kept:
        assert kept.rows == (10 if torn == 0 else 9)
        kept.keep(8)
        kept.append(ids[8:], scores[8:])
        ((found_ids, found),) = kept.chunks()
        np.testing.assert_array_equal(found_ids, ids)
        np.testing.assert_array_equal(found, scores)
        kept.discard()
    assert not list(tmp_path.iterdir())
