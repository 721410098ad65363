"""Tucker-2: a k x k convolution between two of 1 x 1, by higher-order singular value decomposition."""

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

    def planned(weight: str, group: int, names: FreshNames) -> Tucker:
        filters, channels = base.types[weight][1][:2]
        wanted = (rank_in or 1, rank_out or 1) if energy is None else _tucker_ranks(base, weight, group, energy)
        chosen = min(wanted[0], channels), min(wanted[1], filters // group)
        return Tucker(weight, group, *chosen, *(names.fresh(f"{weight}/{part}") for part in ("first", "core", "last")))

    return decompose(network, "tucker", layers, grow, able, planned, _tucker_nodes)


def _tucker_nodes(
    node: onnx.NodeProto, kernels: Sequence[str], axes: tuple[Window, Window], names: FreshNames
) -> list[onnx.NodeProto]:
    narrow, core = names.fresh(f"{node.output[0]}/first"), names.fresh(f"{node.output[0]}/core")
    return [
        convolution(node, "first", [node.input[0], kernels[0]], narrow, None, None, names),
        convolution(node, "core", [narrow, kernels[1]], core, *axes, names),
        convolution(node, "last", [core, kernels[2], *node.input[2:]], node.output[0], None, None, names),
    ]


def _unfoldings(part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By filters and by channels, the chosen axis as rows."""
    return part.reshape(part.shape[0], -1), part.transpose(1, 0, 2, 3).reshape(part.shape[1], -1)


def _tucker_ranks(base: Network, weight: str, group: int, energy: float) -> tuple[int, int]:
    def spectra() -> dict[str, np.ndarray]:
        parts = [_unfoldings(part) for part in np.split(base.weights()[weight], group)]
        return {
            "channels": np.stack([factors.energies(by_channel) for _, by_channel in parts]),
            "filters": np.stack([factors.energies(by_filter) for by_filter, _ in parts]),
        }

    found = kept(f"{base.digest} tucker {weight} {group}", ("channels", "filters"), spectra)
    return tuple(factors.rank_for(list(found[side]), energy) for side in ("channels", "filters"))  # type: ignore[return-value]
