import jax
import jax.numpy as jnp
import numpy as np

from trainer.models.layers import TrainingRows
from trainer.optimization.mixup import mixing

ROWS = 64
KEYS = jax.random.split(jax.random.key(3), ROWS)


def shares(alpha, mask=None):
    """How much each row keeps of itself: each is told apart by a place of its own."""
    rows = TrainingRows(jnp.ones(ROWS) if mask is None else jnp.array(mask), KEYS)
    mixed = np.array(mixing(rows, alpha)(jnp.eye(ROWS)))
    np.testing.assert_allclose(mixed.sum(1), 1, rtol=1e-6)
    partners = np.arange(ROWS) ^ 1
    np.testing.assert_allclose(np.diag(mixed) + mixed[np.arange(ROWS), partners], 1, rtol=1e-6)
    return np.diag(mixed)


def test_partners_share_each_other_and_keep_the_larger_part_of_themselves():
    found = shares(1.0)
    assert (found >= 0.5).all() and found.max() > 0.9 and found.min() < 0.6
    np.testing.assert_array_equal(found[::2], found[1::2])
    assert len(set(found)) == ROWS / 2


def test_a_small_alpha_mixes_little_and_none_nothing():
    assert shares(0.1).mean() > shares(5.0).mean() + 0.1
    assert (shares(0.0) == 1).all()


def test_padding_and_its_partner_stay_as_they_are():
    mask = np.ones(ROWS)
    mask[[5, 8]] = 0
    found = shares(5.0, mask)
    assert (found[[4, 5, 8, 9]] == 1).all() and (found[10:] < 1).all()
