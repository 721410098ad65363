"""Merging of neighbours inside modules: fewer layers for a planner, nothing between them left to cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from layerlift.models.errors import ModelError
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.preprocess.coarse import precedes, regroup
from layerlift.models.preprocess.modules import units
from layerlift.models.running.network import Network

MIB = 2**20


def merge(
    network: Network,
    *,
    rule: Literal["chain", "printed"] = "chain",
    within: Literal["modules", "anywhere"] = "modules",
    max_layers: int | None = None,
    max_mb: float | None = None,
) -> Network:
    """Merge layers that follow each other, again and again, where `rule` says so. Lossless.

    `chain`: the earlier one feeds only the later one, which reads only it (out-degree = in-degree = 1; "cut-edge
    compression"). `printed`: the sentence of Xue, Wu and Li 2023 (10.1109/MCE.2022.3159348) to the letter, "the
    difference between the predecessor's out-degree and the successor's in-degree is 1", where no cycle comes of it.
    Degrees are those of the network as given. `within: modules` leaves layers outside modules alone, without which a
    chain would become one layer; a merged layer has at most `max_layers` ONNX nodes and `max_mb` (2^20 bytes) of
    parameters. Raises `ModelError` for caps out of range.
    """
    if max_layers is not None and max_layers < 1:
        raise ModelError(f"merge: max_layers is {max_layers}; expected 1 or more")
    if max_mb is not None and not max_mb >= 0:
        raise ModelError(f"merge: max_mb is {max_mb}; expected 0 or more")
    graph = network.graph
    scopes = [unit.layers for unit in units(graph) if len(unit) > 1] if within == "modules" else [range(len(graph))]
    groups = [group for scope in scopes for group in _grown(graph, scope, rule, max_layers, max_mb)]
    return regroup(network, groups)


def degrees(graph: LayerGraph) -> tuple[list[int], list[int]]:
    """Per layer, how many layers read from it and how many it reads from; the world outside counts as one of them."""
    after: list[set[int]] = [set() for _ in graph.layers]
    before: list[set[int]] = [set() for _ in graph.layers]
    for tensor in graph.tensors:
        for reader in tensor.consumers:
            before[reader].add(tensor.producer)
            if tensor.producer >= 0:
                after[tensor.producer].add(reader)
        if tensor.is_output and tensor.producer >= 0:
            after[tensor.producer].add(-1)
    return [len(found) for found in after], [len(found) for found in before]


def _grown(
    graph: LayerGraph, scope: range, rule: str, max_layers: int | None, max_mb: float | None
) -> Iterable[list[int]]:
    leave, enter = degrees(graph)
    owner = list(range(len(graph)))
    members = {layer: [layer] for layer in scope}
    for source, target in _edges(graph, scope):
        out, into = leave[source], enter[target]
        fits = out == into == 1 if rule == "chain" else abs(out - into) == 1
        first, second = owner[source], owner[target]
        if not fits or first == second:
            continue
        joined = sorted(members[first] + members[second])
        if _too_big(graph, joined, max_layers, max_mb) or (rule == "printed" and _detour(graph, owner, first, second)):
            continue
        del members[second]
        members[first] = joined
        for layer in joined:
            owner[layer] = first
    return members.values()


def _edges(graph: LayerGraph, scope: range) -> list[tuple[int, int]]:
    inside = {
        (graph.tensors[t].producer, layer)
        for layer in scope
        for t in graph.layers[layer].inputs
        if graph.tensors[t].producer in scope
    }
    return sorted(inside)


def _too_big(graph: LayerGraph, joined: Sequence[int], max_layers: int | None, max_mb: float | None) -> bool:
    if max_layers is not None and sum(max(1, len(graph.layers[layer].nodes)) for layer in joined) > max_layers:
        return True
    return max_mb is not None and graph.held_bytes(joined) > max_mb * MIB


def _detour(graph: LayerGraph, owner: Sequence[int], first: int, second: int) -> bool:
    """Whether a path leads from one group to the other, either way, through a third: merged, it would be a cycle."""
    after = precedes(graph, owner)
    return _reaches(after, first, second) or _reaches(after, second, first)


def _reaches(after: dict[int, set[int]], source: int, target: int) -> bool:
    waiting = [group for group in after[source] if group != target]
    seen = set(waiting)
    while waiting:
        for group in after[waiting.pop()]:
            if group == target:
                return True
            if group not in seen:
                seen.add(group)
                waiting.append(group)
    return False
