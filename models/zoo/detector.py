"""YOLOv8n: a detector without anchor boxes, from image to boxes and class scores, before non-maximum suppression."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx

from layerlift.models.zoo.builder import Builder
from layerlift.models.zoo.convolutions import batch_norm, conv, silu

SIDE: Final = 640
_CLASSES: Final = 80
_BINS: Final = 16
"""Each side of a box is the mean of a distribution over so many distances."""
_STRIDES: Final = (8, 16, 32)
_WIDTHS: Final = (64, 128, 256)
"""Channels of the three maps that boxes are read from."""


def yolov8n() -> onnx.ModelProto:
    """YOLOv8n as its makers publish it (docs.ultralytics.com/models/yolov8), of 640 x 640 pixels and 80 classes."""
    b = Builder("yolov8n")
    maps = _neck(b, *_backbone(b, b.input("images", 1, 3, SIDE, SIDE)))
    heads = [_head(b, f"model.22.{scale}", x, _WIDTHS[scale]) for scale, x in enumerate(maps)]
    joined = b.op("Concat", "model.22", *heads, axis=2)
    b.output(_decoded(b, "model.22", joined), "output0")
    return b.model()


def _backbone(b: Builder, x: str) -> tuple[str, str, str]:
    """The maps at strides 8, 16 and 32."""
    x = _cbs(b, "model.0", x, (3, 16), 3, stride=2)
    x = _c2f(b, "model.2", _cbs(b, "model.1", x, (16, 32), 3, stride=2), (32, 32), 1)
    fine = _c2f(b, "model.4", _cbs(b, "model.3", x, (32, 64), 3, stride=2), (64, 64), 2)
    middle = _c2f(b, "model.6", _cbs(b, "model.5", fine, (64, 128), 3, stride=2), (128, 128), 2)
    coarse = _c2f(b, "model.8", _cbs(b, "model.7", middle, (128, 256), 3, stride=2), (256, 256), 1)
    return fine, middle, _pyramid(b, "model.9", coarse, 256)


def _neck(b: Builder, fine: str, middle: str, coarse: str) -> tuple[str, str, str]:
    """From coarse to fine and back again, so that every size sees every other."""
    joined = b.op("Concat", "model.11", _twice(b, "model.10", coarse), middle, axis=1)
    on_the_way = _c2f(b, "model.12", joined, (384, 128), 1, shortcut=False)
    joined = b.op("Concat", "model.14", _twice(b, "model.13", on_the_way), fine, axis=1)
    small = _c2f(b, "model.15", joined, (192, 64), 1, shortcut=False)
    joined = b.op("Concat", "model.17", _cbs(b, "model.16", small, (64, 64), 3, stride=2), on_the_way, axis=1)
    medium = _c2f(b, "model.18", joined, (192, 128), 1, shortcut=False)
    joined = b.op("Concat", "model.20", _cbs(b, "model.19", medium, (128, 128), 3, stride=2), coarse, axis=1)
    return small, medium, _c2f(b, "model.21", joined, (384, 256), 1, shortcut=False)


def _cbs(b: Builder, at: str, x: str, channels: tuple[int, int], kernel: int = 1, *, stride: int = 1) -> str:
    made = conv(b, f"{at}.conv", x, channels, kernel, stride=stride)
    return silu(b, f"{at}.act", batch_norm(b, f"{at}.bn", made, channels[1], 1e-3))


def _c2f(b: Builder, at: str, x: str, channels: tuple[int, int], blocks: int, *, shortcut: bool = True) -> str:
    """Half of the maps pass, half go through a chain of bottlenecks, and each of these is heard at the end."""
    read, made = channels
    half = made // 2
    parts = b.ops("Split", at, 2, _cbs(b, f"{at}.cv1", x, (read, made)), axis=1, num_outputs=2)
    for block in range(blocks):
        inner = _cbs(b, f"{at}.m.{block}.cv1", parts[-1], (half, half), 3)
        inner = _cbs(b, f"{at}.m.{block}.cv2", inner, (half, half), 3)
        parts.append(b.op("Add", f"{at}.m.{block}", parts[-1], inner) if shortcut else inner)
    joined = b.op("Concat", at, *parts, axis=1)
    return _cbs(b, f"{at}.cv2", joined, ((2 + blocks) * half, made))


def _pyramid(b: Builder, at: str, x: str, channels: int) -> str:
    """Maxima over ever larger surroundings, beside each other."""
    parts = [_cbs(b, f"{at}.cv1", x, (channels, channels // 2))]
    for _ in range(3):
        parts.append(b.op("MaxPool", at, parts[-1], kernel_shape=[5, 5], pads=[2] * 4, strides=[1, 1]))
    return _cbs(b, f"{at}.cv2", b.op("Concat", at, *parts, axis=1), (2 * channels, channels))


def _twice(b: Builder, at: str, x: str) -> str:
    scales = b.constant("scales", np.array([1.0, 1.0, 2.0, 2.0]))
    places = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return b.op("Resize", at, x, "", scales, mode="nearest", **places)


def _head(b: Builder, at: str, x: str, width: int) -> str:
    """Distributions of four distances and scores of all classes, per place of one map."""
    boxes = _branch(b, f"{at}.box", x, (width, 64), 4 * _BINS)
    scores = _branch(b, f"{at}.cls", x, (width, 80), _CLASSES)
    joined = b.op("Concat", at, boxes, scores, axis=1)
    return b.op("Reshape", at, joined, b.integers(1, 4 * _BINS + _CLASSES, -1))


def _branch(b: Builder, at: str, x: str, channels: tuple[int, int], made: int) -> str:
    hidden = channels[1]
    x = _cbs(b, f"{at}.1", _cbs(b, f"{at}.0", x, channels, 3), (hidden, hidden), 3)
    return conv(b, f"{at}.2", x, (hidden, made), bias=True)


def _decoded(b: Builder, at: str, joined: str) -> str:
    """Centres and sizes of boxes in pixels, and scores between 0 and 1."""
    boxes, scores = b.ops("Split", at, 2, joined, b.integers(4 * _BINS, _CLASSES), axis=1)
    places, scale = _places()
    centre = b.constant(f"{at}.anchors", places)
    before, after = b.ops("Split", at, 2, _distances(b, f"{at}.dfl", boxes), axis=1, num_outputs=2)
    low, high = b.op("Sub", at, centre, before), b.op("Add", at, centre, after)
    middle = b.op("Div", at, b.op("Add", at, low, high), b.constant("two", 2.0))
    box = b.op("Concat", at, middle, b.op("Sub", at, high, low), axis=1)
    pixels = b.op("Mul", at, box, b.constant(f"{at}.strides", scale))
    return b.op("Concat", at, pixels, b.op("Sigmoid", at, scores), axis=1)


def _distances(b: Builder, at: str, boxes: str) -> str:
    """The mean of each distribution, by a convolution whose weights are the distances."""
    apart = b.op("Reshape", at, boxes, b.integers(1, 4, _BINS, -1))
    bins = b.op("Softmax", at, b.op("Transpose", at, apart, perm=[0, 2, 1, 3]), axis=1)
    weight = b.constant(f"{at}.weight", np.arange(_BINS).reshape(1, _BINS, 1, 1))
    return b.op("Reshape", at, b.op("Conv", at, bins, weight), b.integers(1, 4, -1))


def _places() -> tuple[np.ndarray, np.ndarray]:
    """Centres of all places, in units of their stride, and the strides."""
    centres, scales = [], []
    for stride in _STRIDES:
        line = np.arange(SIDE // stride) + 0.5
        down, across = np.meshgrid(line, line, indexing="ij")
        centres.append(np.stack([across.ravel(), down.ravel()]))
        scales.append(np.full((1, line.size**2), stride))
    return np.concatenate(centres, 1)[None], np.concatenate(scales, 1)[None]
