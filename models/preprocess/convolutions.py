"""Convolutions as several cheaper ones: spatially separable (k x 1, 1 x k) and Tucker-2 (1 x 1, k x k, 1 x 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import onnx
from onnx import helper

from models import features
from models.network import Network
from models.preprocess import factors
from models.preprocess.choosing import choose, is_convolution, numbers, weight_shape
from models.preprocess.rewrite import Edit, Names, kept, rewrite
from models.preprocess.windows import Window, windows

_WHAT = "a two-dimensional convolution with weights of its own and a kernel that has something to separate"
Shape = tuple[int, ...]


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


@dataclass(frozen=True, slots=True)
class Tucker:
    """A kernel (O, I, h, w) as (rank_in, I, 1, 1), (rank_out, rank_in, h, w), (O, rank_out, 1, 1), per group.

    The bases are the leading singular vectors of the unfoldings by filters and by channels (HOSVD).
    """

    weight: str
    group: int
    rank_in: int
    rank_out: int
    first: str
    core: str
    last: str
    costly: ClassVar[bool] = True

    @property
    def makes(self) -> tuple[str, ...]:
        """See `Recipe`."""
        return self.first, self.core, self.last

    def shapes(self, shape: Shape) -> tuple[Shape, ...]:
        """Shapes of what it makes of a weight of `shape`."""
        filters, channels, height, width = shape
        return (
            (self.group * self.rank_in, channels, 1, 1),
            (self.group * self.rank_out, self.rank_in, height, width),
            (filters, self.rank_out, 1, 1),
        )

    def make(self, weights: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """See `Recipe`."""
        weight = weights[self.weight]
        firsts, cores, lasts = [], [], []
        for part in np.split(weight, self.group):
            by_filter, by_channel = _unfoldings(part)
            filters = factors.leading(factors.gram(by_filter.T), self.rank_out)
            channels = factors.leading(factors.gram(by_channel.T), self.rank_in)
            cores.append(np.einsum("oihw,or,ic->rchw", part.astype(np.float64), filters, channels, optimize=True))
            firsts.append(channels.T[:, :, None, None])
            lasts.append(filters[:, :, None, None])
        made = {self.first: firsts, self.core: cores, self.last: lasts}
        return {name: np.ascontiguousarray(np.concatenate(parts), weight.dtype) for name, parts in made.items()}


class _Chain(Protocol):
    """A recipe whose parameters are the kernels of convolutions that follow each other."""

    costly: ClassVar[bool]

    @property
    def makes(self) -> tuple[str, ...]: ...

    def shapes(self, shape: Shape) -> tuple[Shape, ...]: ...

    def make(self, weights: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]: ...


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

    def planned(weight: str, group: int, names: Names) -> Separable:
        filters, channels, height, width = base.types[weight][1]
        wanted = rank if rank is not None else _separable_rank(base, weight, group, energy or 1.0)
        full = min(channels * height, filters // group * width)
        column, row = names.fresh(f"{weight}/column"), names.fresh(f"{weight}/row")
        return Separable(weight, group, min(wanted, full), column, row)

    return _decomposed(network, "separate", layers, grow, able, planned, _separable_nodes)


def tucker(
    network: Network,
    *,
    rank_in: int | None = None,
    rank_out: int | None = None,
    energy: float | None = None,
    layers: Sequence[str] | None = None,
    grow: bool = False,
) -> Network:
    """Convolutions as three: 1 x 1 to `rank_in` maps, k x k to `rank_out` maps, 1 x 1 to the filters (per group).

    Lossy. Tucker-2 by HOSVD: Kim et al. 2016 (arXiv 1511.06530). Give both ranks, or `energy`: the least ranks that
    keep this share of either unfolding, for which the weights are read now. Otherwise as `separate`; kernels of 1 x 1
    and depthwise convolutions have nothing to gain and stay.
    """
    if energy is None:
        factors.check_one_of("tucker", rank_in=rank_in, energy=energy)
        factors.check_one_of("tucker", rank_out=rank_out, energy=energy)
    else:
        factors.check_one_of("tucker", rank_in=rank_in, rank_out=rank_out, energy=energy)
    factors.check_rank("tucker", rank_in=rank_in, rank_out=rank_out)
    factors.check_share("tucker", "energy", energy)
    base = network.unmerged

    def able(node: onnx.NodeProto) -> bool:
        shape = weight_shape(base, node)
        return is_convolution(base, node) and shape is not None and max(shape[2:]) > 1 and shape[1] > 1

    def planned(weight: str, group: int, names: Names) -> Tucker:
        filters, channels = base.types[weight][1][:2]
        wanted = (rank_in or 1, rank_out or 1) if energy is None else _tucker_ranks(base, weight, group, energy)
        chosen = min(wanted[0], channels), min(wanted[1], filters // group)
        return Tucker(weight, group, *chosen, *(names.fresh(f"{weight}/{part}") for part in ("first", "core", "last")))

    return _decomposed(network, "tucker", layers, grow, able, planned, _tucker_nodes)


class _Planned(Protocol):
    def __call__(self, weight: str, group: int, names: Names) -> _Chain: ...


class _Able(Protocol):
    def __call__(self, node: onnx.NodeProto) -> bool: ...


class _Nodes(Protocol):
    def __call__(
        self, node: onnx.NodeProto, kernels: Sequence[str], axes: tuple[Window, Window], names: Names
    ) -> list[onnx.NodeProto]: ...


def _decomposed(
    network: Network,
    step: str,
    layers: Sequence[str] | None,
    grow: bool,
    able: _Able,
    planned: _Planned,
    nodes: _Nodes,
) -> Network:
    base = network.unmerged
    names, edit = Names(base), Edit()
    made: dict[tuple[str, int], _Chain | None] = {}
    for node in choose(base, step, layers, able, _WHAT):
        weight, group = node.input[1], features.integer(node, "group", 1)
        dtype, shape = base.types[weight]
        if (weight, group) not in made:
            recipe = planned(weight, group, names)
            smaller = numbers(recipe.shapes(shape)) < numbers([shape])
            made[weight, group] = recipe if smaller or grow else None
            if smaller or grow:
                edit.recipes.append(recipe)
                edit.parameters.update(zip(recipe.makes, ((dtype, s) for s in recipe.shapes(shape)), strict=True))
        found = made[weight, group]
        if found is not None:
            axes = windows(node, base.types[node.input[0]][1], base.types[node.output[0]][1], shape)
            edit.nodes[node.name] = nodes(node, found.makes, axes, names)
    return rewrite(network, edit, step) if edit.nodes else network


def _separable_nodes(
    node: onnx.NodeProto, kernels: Sequence[str], axes: tuple[Window, Window], names: Names
) -> list[onnx.NodeProto]:
    inner = names.fresh(f"{node.output[0]}/column")
    rows, columns = axes
    return [
        _convolution(node, "column", [node.input[0], kernels[0]], inner, rows, None, names),
        _convolution(node, "row", [inner, kernels[1], *node.input[2:]], node.output[0], None, columns, names),
    ]


def _tucker_nodes(
    node: onnx.NodeProto, kernels: Sequence[str], axes: tuple[Window, Window], names: Names
) -> list[onnx.NodeProto]:
    narrow, core = names.fresh(f"{node.output[0]}/first"), names.fresh(f"{node.output[0]}/core")
    return [
        _convolution(node, "first", [node.input[0], kernels[0]], narrow, None, None, names),
        _convolution(node, "core", [narrow, kernels[1]], core, *axes, names),
        _convolution(node, "last", [core, kernels[2], *node.input[2:]], node.output[0], None, None, names),
    ]


def _convolution(
    node: onnx.NodeProto,
    part: str,
    inputs: Sequence[str],
    output: str,
    rows: Window | None,
    columns: Window | None,
    names: Names,
) -> onnx.NodeProto:
    """A convolution of `node`'s groups that slides along the given axes and is one wide along the others."""
    none = Window(1, 1, 1, 0, 0, 1)
    vertical, horizontal = rows or none, columns or none
    return helper.make_node(
        "Conv",
        inputs,
        [output],
        names.fresh(f"{node.name}/{part}"),
        kernel_shape=[vertical.kernel, horizontal.kernel],
        strides=[vertical.stride, horizontal.stride],
        dilations=[vertical.dilation, horizontal.dilation],
        pads=[vertical.begin, horizontal.begin, vertical.end, horizontal.end],
        group=features.integer(node, "group", 1),
    )


