"""Coarser layer graphs: groups of layers become one layer each, and pieces of them still cut to the right nodes."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from layerlift.models.errors import ModelError
from layerlift.models.graph.graph import Layer, LayerGraph, Tensor
from layerlift.models.running.network import Network
from layerlift.models.sums import left_sum

MERGED = "Merged"
"""The operator of a layer that stands for several."""
_SUMMED = ("macs", "input_elements", "output_elements")


def coarsen(graph: LayerGraph, groups: Iterable[Collection[int]]) -> LayerGraph:
    """`graph` with each of `groups` (layer indices, disjoint) as one layer; layers in no group stay as they are.

    A merged layer owns the union of the parameters, the sum of the FLOPs, and the tensors that others or the answer
    need; what only its members read disappears. The order is the topological one nearest to the old order.
    Raises `ModelError` for unknown or repeated layers and for groups that would have to run before each other.
    """
    owner = _owners(graph, [sorted(set(group)) for group in groups])
    order = _order(graph, owner)
    tensors, number = _tensors(graph, order, owner)
    layers = tuple(
        _alone(graph.layers[members[0]], position, number)
        if len(members) == 1
        else _merged(graph, members, position, number)
        for position, members in enumerate(order)
    )
    return replace(graph, layers=layers, tensors=tensors, outputs=tuple(number[t] for t in graph.outputs))


def regroup(network: Network, groups: Iterable[Collection[int]]) -> Network:
    """`network` with groups of its layers merged (see `coarsen`); itself when no group has two layers.

    Weights and answers stay the same; timing profiles of the unmerged network go on to apply (`Profile.over`).
    """
    chosen = [group for group in groups if len(group) > 1]
    if not chosen:
        return network
    graph = coarsen(network.graph, chosen)
    parts = repr([layer.nodes for layer in graph.layers])
    digest = hashlib.sha256(f"{network.unmerged.digest} merged {parts}".encode()).hexdigest()[:16]
    return replace(network, graph=graph, digest=digest, base=network.unmerged)


def precedes(graph: LayerGraph, owner: Sequence[int]) -> dict[int, set[int]]:
    """Which owner hands a tensor to which others: edges of the quotient graph, `owner[layer]` being any number."""
    after: dict[int, set[int]] = {group: set() for group in owner}
    for tensor in graph.tensors:
        if tensor.producer >= 0:
            source = owner[tensor.producer]
            after[source].update(owner[reader] for reader in tensor.consumers if owner[reader] != source)
    return after


def _owners(graph: LayerGraph, groups: Sequence[Sequence[int]]) -> list[int]:
    """Per layer, the first layer of its group."""
    owner = list(range(len(graph)))
    seen: set[int] = set()
    for group in groups:
        for layer in group:
            if not 0 <= layer < len(graph) or layer in seen:
                raise ModelError(
                    f"{graph.name}: layer {layer} cannot be merged; expected groups of its layers 0..{len(graph) - 1}, "
                    "each layer in one group at most"
                )
            seen.add(layer)
            owner[layer] = group[0]
    return owner


def _order(graph: LayerGraph, owner: Sequence[int]) -> list[list[int]]:
    members: dict[int, list[int]] = {}
    for layer, group in enumerate(owner):
        members.setdefault(group, []).append(layer)
    after = precedes(graph, owner)
    waiting = dict.fromkeys(members, 0)
    for group in members:
        for later in after[group]:
            waiting[later] += 1
    ready = [group for group, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    found: list[list[int]] = []
    while ready:
        group = heapq.heappop(ready)
        found.append(members[group])
        for later in after[group]:
            waiting[later] -= 1
            if waiting[later] == 0:
                heapq.heappush(ready, later)
    if len(found) < len(members):
        stuck = next(group for group, count in waiting.items() if count > 0)
        names = ", ".join(graph.layers[layer].name for layer in members[stuck][:4])
        raise ModelError(
            f"{graph.name}: merging {names} ... would put layers before and after it at once; "
            "expected groups without a way out and back in"
        )
    return found


def _tensors(
    graph: LayerGraph, order: Sequence[Sequence[int]], owner: Sequence[int]
) -> tuple[tuple[Tensor, ...], dict[int, int]]:
    """The tensors that are still seen, renumbered: inputs first, then in the order in which layers make them."""
    place = {members[0]: position for position, members in enumerate(order)}
    seen = [index for index, tensor in enumerate(graph.tensors) if tensor.producer < 0]
    for members in order:
        for layer in members:
            for index in graph.layers[layer].outputs:
                tensor = graph.tensors[index]
                inner = tensor.consumers and all(owner[reader] == owner[layer] for reader in tensor.consumers)
                if tensor.is_output or not (inner or (len(members) > 1 and not tensor.consumers)):
                    seen.append(index)
    number = {old: new for new, old in enumerate(seen)}
    made = tuple(
        replace(
            graph.tensors[old],
            producer=-1 if graph.tensors[old].producer < 0 else place[owner[graph.tensors[old].producer]],
            consumers=_readers(graph, old, owner, place),
        )
        for old in seen
    )
    return made, number


def _readers(graph: LayerGraph, tensor: int, owner: Sequence[int], place: dict[int, int]) -> tuple[int, ...]:
    made = graph.tensors[tensor]
    home = -1 if made.producer < 0 else owner[made.producer]
    return tuple(sorted({place[owner[reader]] for reader in made.consumers if owner[reader] != home}))


def _alone(layer: Layer, position: int, number: dict[int, int]) -> Layer:
    return replace(
        layer,
        index=position,
        inputs=tuple(number[t] for t in layer.inputs),
        outputs=tuple(number[t] for t in layer.outputs),
    )


def _merged(graph: LayerGraph, members: Sequence[int], position: int, number: dict[int, int]) -> Layer:
    layers = [graph.layers[member] for member in members]
    made = {t for layer in layers for t in layer.outputs}
    read = dict.fromkeys(t for layer in layers for t in layer.inputs if t not in made)
    return Layer(
        position,
        f"{layers[-1].name}+{len(layers) - 1}",
        MERGED,
        tuple(number[t] for t in read),
        tuple(number[t] for layer in layers for t in layer.outputs if t in number),
        tuple(dict.fromkeys(p for layer in layers for p in layer.parameters)),
        sum(layer.flops for layer in layers),
        _peak_bytes(graph, layers, set(number)),
        {key: left_sum(layer.features.get(key, 0.0) for layer in layers) for key in _SUMMED},
        tuple(node for layer in layers for node in layer.nodes),
    )


def _peak_bytes(graph: LayerGraph, layers: Sequence[Layer], seen: Collection[int]) -> int:
    """Memory that running `layers` one after another needs beside parameters: inputs stay, inner tensors go when read.

    The members' own `run_bytes` count their inputs and outputs already.
    """
    last = {t: at for at, layer in enumerate(layers) for t in layer.inputs}
    made_at = {t: at for at, layer in enumerate(layers) for t in layer.outputs}
    held = {t for t in last if t not in made_at}
    peak = 0
    for at, layer in enumerate(layers):
        beside = held - set(layer.inputs) - set(layer.outputs)
        peak = max(peak, layer.run_bytes + sum(graph.tensors[t].bytes for t in beside))
        held.update(layer.outputs)
        held -= {t for t in held if t in made_at and t not in seen and last.get(t, -1) <= at}
    return peak
