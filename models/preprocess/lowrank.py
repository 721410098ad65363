"""Fully connected layers as two smaller ones: low rank by SVD, and low rank with pruned rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx
from onnx import helper

from layerlift.models.graph import features
from layerlift.models.preprocess import factors
from layerlift.models.preprocess.choosing import choose, is_dense
from layerlift.models.preprocess.codecs import ShortRows
from layerlift.models.preprocess.rewrite import Edit, FreshNames, kept, rewrite
from layerlift.models.running.network import Network

_WHAT = "a Gemm (without transA) or MatMul whose second input is a matrix of weights"


@dataclass(frozen=True, slots=True)
class Dense:
    """Two factors of a matrix (in, out): (in, rank) and (rank, out).

    With `short_in` or `short_out` above 0, the neurons of least weight (that many inputs, that many outputs, by the sum
    of their absolute weights) keep only their first `short_rank` components.
    """

    weight: str
    transposed: bool
    rank: int
    left: str
    right: str
    short_in: int = 0
    short_out: int = 0
    short_rank: int = 0
    costly: ClassVar[bool] = True

    @property
    def makes(self) -> tuple[str, ...]:
        """See `Recipe`."""
        return self.left, self.right

    def make(self, weights: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """See `Recipe`."""
        matrix = weights[self.weight].T if self.transposed else weights[self.weight]
        left, right = factors.truncate(matrix, self.rank)
        left[_least(np.abs(matrix).sum(1, dtype=np.float64), self.short_in), self.short_rank :] = 0
        right[self.short_rank :, _least(np.abs(matrix).sum(0, dtype=np.float64), self.short_out)] = 0
        return {self.left: left, self.right: right}


def low_rank(
    network: Network,
    *,
    rank: int | None = None,
    energy: float | None = None,
    layers: Sequence[str] | None = None,
    grow: bool = False,
) -> Network:
    """Fully connected layers as two, with `rank` neurons between them (truncated SVD). Lossy.

    Give `rank`, or `energy`: the least rank that keeps this share of the squared singular values, for which the weights
    are read now. A layer whose two factors would not be smaller stays as it is, unless `grow`. `layers` limits it to
    layers by name or pattern. Raises `ModelError` for options out of range and layers that cannot be factored.
    """
    factors.check_one_of("low_rank", rank=rank, energy=energy)
    factors.check_rank("low_rank", rank=rank)
    factors.check_share("low_rank", "energy", energy)
    return _factored(network, "low_rank", layers, _RankChoice(rank, energy, grow))


def sparse_low_rank(
    network: Network,
    *,
    rank: int | None = None,
    energy: float | None = None,
    sparsity: float = 0.5,
    reduction: float = 0.5,
    layers: Sequence[str] | None = None,
    grow: bool = False,
) -> Network:
    """As `low_rank`; then the share `sparsity` of input and of output neurons, those of least weight, keeps only the
    share `reduction` of the rank. Lossy. The zeros are not uploaded.

    Sparse low rank, by absolute weight: Swaminathan et al. 2020, 10.1016/j.neucom.2020.02.035.
    """
    factors.check_one_of("sparse_low_rank", rank=rank, energy=energy)
    factors.check_rank("sparse_low_rank", rank=rank)
    for name, share in (("energy", energy), ("sparsity", sparsity), ("reduction", reduction)):
        factors.check_share("sparse_low_rank", name, share)
    return _factored(network, "sparse_low_rank", layers, _RankChoice(rank, energy, grow, sparsity, reduction))


@dataclass(frozen=True, slots=True)
class _RankChoice:
    rank: int | None
    energy: float | None
    grow: bool
    sparsity: float = 0.0
    reduction: float = 1.0


def _factored(network: Network, step: str, layers: Sequence[str] | None, choice: _RankChoice) -> Network:
    base = network.unmerged
    names, edit = FreshNames(base), Edit()
    made: dict[tuple[str, bool], Dense | None] = {}
    for node in choose(base, step, layers, lambda node: is_dense(base, node), _WHAT):
        key = node.input[1], bool(features.integer(node, "transB", 0))
        if key not in made:
            made[key] = _planned(base, key, choice, names)
            _declare(base, made[key], edit)
        recipe = made[key]
        if recipe is not None:
            edit.nodes[node.name] = _pair(node, recipe, names)
    return rewrite(network, edit, step) if edit.nodes else network


def _planned(base: Network, key: tuple[str, bool], choice: _RankChoice, names: FreshNames) -> Dense | None:
    weight, transposed = key
    rows, columns = base.types[weight][1][::-1] if transposed else base.types[weight][1]
    full = min(rows, columns)
    wanted = choice.rank if choice.rank is not None else _rank_for(base, weight, choice.energy or 1.0)
    chosen = min(wanted, full)
    if not choice.grow and chosen * (rows + columns) >= rows * columns:
        return None
    short_rank = max(1, round(choice.reduction * chosen)) if choice.sparsity else chosen
    left, right = names.fresh(f"{weight}/left"), names.fresh(f"{weight}/right")
    shares = round(choice.sparsity * rows), round(choice.sparsity * columns)
    return Dense(weight, transposed, chosen, left, right, *shares, short_rank)


def _rank_for(base: Network, weight: str, energy: float) -> int:
    spectrum = kept(
        f"{base.digest} energies {weight}",
        ("energies",),
        lambda: {"energies": factors.energies(base.weights()[weight])},
    )
    return factors.rank_for([spectrum["energies"]], energy)


def _declare(base: Network, recipe: Dense | None, edit: Edit) -> None:
    if recipe is None:
        return
    dtype, shape = base.types[recipe.weight]
    rows, columns = shape[::-1] if recipe.transposed else shape
    edit.recipes.append(recipe)
    edit.parameters[recipe.left] = (dtype, (rows, recipe.rank))
    edit.parameters[recipe.right] = (dtype, (recipe.rank, columns))
    if recipe.short_in:
        edit.codecs[recipe.left] = ShortRows(recipe.short_in, recipe.short_rank, 0)
    if recipe.short_out:
        edit.codecs[recipe.right] = ShortRows(recipe.short_out, recipe.short_rank, 1)


def _pair(node: onnx.NodeProto, recipe: Dense, names: FreshNames) -> list[onnx.NodeProto]:
    inner = names.fresh(f"{node.output[0]}/low")
    first = helper.make_node("MatMul", [node.input[0], recipe.left], [inner], names.fresh(f"{node.name}/left"))
    second = onnx.NodeProto()
    second.CopyFrom(node)
    second.name = names.fresh(f"{node.name}/right")
    second.input[0], second.input[1] = inner, recipe.right
    kept_attributes = [a for a in node.attribute if a.name != "transB"]
    del second.attribute[:]
    second.attribute.extend(kept_attributes)
    return [first, second]


def _least(importance: np.ndarray, count: int) -> np.ndarray:
    return np.argsort(importance, kind="stable")[:count]
