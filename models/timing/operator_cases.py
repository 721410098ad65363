"""The cases that `layerlift predict --measure` times: operators over the shapes that real networks have.

All sizes and values are drawn from streams of one seed a family, so that the list is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from layerlift.models.timing.generating import MICROSOFT, Array, Case

Cases = Iterator[Case]
_SEED: Final = 11

_UNARY: Final = (
    *("Relu", "Sigmoid", "Tanh", "Erf", "Exp", "Log", "Sqrt", "Neg", "Abs", "Reciprocal", "Sin", "Cos", "Floor"),
    *("Clip", "HardSigmoid", "HardSwish", "LeakyRelu", "Elu", "Softplus", "Gelu", "Not", "Cast", "Sign", "Round"),
)
_BINARY: Final = ("Sub", "Div", "Pow", "Min", "Max", "PRelu", "Equal", "Less", "Greater", "Where", "And")
_REDUCTIONS: Final = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceL2", "ArgMax", "GlobalAveragePool")
_WIDTHS: Final = (64, 96, 128, 192, 256, 320, 384, 512, 768, 1024)


class Drawn:
    """Numbers of one family's stream."""

    def __init__(self, family: int) -> None:
        self.rng = np.random.default_rng([_SEED, family])

    def floats(self, *shape: int) -> Array:
        """Small normal floats."""
        return self.rng.standard_normal(shape, np.float32) * np.float32(0.1)

    def size(self, low: float, high: float) -> int:
        """A whole number, every order of magnitude as likely."""
        return round(float(np.exp(self.rng.uniform(np.log(low), np.log(high)))))

    def of(self, *choices: int) -> int:
        """One of `choices`."""
        return int(choices[int(self.rng.integers(len(choices)))])

    def integers(self, high: int, *shape: int) -> Array:
        """Indices below `high`."""
        return self.rng.integers(0, high, shape)

    def maps(self) -> tuple[int, int, int, int]:
        """A batch of 1 of square maps, between tiny and 1.5 million elements."""
        side = self.of(7, 14, 20, 28, 40, 56, 80, 112)
        most = 1_500_000 // side**2
        return 1, min(self.size(16, 768), most), side, side

    def tokens(self) -> tuple[int, int, int]:
        """Rows of features, as transformers hand them on."""
        return 1, self.of(1, 16, 50, 64, 128, 197, 256, 577, 1500), self.of(*_WIDTHS)


def unary(draw: Drawn) -> Cases:
    """Operators of one activation, element by element."""
    for operator in _UNARY:
        for count in range(7):
            shape = draw.maps() if count % 2 else draw.tokens()
            given = draw.floats(*shape)
            if operator in ("Log", "Sqrt"):
                given = np.abs(given) + np.float32(0.01)
            if operator == "Not":
                given = given > 0
            extra: tuple[Array, ...] = ()
            if operator == "Clip":
                extra = (np.array(0, np.float32), np.array(6, np.float32))
            known: dict[str, dict[str, Any]] = {"Cast": {"to": draw.of(1, 7, 10)}, "LeakyRelu": {"alpha": 0.1}}
            attributes = known.get(operator, {})
            yield Case(operator, (given, *extra), attributes=attributes)


def binary(draw: Drawn) -> Cases:
    """Operators of two: equal shapes, a vector, one number, a number a map, and what stretches both."""
    for operator in _BINARY:
        for count in range(8):
            shape = draw.maps() if count % 2 else draw.tokens()
            left = draw.floats(*shape)
            other: tuple[int, ...] = (shape, (shape[-1],), (), (*shape[:2], *[1] * (len(shape) - 2)))[count % 4]
            right = draw.floats(*other)
            if operator == "PRelu":
                right = draw.floats(*shape[1:2], *[1] * (len(shape) - 2))
            if operator == "Pow":
                right = np.array(draw.of(2, 3), np.float32)
            if operator == "And":
                left, right = left > 0, right > 0
            moving = 2 if right.size > 1 and count % 4 in (0, 3) and operator != "PRelu" else 1
            if operator == "Where":
                yield Case(operator, (left > 0, left, right), 3 if moving == 2 else 2)
            else:
                yield Case(operator, (left, right), moving)


