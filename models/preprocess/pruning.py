"""Pruning: weights become zero where they matter least, and the zeros are not uploaded. Nodes stay as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx

from layerlift.models.errors import ModelError
from layerlift.models.preprocess.choosing import choose, is_convolution, is_dense, numbers, weight_shape
from layerlift.models.preprocess.codecs import NATURAL, Patterns, Sparse
from layerlift.models.preprocess.factors import check_share
from layerlift.models.preprocess.rewrite import Edit, rewrite
from layerlift.models.running.network import Network


@dataclass(frozen=True, slots=True)
class Largest:
    """The `values` largest numbers of a weight by magnitude; of equal ones the first. The rest becomes zero."""

    weight: str
    values: int
    costly: ClassVar[bool] = False

    @property
    def makes(self) -> tuple[str, ...]:
        """See `Recipe`."""
        return (self.weight,)

    def make(self, weights: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """See `Recipe`."""
        old = weights[self.weight]
        chosen = _largest(np.abs(old).reshape(-1), self.values).reshape(old.shape)
        return {self.weight: np.where(chosen, old, old.dtype.type(0))}


@dataclass(frozen=True, slots=True)
class Patterned:
    """3x3 kernels cut down to four places in one of `patterns` patterns; only the `kernels` strongest are kept.

    The patterns are those that fit most kernels best, each fit being the centre and its three largest neighbours.
    """

    weight: str
    patterns: int
    kernels: int
    costly: ClassVar[bool] = False

    @property
    def makes(self) -> tuple[str, ...]:
        """See `Recipe`."""
        return (self.weight,)

    def make(self, weights: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """See `Recipe`."""
        old = weights[self.weight]
        kernels = old.reshape(-1, 9)
        power = np.square(kernels, dtype=np.float64)
        held = np.stack([power[:, pattern].sum(1) for pattern in NATURAL], axis=1)
        votes = np.bincount(held.argmax(axis=1)[power.any(axis=1)], minlength=len(NATURAL))
        allowed = np.sort(np.argsort(-votes, kind="stable")[: self.patterns])
        best = allowed[held[:, allowed].argmax(axis=1)]
        inside = np.zeros(kernels.shape, bool)
        np.put_along_axis(inside, NATURAL[best], True, axis=1)
        inside &= _largest(np.where(inside, power, 0).sum(1), self.kernels)[:, None]
        return {self.weight: np.where(inside, kernels, old.dtype.type(0)).reshape(old.shape)}


def prune(network: Network, *, keep: float, layers: Sequence[str] | None = None) -> Network:
    """Keep the share `keep` of the weights of each fully connected layer, the largest by magnitude. Lossy.

    `layers` names other layers with weights (convolutions too). Parameters keep their names and are held dense; uploads
    use `layerlift.models.preprocess.codecs.Sparse` where that is smaller. Raises `ModelError` for a share out of range.
    """
    check_share("prune", "keep", keep)
    base = network.unmerged

    def able(node: onnx.NodeProto) -> bool:
        return is_dense(base, node) or (layers is not None and is_convolution(base, node))

    edit = Edit()
    for weight, shape in _weights(base, choose(base, "prune", layers, able, "a layer with weights")).items():
        values = max(1, round(keep * numbers([shape])))
        edit.recipes.append(Largest(weight, values))
        edit.codecs[weight] = Sparse(values)
    return rewrite(network, edit, "prune") if edit.recipes else network


def prune_patterns(
    network: Network, *, patterns: int = 8, kernels: float = 1.0, layers: Sequence[str] | None = None
) -> Network:
    """Keep four weights of each 3x3 kernel, in one of `patterns` patterns, and the share `kernels` of all kernels.

    Lossy. PatDNN: Niu et al. 2020, 10.1145/3373376.3378534, without its training: patterns are the natural ones (the
    centre and three neighbours) that most kernels vote for; kernels go by their norm. Uploads use
    `layerlift.models.preprocess.codecs.Patterns`. Raises `ModelError` for options out of range and layers without
    3x3 kernels.
    """
    check_share("patterns", "kernels", kernels)
    if not 1 <= patterns <= len(NATURAL):
        raise ModelError(f"patterns: patterns is {patterns}; expected 1 to {len(NATURAL)}, such as 8")
    base = network.unmerged

    def able(node: onnx.NodeProto) -> bool:
        shape = weight_shape(base, node)
        return is_convolution(base, node) and shape is not None and shape[2:] == (3, 3)

    edit = Edit()
    chosen = choose(base, "patterns", layers, able, "a convolution with 3x3 kernels")
    for weight, shape in _weights(base, chosen).items():
        count = max(1, round(kernels * (numbers([shape]) // 9)))
        edit.recipes.append(Patterned(weight, patterns, count))
        edit.codecs[weight] = Patterns(count)
    return rewrite(network, edit, "patterns") if edit.recipes else network


def _weights(base: Network, nodes: Sequence[onnx.NodeProto]) -> dict[str, tuple[int, ...]]:
    return {node.input[1]: base.types[node.input[1]][1] for node in nodes}


def _largest(size: np.ndarray, count: int) -> np.ndarray:
    """Which `count` of `size` (not negative) are largest; of equal ones the first. NaN counts as largest."""
    size = np.nan_to_num(size, nan=np.inf, posinf=np.inf)
    bound = np.partition(size, len(size) - count)[len(size) - count]
    chosen = np.asarray(size > bound)
    ties = np.flatnonzero(size == bound)[: count - int(chosen.sum())]
    chosen[ties] = True
    return chosen
