"""How convolutions and pools read their input along one axis: which rows an output row needs, border included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from onnx import helper

from layerlift.models.errors import ModelError
from layerlift.models.graph import features

Range = tuple[int, int]
"""Rows from the first (included) to the last (excluded)."""


@dataclass(frozen=True, slots=True)
class Window:
    """One axis of a sliding window over an input of `extent` rows."""

    kernel: int
    stride: int
    dilation: int
    begin: int
    """Rows of padding before the input."""
    end: int
    extent: int

    @property
    def reach(self) -> int:
        """Rows from the first to the last that one output row reads, both included."""
        return (self.kernel - 1) * self.dilation + 1

    def reads(self, made: Range) -> Range:
        """The input rows that the output rows `made` read, without padding; empty when they read only padding."""
        low, high = self._span(made)
        return max(0, low), min(self.extent, high)

    def pads(self, made: Range) -> tuple[int, int]:
        """Padding before and after `reads(made)` that gives the same output; never more than the whole has."""
        low, high = self._span(made)
        return max(0, -low), min(max(0, high - self.extent), self.end)

    def _span(self, made: Range) -> Range:
        low = made[0] * self.stride - self.begin
        return low, (made[1] - 1) * self.stride - self.begin + self.reach


def kernel_of(node: onnx.NodeProto, weight: Sequence[int] | None) -> tuple[int, ...]:
    """The kernel's extents: an attribute, or the trailing dimensions of the weight."""
    return features.integers(node, "kernel_shape", tuple(weight[2:]) if weight is not None else ())


def windows(
    node: onnx.NodeProto, read: Sequence[int], made: Sequence[int], weight: Sequence[int] | None = None
) -> tuple[Window, Window]:
    """Both axes of the convolution or pool `node`, from the shapes of its input, output and weight (all 4-D).

    `auto_pad` becomes explicit padding. Raises `ModelError` when the shapes are not those of a 2-D operator.
    """
    kernel = kernel_of(node, weight)
    if len(read) != 4 or len(made) != 4 or len(kernel) != 2:
        raise ModelError(f"{node.op_type} {node.name!r} is not two-dimensional: input {list(read)}, kernel {kernel}")
    strides = features.integers(node, "strides", (1, 1))
    dilations = features.integers(node, "dilations", (1, 1))
    given = features.integers(node, "pads", (0, 0, 0, 0))
    auto = next((a.s.decode() for a in node.attribute if a.name == "auto_pad"), "NOTSET")
    found: list[Window] = []
    for axis in (0, 1):
        begin, end = given[axis], given[axis + 2]
        if auto == "VALID":
            begin = end = 0
        elif auto.startswith("SAME"):
            reach = (kernel[axis] - 1) * dilations[axis] + 1
            total = max(0, (made[axis + 2] - 1) * strides[axis] + reach - read[axis + 2])
            small, large = total // 2, total - total // 2
            begin, end = (small, large) if auto == "SAME_UPPER" else (large, small)
        found.append(Window(kernel[axis], strides[axis], dilations[axis], begin, end, read[axis + 2]))
    return found[0], found[1]


def with_pads(node: onnx.NodeProto, rows: tuple[int, int], columns: tuple[int, int]) -> onnx.NodeProto:
    """A copy of `node` with explicit padding (before, after) of rows and of columns."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    kept = [a for a in node.attribute if a.name not in ("pads", "auto_pad")]
    del copy.attribute[:]
    copy.attribute.extend(kept)
    copy.attribute.append(helper.make_attribute("pads", [rows[0], columns[0], rows[1], columns[1]]))
    return copy
