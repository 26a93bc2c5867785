"""What networks are put together from: convolutions with their normalization, residual blocks, pooling.

Everything here is called with `(x, training)`, so that a network is a list of them (`trainer.models.network`).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from trainer.models.layers import MaskedBatchNorm, TrainingRows

Activation = Callable[[jax.Array], jax.Array]
Stage = Callable[[jax.Array, TrainingRows | None], jax.Array]


class Norm(NamedTuple):
    """Settings of batch normalization.

    Args:
        momentum: Weight of the old running statistics in the new ones.
        epsilon: Added to the variance.
    """

    momentum: float
    epsilon: float


KERAS_NORM = Norm(0.99, 1e-3)  # the layer's defaults
TORCH_NORM = Norm(0.9, 1e-5)  # the layer's defaults; PyTorch calls 1 - 0.9 the momentum


class Convolution(nnx.Module):
    """A convolution, batch normalization and an activation, the last two where they are asked for."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        norm: Norm | None,
        activation: Activation | None = jax.nn.relu,
        groups: int = 1,
        bias: bool = False,
        padding: Any = None,
        rngs: nnx.Rngs,
    ):
        """From `channels_in` to `channels_out` channels with a square kernel; the sides are divided by `stride`.

        Args:
            channels_in: Of the input.
            channels_out: Of the output.
            kernel: Side of the kernel, odd.
            stride: 1 or 2.
            norm: Of the batch normalization, None without one.
            activation: None without one.
            groups: Into how many groups the channels are split; `channels_in` makes it depthwise.
            bias: Whether the convolution adds one.
            padding: `"SAME"` as TensorFlow understands it, or pairs of pixels (above, below), (left, right); None is
                PyTorch's way, kernel // 2 on all four sides. The two differ where an even side meets stride 2.
            rngs: Of the kernel, which is drawn as He et al. (2015, arXiv 1502.01852) do.
        """
        self.conv = nnx.Conv(
            channels_in,
            channels_out,
            (kernel, kernel),
            strides=stride,
            padding=((kernel // 2, kernel // 2),) * 2 if padding is None else padding,
            feature_group_count=groups,
            use_bias=bias,
            kernel_init=nnx.initializers.he_normal(),
            rngs=rngs,
        )
        self.norm = None if norm is None else MaskedBatchNorm(channels_out, **norm._asdict())
        self.activation = activation

    def __call__(self, x: jax.Array, training: TrainingRows | None) -> jax.Array:
        """`[rows, side, side, channels_in]` to `[rows, side / stride, side / stride, channels_out]`, rounded up."""
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x, training)
        return x if self.activation is None else self.activation(x)


class Chain(nnx.Module):
    """Layers one after another."""

    def __init__(self, layers: Sequence[Stage]):
        """Of these layers."""
        self.layers = nnx.List(layers)

    def __call__(self, x: jax.Array, training: TrainingRows | None) -> jax.Array:
        """What the last layer returns."""
        for layer in self.layers:
            x = layer(x, training)
        return x


class Residual(nnx.Module):
    """What layers make of their input is added to the input (He et al. 2015, arXiv 1512.03385)."""

    def __init__(self, layers: Sequence[Stage], *, shortcut: Stage | None = None, activation: Activation | None = None):
        """Of these layers; `shortcut` fits the input to their output, `activation` follows the sum."""
        self.layers = nnx.List(layers)
        self.shortcut = shortcut
        self.activation = activation

    def __call__(self, x: jax.Array, training: TrainingRows | None) -> jax.Array:
        """The activated sum."""
        y = x
        for layer in self.layers:
            y = layer(y, training)
        y = y + (x if self.shortcut is None else self.shortcut(x, training))
        return y if self.activation is None else self.activation(y)


class SqueezeExcite(nnx.Module):
    """Each channel is weighted by what the means of all channels say (Hu et al. 2018, arXiv 1709.01507)."""

    def __init__(self, channels: int, reduced: int, *, activation: Activation, rngs: nnx.Rngs):
        """Weighs `channels` channels by two dense layers with `reduced` features between them."""
        self.reduce = nnx.Linear(channels, reduced, rngs=rngs)
        self.expand = nnx.Linear(reduced, channels, rngs=rngs)
        self.activation = activation

    def __call__(self, x: jax.Array, training: TrainingRows | None) -> jax.Array:
        """`[rows, height, width, channels]`, scaled."""
        weights = jax.nn.sigmoid(self.expand(self.activation(self.reduce(x.mean((1, 2))))))
        return x * weights[:, None, None]


def inverted_residual(
    convolution: Callable[..., Convolution],
    before: int,
    after: int,
    kernel: int,
    stride: int,
    expansion: int,
    *,
    weigh: Callable[[int], Stage] | None = None,
    drop: Stage | None = None,
) -> Chain | Residual:
    """Expands, filters each channel, projects (Sandler et al. 2018, arXiv 1801.04381).

    It is added to the input where that has the same shape.

    Args:
        convolution: Makes each convolution, with the network's normalization and activation; called as `Convolution`.
        before: Channels of the input.
        after: Channels of the output.
        kernel: Side of the filter of each channel, odd.
        stride: Of that filter, 1 or 2.
        expansion: How many times the input's channels are filtered; 1 expands nothing.
        weigh: Makes what weighs so many filtered channels; None to leave them.
        drop: Drops some of what is added to the input; None to add all.
    """
    wide = before * expansion
    layers: list[Stage] = [
        *([convolution(before, wide, 1)] if expansion > 1 else []),
        convolution(wide, wide, kernel, stride, groups=wide),
        *([] if weigh is None else [weigh(wide)]),
        convolution(wide, after, 1, activation=None),
    ]
    if stride > 1 or before != after:
        return Chain(layers)
    return Residual(layers if drop is None else [*layers, drop])


class Dense(nnx.Module):
    """A dense layer and ReLU."""

    def __init__(self, features_in: int, features_out: int, *, rngs: nnx.Rngs):
        """From `features_in` to `features_out` features."""
        self.linear = nnx.Linear(features_in, features_out, kernel_init=nnx.initializers.he_normal(), rngs=rngs)

    def __call__(self, x: jax.Array, training: TrainingRows | None) -> jax.Array:
        """`[rows, features_in]` to `[rows, features_out]`."""
        return jax.nn.relu(self.linear(x))


class MaxPool(nnx.Module):
    """The largest of each 3x3 pixels, two apart, as between the stem and the blocks of a ResNet."""

    def __call__(self, x: jax.Array, training: TrainingRows | None) -> jax.Array:
        """`[rows, side, side, channels]` to half the sides, rounded up."""
        return nnx.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))


