"""What convolutional networks are made of: convolution, normalisation, activation, squeeze-and-excitation."""

from __future__ import annotations

from layerlift.models.zoo.builder import Builder


def conv(
    b: Builder,
    at: str,
    x: str,
    channels: tuple[int, int],
    kernel: int = 1,
    *,
    stride: int = 1,
    groups: int = 1,
    bias: bool = False,
) -> str:
    """A square convolution from `channels[0]` to `channels[1]` maps, padded so that stride 1 keeps the size."""
    read, made = channels
    weight = b.weight(f"{at}.weight", made, read // groups, kernel, kernel)
    added = [b.weight(f"{at}.bias", made)] if bias else []
    pads, sides = [kernel // 2] * 4, [kernel, kernel]
    return b.op("Conv", at, x, weight, *added, kernel_shape=sides, strides=[stride] * 2, pads=pads, group=groups)


def batch_norm(b: Builder, at: str, x: str, channels: int, epsilon: float = 1e-5) -> str:
    """Batch normalisation as it is after training: scale, shift, mean and variance per channel."""
    parts = [b.weight(f"{at}.{name}", channels) for name in ("weight", "bias", "running_mean", "running_var")]
    return b.op("BatchNormalization", at, x, *parts, epsilon=epsilon)


def silu(b: Builder, at: str, x: str) -> str:
    """X times its sigmoid."""
    return b.op("Mul", at, x, b.op("Sigmoid", at, x))


def relu6(b: Builder, at: str, x: str) -> str:
    """Between 0 and 6."""
    return b.op("Clip", at, x, b.constant("zero", 0.0), b.constant("six", 6.0))


def squeeze(b: Builder, at: str, x: str, channels: int, narrow: int) -> str:
    """Squeeze-and-excitation: each map scaled by what two small convolutions make of all maps' means."""
    mean = b.op("GlobalAveragePool", at, x)
    hidden = silu(b, f"{at}.act", conv(b, f"{at}.fc1", mean, (channels, narrow), bias=True))
    gate = b.op("Sigmoid", at, conv(b, f"{at}.fc2", hidden, (narrow, channels), bias=True))
    return b.op("Mul", at, x, gate)


def classifier(b: Builder, at: str, x: str, channels: int, classes: int) -> str:
    """The mean of each map, then one fully connected layer."""
    flat = b.op("Flatten", at, b.op("GlobalAveragePool", at, x), axis=1)
    return b.dense(at, flat, (channels, classes))