def normalising(draw: Drawn) -> Cases:
    """Softmax of attention and of classes, and the normalisations."""
    for _ in range(24):
        rows, keys = draw.of(1, 16, 49, 64, 100, 197, 256), draw.of(16, 49, 64, 100, 128, 197, 256, 577)
        yield Case(
            "Softmax", (draw.floats(draw.of(1, 4, 16), draw.of(1, 3, 6, 8, 12), rows, keys),), attributes={"axis": -1}
        )
    for _ in range(18):
        shape = draw.tokens()
        yield Case("LayerNormalization", (draw.floats(*shape), *(draw.floats(shape[-1]) for _ in "ab")))
    for _ in range(12):
        maps = draw.maps()
        yield Case("InstanceNormalization", (draw.floats(*maps), *(draw.floats(maps[1]) for _ in "ab")))
        tokens = draw.tokens()
        yield Case(
            "SkipLayerNormalization",
            (draw.floats(*tokens), draw.floats(*tokens), *(draw.floats(tokens[-1]) for _ in "abc")),
            2,
            domain=MICROSOFT,
        )
    for operator in ("BiasGelu", "FastGelu", "QuickGelu", "SimplifiedLayerNormalization"):
        for _ in range(8):
            shape = draw.tokens()
            weights = () if operator == "QuickGelu" else (draw.floats(shape[-1]),)
            domain = "" if operator.startswith("Simp") else MICROSOFT
            yield Case(operator, (draw.floats(*shape), *weights), domain=domain)


def reducing(draw: Drawn) -> Cases:
    """Means, sums and maxima over the last axis or over maps."""
    for operator in _REDUCTIONS:
        for count in range(10):
            over_maps = count % 2 == 1 or operator == "GlobalAveragePool"
            given = draw.floats(*(draw.maps() if over_maps else draw.tokens()))
            if operator == "GlobalAveragePool":
                yield Case(operator, (given,))
            elif operator == "ArgMax":
                yield Case(operator, (given,), attributes={"axis": -1})
            else:
                yield Case(operator, (given, np.array([2, 3] if over_maps else [-1])))
    for _ in range(10):
        yield Case("TopK", (draw.floats(1, draw.size(100, 20000)), np.array([draw.of(1, 10, 100)])), outputs=2)
        yield Case("CumSum", (draw.floats(*draw.tokens()), np.array(1)))


