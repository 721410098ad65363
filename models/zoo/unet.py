"""U-Net: a chain that narrows and one that widens, with a bridge between them at every size."""

from __future__ import annotations

from typing import Final

import onnx

from layerlift.models.zoo.builder import Builder
from layerlift.models.zoo.convolutions import conv

SIDE: Final = 256
"""Pixels. The paper reads 572 x 572 and does not pad; padded convolutions at 256 are what later work compares."""
_WIDTHS: Final = (64, 128, 256, 512, 1024)


def unet() -> onnx.ModelProto:
    """U-Net (arXiv 1505.04597): one channel in, two classes out, transposed convolutions on the way up."""
    b = Builder("unet")
    x, channels = b.input("input", 1, 1, SIDE, SIDE), 1
    bridges: list[str] = []
    for depth, width in enumerate(_WIDTHS):
        if depth:
            x = b.op("MaxPool", f"down.{depth}", x, kernel_shape=[2, 2], strides=[2, 2])
        x = _double(b, f"down.{depth}", x, (channels, width))
        bridges.append(x)
        channels = width
    for depth in range(len(_WIDTHS) - 2, -1, -1):
        x = _up(b, f"up.{depth}", x, bridges[depth], _WIDTHS[depth])
    b.output(conv(b, "out", x, (_WIDTHS[0], 2), bias=True), "output")
    return b.model()


def _double(b: Builder, at: str, x: str, channels: tuple[int, int]) -> str:
    read, made = channels
    x = b.op("Relu", at, conv(b, f"{at}.conv1", x, (read, made), 3, bias=True))
    return b.op("Relu", at, conv(b, f"{at}.conv2", x, (made, made), 3, bias=True))


def _up(b: Builder, at: str, x: str, bridge: str, width: int) -> str:
    weight, bias = b.weight(f"{at}.up.weight", 2 * width, width, 2, 2), b.weight(f"{at}.up.bias", width)
    x = b.op("ConvTranspose", at, x, weight, bias, kernel_shape=[2, 2], strides=[2, 2])
    return _double(b, at, b.op("Concat", at, bridge, x, axis=1), (2 * width, width))
