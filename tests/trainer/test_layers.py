import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from trainer.models.layers import MaskedBatchNorm, RowDepth, RowDropout, TrainingRows, masked_moments
from trainer.parallel import Parallel, gather_rows, joined
from trainer.randomness import Position, row_keys


def on_devices(count, function, **arrays):
    """What `function(batch)` returns on each device."""
    parallel = Parallel(jax.devices("cpu")[:count])
    result = parallel.infer(lambda _, batch: gather_rows(function(batch)))(0, parallel.split(arrays))
    return jax.tree.map(np.asarray, result)


@pytest.mark.parametrize("devices", [1, 2])
def test_masked_batch_norm_is_plain_batch_norm_of_the_valid_rows(devices):
    rng = np.random.default_rng(3)
    x = rng.normal(5, 3, (12, 4, 5, 3)).astype(np.float32)
    mask = np.array([1, 1, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1], np.float32)
    x[mask == 0] = 1e6  # what padding holds must not matter

    def normalized(batch):
        norm = MaskedBatchNorm(3, momentum=0.9, epsilon=1e-3)
        norm.scale[...], norm.bias[...] = jnp.array([1.0, 2.0, 0.5]), jnp.array([0.0, -1.0, 3.0])
        y = norm(batch["x"], TrainingRows(batch["mask"], None))
        return y, norm.mean[...], norm.var[...]

    y, mean, var = on_devices(devices, normalized, x=x, mask=mask)

    plain = nnx.BatchNorm(3, momentum=0.9, epsilon=1e-3, rngs=nnx.Rngs(0))
    plain.scale[...], plain.bias[...] = jnp.array([1.0, 2.0, 0.5]), jnp.array([0.0, -1.0, 3.0])
    plain.set_attributes(use_running_average=False)
    expected = plain(x[mask == 1])
    np.testing.assert_allclose(y.reshape(12, 4, 5, 3)[mask == 1], expected, atol=2e-5)
    for device in range(devices):
        np.testing.assert_allclose(mean[device], plain.mean[...], rtol=1e-5)
        np.testing.assert_allclose(var[device], plain.var[...], rtol=1e-5)


def test_inference_uses_the_running_statistics():
    norm = MaskedBatchNorm(2, momentum=0.9, epsilon=0.0)
    norm.mean[...], norm.var[...] = jnp.array([1.0, 2.0]), jnp.array([4.0, 0.25])
    x = jnp.array([[[[3.0, 2.5]]]])
    np.testing.assert_allclose(norm(x, None), [[[[1.0, 1.0]]]], rtol=1e-6)
    np.testing.assert_allclose(norm.mean[...], [1.0, 2.0])


def test_moments_without_a_valid_row_are_finite():
    mean, var = on_devices(
        2,
        lambda batch: masked_moments(batch["x"], batch["mask"]),
        x=np.ones((4, 2, 2, 3), np.float32),
        mask=np.zeros(4, np.float32),
    )
    assert not mean.any() and not var.any()


def dropped(devices):
    """Ones after dropout, for several seeds, positions and layers: a list of `[8, 300]`, each of another key."""
    variants = [
        (1, Position(2, 3), 0),
        (1 + 2**40, Position(2, 3), 0),  # the upper half of a seed counts
        (1, Position(3, 2), 0),
        (1, Position(2, 4), 0),
        (1, Position(2, 3), 1),
    ]

    def drop(batch):
        return [
            RowDropout(0.25, layer=layer)(batch["x"], TrainingRows(None, row_keys(seed, position, len(batch["x"]))))
            for seed, position, layer in variants
        ]

    return [out.reshape(8, 300) for out in on_devices(devices, drop, x=np.ones((8, 300), np.float32))]


def test_dropout_depends_on_seed_epoch_step_row_and_layer_but_not_on_devices():
    one, two = dropped(1), dropped(2)
    base = one[0]
    assert set(np.unique(base)) == {0.0, np.float32(1 / 0.75)}
    assert abs((base == 0).mean() - 0.25) < 0.03
    assert len({row.tobytes() for row in base}) == 8
    assert len({out.tobytes() for out in one}) == 5
    np.testing.assert_array_equal(one, two)


def test_dropout_leaves_inference_alone():
    x = jnp.ones((2, 3))
    np.testing.assert_array_equal(RowDropout(0.5, layer=0)(x, None), x)


def test_stochastic_depth_drops_whole_rows_whatever_the_devices():
    def drop(batch):
        rows = TrainingRows(None, row_keys(5, Position(0, 0), len(batch["x"])))
        return RowDepth(0.25, layer=3)(batch["x"], rows)

    x = np.ones((400, 2, 3), np.float32)
    one, two = (on_devices(devices, drop, x=x).reshape(x.shape) for devices in (1, 2))
    np.testing.assert_array_equal(one, two)
    kept = one[:, 0, 0] > 0
    assert 0.65 < kept.mean() < 0.85
    np.testing.assert_allclose(one, np.broadcast_to(kept[:, None, None] / 0.75, x.shape), rtol=1e-6)
    np.testing.assert_array_equal(RowDepth(0.25, layer=3)(x, None), x)


def test_rows_come_back_in_order():
    parallel = Parallel(jax.devices("cpu"))
    rows = np.arange(6, dtype=np.int32)
    out = parallel.infer(lambda _, batch: gather_rows(batch["rows"] * 10))(0, parallel.split({"rows": rows}))
    assert joined(out).tolist() == [0, 10, 20, 30, 40, 50]