def _columns_by_rows(part: np.ndarray) -> np.ndarray:
    filters, channels, height, width = part.shape
    return part.transpose(1, 2, 0, 3).reshape(channels * height, filters * width)


def _unfoldings(part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By filters and by channels, the chosen axis as rows."""
    return part.reshape(part.shape[0], -1), part.transpose(1, 0, 2, 3).reshape(part.shape[1], -1)


def _separable_rank(base: Network, weight: str, group: int, energy: float) -> int:
    def spectra() -> dict[str, np.ndarray]:
        parts = np.split(base.weights()[weight], group)
        return {"columns": np.stack([factors.energies(_columns_by_rows(part)) for part in parts])}

    found = kept(f"{base.digest} separable {weight} {group}", ("columns",), spectra)
    return factors.rank_for(list(found["columns"]), energy)


def _tucker_ranks(base: Network, weight: str, group: int, energy: float) -> tuple[int, int]:
    def spectra() -> dict[str, np.ndarray]:
        parts = [_unfoldings(part) for part in np.split(base.weights()[weight], group)]
        return {
            "channels": np.stack([factors.energies(by_channel) for _, by_channel in parts]),
            "filters": np.stack([factors.energies(by_filter) for by_filter, _ in parts]),
        }

    found = kept(f"{base.digest} tucker {weight} {group}", ("channels", "filters"), spectra)
    return tuple(factors.rank_for(list(found[side]), energy) for side in ("channels", "filters"))  # type: ignore[return-value]
