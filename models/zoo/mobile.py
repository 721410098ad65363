"""MobileNetV2 and EfficientNet-B0: inverted residuals, wide inside and narrow between."""

from __future__ import annotations

from typing import Final

import onnx

from layerlift.models.zoo.builder import Builder
from layerlift.models.zoo.convolutions import batch_norm, classifier, conv, relu6, silu, squeeze

_CLASSES: Final = 1000
_MOBILENET: Final = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Per stage: how much wider it is inside, channels, blocks, stride of the first block (table 2 of the paper)."""
_EFFICIENTNET: Final = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
"""As above, and the kernel (table 1 of the paper)."""


def mobilenet_v2() -> onnx.ModelProto:
    """MobileNetV2 at width 1.0 (arXiv 1801.04381), of 224 x 224 pixels and 1,000 classes."""
    b = Builder("mobilenet_v2")
    x = relu6(b, "features.0", _normed(b, "features.0", b.input("input", 1, 3, 224, 224), (3, 32), 3, stride=2))
    channels, number = 32, 1
    for wider, made, blocks, stride in _MOBILENET:
        for block in range(blocks):
            x = _bottleneck(b, f"features.{number}", x, (channels, made), wider, stride if block == 0 else 1)
            channels, number = made, number + 1
    x = relu6(b, f"features.{number}", _normed(b, f"features.{number}", x, (channels, 1280)))
    b.output(classifier(b, "classifier", x, 1280, _CLASSES), "output")
    return b.model()


def efficientnet_b0() -> onnx.ModelProto:
    """EfficientNet-B0 (arXiv 1905.11946), of 224 x 224 pixels and 1,000 classes."""
    b = Builder("efficientnet_b0")
    image = b.input("input", 1, 3, 224, 224)
    x = silu(b, "features.0", _normed(b, "features.0", image, (3, 32), 3, stride=2, epsilon=1e-3))
    channels = 32
    for stage, (wider, made, blocks, stride, kernel) in enumerate(_EFFICIENTNET, 1):
        for block in range(blocks):
            at = f"features.{stage}.{block}"
            x = _excited(b, at, x, (channels, made), wider, kernel, stride if block == 0 else 1)
            channels = made
    x = silu(b, "features.8", _normed(b, "features.8", x, (channels, 1280), epsilon=1e-3))
    b.output(classifier(b, "classifier", x, 1280, _CLASSES), "output")
    return b.model()


def _normed(
    b: Builder,
    at: str,
    x: str,
    channels: tuple[int, int],
    kernel: int = 1,
    *,
    stride: int = 1,
    groups: int = 1,
    epsilon: float = 1e-5,
) -> str:
    made = conv(b, f"{at}.conv", x, channels, kernel, stride=stride, groups=groups)
    return batch_norm(b, f"{at}.norm", made, channels[1], epsilon)


def _bottleneck(b: Builder, at: str, x: str, channels: tuple[int, int], wider: int, stride: int) -> str:
    read, made = channels
    wide, y = read * wider, x
    if wider > 1:
        y = relu6(b, f"{at}.expand", _normed(b, f"{at}.expand", y, (read, wide)))
    y = relu6(b, f"{at}.depth", _normed(b, f"{at}.depth", y, (wide, wide), 3, stride=stride, groups=wide))
    y = _normed(b, f"{at}.project", y, (wide, made))
    return b.op("Add", at, x, y) if stride == 1 and read == made else y


def _excited(b: Builder, at: str, x: str, channels: tuple[int, int], wider: int, kernel: int, stride: int) -> str:
    read, made = channels
    wide, y = read * wider, x
    if wider > 1:
        y = silu(b, f"{at}.expand", _normed(b, f"{at}.expand", y, (read, wide), epsilon=1e-3))
    y = _normed(b, f"{at}.depth", y, (wide, wide), kernel, stride=stride, groups=wide, epsilon=1e-3)
    y = squeeze(b, f"{at}.squeeze", silu(b, f"{at}.depth", y), wide, read // 4)
    y = _normed(b, f"{at}.project", y, (wide, made), epsilon=1e-3)
    return b.op("Add", at, x, y) if stride == 1 and read == made else y
