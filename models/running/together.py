"""Pieces of a network that run for several queries at once, each with its own tensors by number."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from layerlift.models.running.batching import batched
from layerlift.models.running.cutting import Stacking, Subgraph, subgraph
from layerlift.models.running.network import Network


def several(network: Network, size: int) -> Network:
    """`network` for `size` queries at once, its layers merged as they are there.

    Raises `ModelError` where it cannot run them (see `layerlift.models.running.batching.batched`).
    """
    digest = hashlib.sha256(f"{network.digest} {size}".encode()).hexdigest()[:16]
    many = replace(batched(network, size), digest=digest)
    if network.base is None:
        return many
    return replace(network, digest=digest, light=many.light, source=many.source, base=many)


def piece_of_several(network: Network, many: Network, size: int, first: int, last: int) -> Subgraph | None:
    """Layers `first` to `last` for `size` queries at once, `many` being `several(network, size)`.

    None where a tensor at its border has no axis of its own for the queries (the shape that an operator computes, a
    constant): those queries can only run one after the other.
    """
    piece = subgraph(many, first, last)
    names = (*piece.inputs, *piece.outputs, *piece.watched)
    axes = {name: _axis(network.types[name][1], many.types[name][1], size) for name in names}
    known = {name: axis for name, axis in axes.items() if axis is not None}
    if len(known) < len(axes):
        return None
    return replace(
        piece,
        inputs=numbered(piece.inputs, size),
        outputs=numbered(piece.outputs, size),
        watched=numbered(piece.watched, size),
        stacking=Stacking(size, known),
    )


def name_of(tensor: str, number: int) -> str:
    """What a tensor of one of the queries is called."""
    return f"{number}/{tensor}"


def numbered(tensors: tuple[str, ...], size: int) -> tuple[str, ...]:
    """The names of some tensors of all queries."""
    return tuple(name_of(tensor, number) for tensor in tensors for number in range(size))


def stacked(stacking: Stacking, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The queries' tensors, by their names, as the piece reads them."""
    made = {}
    for tensor, axis in stacking.axes.items():
        if name_of(tensor, 0) in inputs:
            each = [inputs[name_of(tensor, number)] for number in range(stacking.size)]
            made[tensor] = np.concatenate(each, axis)
    return made


def apart(stacking: Stacking, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the piece has made, by the queries' names: the way back."""
    return {
        name_of(tensor, number): np.ascontiguousarray(part)
        for tensor, array in tensors.items()
        for number, part in enumerate(np.split(array, stacking.size, stacking.axes[tensor]))
    }


def _axis(alone: tuple[int, ...], many: tuple[int, ...], size: int) -> int | None:
    differing = [axis for axis, (one, more) in enumerate(zip(alone, many, strict=False)) if one != more]
    if len(alone) != len(many) or len(differing) != 1:
        return None
    [axis] = differing
    return axis if (alone[axis], many[axis]) == (1, size) else None
