"""Spatially separable convolutions: a k x k kernel as k x 1 and 1 x k, by one singular value decomposition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx

from layerlift.models.graph.features import Shape
from layerlift.models.preprocess import factors
from layerlift.models.preprocess.choosing import is_convolution, weight_shape
from layerlift.models.preprocess.decomposing import convolution, decompose
from layerlift.models.preprocess.rewrite import FreshNames, kept
from layerlift.models.preprocess.windows import Window
from layerlift.models.running.network import Network


@dataclass(frozen=True, slots=True)
class Separable:
    """A kernel (O, I, h, w) of `group` groups as (group x rank, I, h, 1), then (O, rank, 1, w); exact at full rank."""

    weight: str
    group: int
    rank: int
    column: str
    row: str
    costly: ClassVar[bool] = True

    @property
    def makes(self) -> tuple[str, ...]:
        """See `Recipe`."""
        return self.column, self.row

    def shapes(self, shape: Shape) -> tuple[Shape, ...]:
        """Shapes of what it makes of a weight of `shape`."""
        filters, channels, height, width = shape
        return (self.group * self.rank, channels, height, 1), (filters, self.rank, 1, width)

    def make(self, weights: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """See `Recipe`."""
        columns, rows = [], []
        for part in np.split(weights[self.weight], self.group):
            filters, channels, height, width = part.shape
            left, right = factors.truncate(_columns_by_rows(part), self.rank)
            columns.append(left.T.reshape(self.rank, channels, height, 1))
            rows.append(right.reshape(self.rank, filters, width).transpose(1, 0, 2)[:, :, None, :])
        return {self.column: np.concatenate(columns), self.row: np.ascontiguousarray(np.concatenate(rows))}


def separate(
    network: Network,
    *,
    rank: int | None = None,
    energy: float | None = None,
    layers: Sequence[str] | None = None,
    grow: bool = False,
) -> Network:
    """Convolutions as two, a column of the kernel and then a row, with `rank` maps between them (per group). Lossy.

    After Jaderberg et al. 2014 (arXiv 1405.3866) and Tai et al. 2016 (arXiv 1511.06067), by one SVD. Give `rank`, or
    `energy`: the least rank that keeps this share of the squared singular values in every group, for which the weights
    are read now. Strides, dilations, groups and padding are kept. A convolution whose kernels would not be smaller
    stays, unless `grow`. Raises `ModelError` for options out of range and layers that cannot be separated.
    """
    factors.check_one_of("separate", rank=rank, energy=energy)
    factors.check_rank("separate", rank=rank)
    factors.check_share("separate", "energy", energy)
    base = network.unmerged

    def able(node: onnx.NodeProto) -> bool:
        shape = weight_shape(base, node)
        return is_convolution(base, node) and shape is not None and min(shape[2:]) > 1

    def planned(weight: str, group: int, names: FreshNames) -> Separable:
        filters, channels, height, width = base.types[weight][1]
        wanted = rank if rank is not None else _separable_rank(base, weight, group, energy or 1.0)
        full = min(channels * height, filters // group * width)
        column, row = names.fresh(f"{weight}/column"), names.fresh(f"{weight}/row")
        return Separable(weight, group, min(wanted, full), column, row)

    return decompose(network, "separate", layers, grow, able, planned, _separable_nodes)


def _separable_nodes(
    node: onnx.NodeProto, kernels: Sequence[str], axes: tuple[Window, Window], names: FreshNames
) -> list[onnx.NodeProto]:
    inner = names.fresh(f"{node.output[0]}/column")
    rows, columns = axes
    return [
        convolution(node, "column", [node.input[0], kernels[0]], inner, rows, None, names),
        convolution(node, "row", [inner, kernels[1], *node.input[2:]], node.output[0], None, columns, names),
    ]


def _columns_by_rows(part: np.ndarray) -> np.ndarray:
    filters, channels, height, width = part.shape
    return part.transpose(1, 2, 0, 3).reshape(channels * height, filters * width)


def _separable_rank(base: Network, weight: str, group: int, energy: float) -> int:
    def spectra() -> dict[str, np.ndarray]:
        parts = np.split(base.weights()[weight], group)
        return {"columns": np.stack([factors.energies(_columns_by_rows(part)) for part in parts])}

    found = kept(f"{base.digest} separable {weight} {group}", ("columns",), spectra)
    return factors.rank_for(list(found["columns"]), energy)