def moving(draw: Drawn) -> Cases:
    """What only moves elements."""
    for _ in range(26):
        heads, wide, rows = draw.of(3, 6, 8, 12), draw.of(32, 64), draw.of(16, 49, 64, 128, 197, 256, 577)
        split = draw.floats(1, rows, heads, wide)
        yield Case("Transpose", (split,), attributes={"perm": [[0, 2, 1, 3], [0, 2, 3, 1]][draw.of(0, 1)]})
        shape = draw.maps()
        yield Case("Transpose", (draw.floats(*shape),), attributes={"perm": [0, 2, 3, 1]})
        yield Case("Transpose", (draw.floats(1, shape[2] * shape[3], shape[1]),), attributes={"perm": [0, 2, 1]})
        side, window = draw.of(2, 4, 8), draw.of(7, 8)
        tiles = draw.floats(1, side, window, side, window, draw.of(48, 96, 192))
        yield Case("Transpose", (tiles,), attributes={"perm": [0, 1, 3, 2, 4, 5]})
    for _ in range(18):
        table, wide = draw.size(50, 30000), draw.of(*_WIDTHS)
        yield Case("Gather", (draw.floats(table, wide), draw.integers(table, 1, draw.of(1, 16, 64, 128, 384))[::1]), 2)
        data = draw.floats(*draw.tokens())
        yield Case("Gather", (data, np.array(0)), attributes={"axis": draw.of(0, 1)})
        yield Case("GatherElements", (data, draw.integers(1, *data.shape)), attributes={"axis": 1})
    for _ in range(16):
        maps = draw.floats(*draw.maps())
        mode = ("nearest", "linear")[draw.of(0, 1)]
        scale = np.array([1, 1, 2, 2], np.float32)
        yield Case("Resize", (maps[:, : max(1, maps.shape[1] // 4)], None, scale), attributes={"mode": mode})
        pads = draw.of(1, 2, 3)
        yield Case("Pad", (maps, np.array([0, 0, pads, pads, 0, 0, pads, pads])))
        tokens = draw.floats(*draw.tokens())
        yield Case("Pad", (tokens, np.array([0, 1, 0, 0, 0, 0])))
        half = maps.shape[1] // 2
        yield Case("Split", (maps, np.array([half, maps.shape[1] - half])), outputs=2, attributes={"axis": 1})
        last = tokens.shape[-1] // 2
        yield Case("Split", (tokens, np.array([last, last])), outputs=2, attributes={"axis": -1})
        yield Case("Slice", (tokens, np.array([0]), np.array([last]), np.array([2])))
        yield Case("Slice", (maps, np.array([0]), np.array([half]), np.array([1])))
        yield Case("Expand", (tokens[:, :1], np.array([1, draw.of(16, 64, 197), tokens.shape[-1]])))
        yield Case("Tile", (tokens[:, :1], np.array([1, draw.of(16, 64, 197), 1])))
        deep = draw.floats(1, 4 * draw.of(4, 16, 64), 28, 28)
        yield Case("DepthToSpace", (deep,), attributes={"blocksize": 2})
        yield Case("SpaceToDepth", (deep,), attributes={"blocksize": 2})


def multiplying(draw: Drawn) -> Cases:
    """Products with weights, of one row and of many, and of activations alone, as attention has them."""
    for _ in range(60):
        wide, made = draw.of(*_WIDTHS, 1536, 2048, 3072), draw.of(*_WIDTHS, 1376, 2048, 3072, 8000)
        rows = min(draw.of(2, 4, 8, 16, 35, 49, 64, 128, 196, 256, 784, 1500, 3136), 250_000_000 // (wide * made) + 2)
        yield Case("MatMul", (draw.floats(1, rows, wide), draw.floats(wide, made)))
        head = (draw.of(1, 4, 16), draw.of(1, 3, 6, 8, 12))
        asked, keys, deep = draw.of(1, 16, 49, 64, 128, 197), draw.of(16, 49, 64, 128, 197, 577), draw.of(32, 64)
        yield Case("MatMul", (draw.floats(*head, asked, deep), draw.floats(*head, deep, keys)), 2)
        yield Case("MatMul", (draw.floats(*head, asked, keys), draw.floats(*head, keys, deep)), 2)
    for _ in range(24):
        wide, made, rows = draw.of(*_WIDTHS), draw.of(*_WIDTHS, 3072), draw.of(2, 8, 49, 64, 128, 197)
        weights = draw.floats(made, wide)
        yield Case("Gemm", (draw.floats(rows, wide), weights, draw.floats(made)), attributes={"transB": 1})


def convolving(draw: Drawn) -> Cases:
    """Depthwise, grouped, along one axis, transposed, and dense ones of mobile networks."""
    for _ in range(48):
        _, channels, side, _ = draw.maps()
        kernel, stride = draw.of(3, 3, 5, 7), draw.of(1, 1, 2)
        yield _convolution(draw, (1, channels, side, side), channels, kernel, stride, channels)
    for _ in range(36):
        side, groups, each = draw.of(7, 14, 28, 56), draw.of(3, 4, 8, 14, 26), draw.of(8, 16, 24, 60, 80)
        each = max(4, min(each, 600_000 // (side**2 * groups)))
        kernel = draw.of(1, 3, 3)
        yield _convolution(draw, (1, groups * each, side, side), groups * each, kernel, draw.of(1, 1, 2), groups)
    for _ in range(30):
        steps, channels, kernel = (
            draw.of(50, 200, 800, 1600, 3000, 8000),
            draw.of(1, 64, 80, 256, 384, 512),
            draw.of(1, 2, 3, 7, 10),
        )
        made, stride = draw.of(64, 128, 384, 512), draw.of(1, 2, 5)
        if steps * channels * kernel * made // stride < 500_000_000:
            yield _convolution(draw, (1, channels, steps), made, kernel, stride, 1)
    for _ in range(16):
        side, channels = draw.of(7, 14, 28, 56), draw.of(32, 64, 128, 256)
        weights = draw.floats(channels, channels // 2, 2, 2)
        yield Case(
            "ConvTranspose",
            (draw.floats(1, channels, side, side), weights, draw.floats(channels // 2)),
            attributes={"strides": [2, 2]},
        )


def _convolution(draw: Drawn, shape: tuple[int, ...], made: int, kernel: int, stride: int, groups: int) -> Case:
    axes = len(shape) - 2
    attributes = {"group": groups, "strides": [stride] * axes, "pads": [kernel // 2] * (2 * axes)}
    weights = draw.floats(made, shape[1] // groups, *[kernel] * axes)
    return Case("Conv", (draw.floats(*shape), weights, draw.floats(made)), attributes=attributes)


def recurrent(draw: Drawn) -> Cases:
    """LSTM, GRU and RNN over sequences."""
    for operator, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        for _ in range(14):
            steps, wide, hidden, both = (
                draw.size(4, 160),
                draw.of(32, 64, 128, 256, 512),
                draw.of(32, 64, 128, 256, 384, 512, 650),
                draw.of(1, 2),
            )
            weights = (
                draw.floats(both, gates * hidden, wide),
                draw.floats(both, gates * hidden, hidden),
                draw.floats(both, 2 * gates * hidden),
            )
            direction = "bidirectional" if both == 2 else "forward"
            attributes = {"hidden_size": hidden, "direction": direction}
            if operator == "GRU":
                attributes["linear_before_reset"] = 1
            yield Case(operator, (draw.floats(steps, 1, wide), *weights), attributes=attributes)


def quantized(draw: Drawn) -> Cases:
    """Kernels over 8 and 4 bits, and the changes of type around them."""
    scale, zero = np.array(0.02, np.float32), np.array(128, np.uint8)
    for _ in range(16):
        given = draw.floats(*(draw.maps() if draw.of(0, 1) else draw.tokens()))
        yield Case("DynamicQuantizeLinear", (given,), outputs=3)
        yield Case("QuantizeLinear", (given, scale, zero))
        codes = draw.integers(255, *given.shape).astype(np.uint8)
        yield Case("DequantizeLinear", (codes, scale, zero))
        other = (scale, zero, codes, scale, zero, scale, zero)
        yield Case("QLinearAdd", (codes, *other), domain=MICROSOFT)
    for _ in range(22):
        wide, made, rows = draw.of(*_WIDTHS), draw.of(*_WIDTHS, 3072), draw.of(1, 1, 8, 49, 128, 256)
        left = draw.integers(255, 1, rows, wide).astype(np.uint8)
        right = draw.integers(255, wide, made).astype(np.uint8)
        yield Case("MatMulInteger", (left, right, zero, zero))
        yield Case("QLinearMatMul", (left, scale, zero, right, scale, zero, scale, zero))
        rates = np.full(made, 0.01, np.float32)
        yield Case(
            "DynamicQuantizeMatMul",
            (draw.floats(1, rows, wide), right, rates, np.full(made, 128, np.uint8)),
            domain=MICROSOFT,
        )
        block = 32
        blocks = -(-wide // block)
        packed = draw.integers(255, made, blocks, block // 2).astype(np.uint8)
        yield Case(
            "MatMulNBits",
            (draw.floats(1, rows, wide), packed, draw.floats(made * blocks)),
            attributes={"K": wide, "N": made, "bits": 4, "block_size": block},
            domain=MICROSOFT,
        )
    for count in range(40):
        _, channels, side, _ = draw.maps()
        depthwise = count % 2 == 0
        made = channels if depthwise else draw.of(16, 32, 64, 128)
        kernel = draw.of(3, 5) if depthwise else draw.of(1, 3)
        each = 1 if depthwise else channels
        codes = draw.integers(255, 1, channels, side, side).astype(np.uint8)
        weights = draw.integers(255, made, each, kernel, kernel).astype(np.uint8)
        attributes = {"group": channels if depthwise else 1, "pads": [kernel // 2] * 4}
        if made * each * kernel**2 * side**2 > 150_000_000:
            continue
        yield Case("QLinearConv", (codes, scale, zero, weights, scale, zero, scale, zero), attributes=attributes)
        if not depthwise:
            yield Case("ConvInteger", (codes, weights, zero, zero), attributes=attributes)


FAMILIES: Final[tuple[Callable[[Drawn], Cases], ...]] = (
    *(unary, binary, normalising, reducing, moving, multiplying, convolving, recurrent, quantized),
)


def cases() -> Cases:
    """All of them, made one by one as they are asked for."""
    for number, family in enumerate(FAMILIES):
        yield from family(Drawn(number))