class MaxPool2(nnx.Module):
    """The largest of each 2x2 pixels. By reshaping: twice as fast on CPU as a window reduction."""

    def __call__(self, x: jax.Array, training: TrainingRows | None) -> jax.Array:
        """`[rows, side, side, channels]` to half the sides; an odd last row or column is left out, one pixel stays."""
        rows, height, width, channels = x.shape
        if min(height, width) < 2:
            return x
        x = x[:, : height // 2 * 2, : width // 2 * 2]
        return jnp.max(x.reshape(rows, height // 2, 2, width // 2, 2, channels), axis=(2, 4))


class PixelMean(nnx.Module):
    """The mean over all pixels."""

    def __call__(self, x: jax.Array, training: TrainingRows | None) -> jax.Array:
        """`[rows, height, width, channels]` to `[rows, channels]`."""
        return x.mean((1, 2))


class Flatten(nnx.Module):
    """All pixels' channels as features."""

    def __call__(self, x: jax.Array, training: TrainingRows | None) -> jax.Array:
        """`[rows, height, width, channels]` to `[rows, height * width * channels]`, the channels fastest."""
        return x.reshape(x.shape[0], -1)  # not len(x): an exported function has any number of rows


class AdaptiveMean(nnx.Module):
    """Means over a fixed number of fields, whatever the picture's size (PyTorch's `AdaptiveAvgPool2d`)."""

    def __init__(self, side: int):
        """Makes `side` x `side` fields, which overlap where the picture's side is no multiple."""
        self.side = side

    def __call__(self, x: jax.Array, training: TrainingRows | None) -> jax.Array:
        """`[rows, height, width, channels]` to `[rows, side, side, channels]`."""
        down, across = _field_means(x.shape[1], self.side), _field_means(x.shape[2], self.side)
        return jnp.einsum("ih,jw,rhwc->rijc", down, across, x, precision="highest")


def _field_means(pixels: int, fields: int) -> np.ndarray:
    """Float32 `[fields, pixels]`: the weight of each pixel in the mean of each field."""
    weights = np.zeros((fields, pixels), np.float32)
    for field in range(fields):
        first, last = field * pixels // fields, -(-(field + 1) * pixels // fields)
        weights[field, first:last] = 1 / (last - first)
    return weights


def divisible_by_8(channels: float) -> int:
    """The multiple of 8 next to a scaled number of channels, at least 90 % of it, as MobileNet v2's authors do."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
