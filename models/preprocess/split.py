"""One minimum cut per module, so that a module is split at most once (after Tian et al. 2021, MDPO, 10.3390/s21010229).

The paper finds the cut with the Boykov-Kolmogorov maximum flow, which is a choice here; Dinic's finds the same. Both
sides then run in topological order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from layerlift.models.errors import ModelError
from layerlift.models.graph.flow import FlowGraph
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.preprocess.coarse import regroup
from layerlift.models.preprocess.modules import Module, modules
from layerlift.models.running.network import Network
from layerlift.models.sums import int_sum, left_sum

FlowAlgorithm = Literal["dinic", "boykov_kolmogorov"]
"""The maximum flow by which a cut is found; both find the same cut."""

Vertex = Hashable
Edge = tuple[Vertex, Vertex, float]
"""From, to, and capacity: infinite, or a whole number."""

_HEAD, _TAIL = ("side", "head"), ("side", "tail")


@dataclass(frozen=True, slots=True)
class ModuleCut:
    """Two sides of a module, ascending; `head` runs first. An empty `head` or `tail` means that it stays whole."""

    head: tuple[int, ...]
    tail: tuple[int, ...]
    cost: float


@dataclass(frozen=True, slots=True)
class Speeds:
    """Two machines and the link between them: FLOPs per second on either side, bytes per second across."""

    client_flops_s: float
    server_flops_s: float
    bytes_s: float


def split(
    network: Network,
    *,
    cut: Literal["proper", "any"] = "proper",
    flow: FlowAlgorithm = "dinic",
    client_gflops: float | None = None,
    server_gflops: float | None = None,
    bandwidth_mb_s: float | None = None,
) -> Network:
    """Every module as two layers, before and after its minimum cut. Lossless.

    The cut has the fewest bytes to send or, with all of `client_gflops`, `server_gflops` (10^9 FLOPs/s) and
    `bandwidth_mb_s` (2^20 bytes/s), the least time when the first side runs at the client. With `cut: proper` both
    sides have layers; with `any` a module that is best not cut becomes one layer. `flow: boykov_kolmogorov` takes the
    paper's maximum flow, from networkx (the extra `flow`). Raises `ModelError` when only some of the three speeds are
    given or one is not above 0, and when networkx is wanted but missing.
    """
    speeds = _speeds(client_gflops=client_gflops, server_gflops=server_gflops, bandwidth_mb_s=bandwidth_mb_s)
    graph = network.graph
    groups: list[tuple[int, ...]] = []
    for module in modules(graph):
        sides = best_cut(graph, module, speeds, flow) if cut == "any" else proper_cut(graph, module, speeds, flow)
        groups += [sides.head, sides.tail]
    return regroup(network, groups)


def best_cut(
    graph: LayerGraph, module: Module, speeds: Speeds | None = None, flow: FlowAlgorithm = "dinic"
) -> ModuleCut:
    """The minimum cut of `module`, where one side may be empty. Bytes, or seconds with `speeds`."""
    return _minimum(graph, module, speeds, flow, head=(), tail=())


def proper_cut(
    graph: LayerGraph, module: Module, speeds: Speeds | None = None, flow: FlowAlgorithm = "dinic"
) -> ModuleCut:
    """The minimum cut of `module` with at least one layer on either side (`module` needs two layers).

    A side that comes first and is not empty holds a layer that reads nothing from the module; a side that comes last
    holds one that hands on nothing inside it. So the minimum over those pairs is the minimum of all.
    """
    starts = [at for at in module.layers if not _before(graph, module, at)]
    ends = [at for at in module.layers if not _after(graph, module, at)]
    cuts = [
        _minimum(graph, module, speeds, flow, head=(first,), tail=(last,))
        for first in starts
        for last in ends
        if first != last
    ]
    return min(cuts, key=lambda cut: cut.cost)


def cost_of(graph: LayerGraph, module: Module, head: Iterable[int], speeds: Speeds | None = None) -> float:
    """What a cut with these layers of `module` in its head costs; every tensor that is needed behind it goes once."""
    first = set(head)
    sent = [
        tensor.bytes
        for tensor in (graph.tensors[index] for index in _touched(graph, module))
        if (tensor.producer in first or tensor.producer < module.first)
        and any(_is_behind(module, reader, first) for reader in tensor.consumers)
    ]
    if speeds is None:
        return float(int_sum(sent))
    flops = {at: graph.layers[at].flops for at in module.layers}
    here = left_sum(flops[at] / speeds.client_flops_s for at in module.layers if at in first)
    there = left_sum(flops[at] / speeds.server_flops_s for at in module.layers if at not in first)
    return here + there + left_sum(size / speeds.bytes_s for size in sent)


def _is_behind(module: Module, reader: int, head: set[int]) -> bool:
    return reader not in head and reader >= module.first


def _touched(graph: LayerGraph, module: Module) -> list[int]:
    """Tensors that layers of the module make or read: the only ones that its cut can change the cost of."""
    made = {t for at in module.layers for t in graph.layers[at].outputs}
    return sorted(made | {t for at in module.layers for t in graph.layers[at].inputs})


def _minimum(
    graph: LayerGraph,
    module: Module,
    speeds: Speeds | None,
    flow: FlowAlgorithm,
    head: tuple[int, ...],
    tail: tuple[int, ...],
) -> ModuleCut:
    """A minimum cut with the layers `head` before it and `tail` behind it; of equal ones that with most before it."""
    edges = [*_edges(graph, module, speeds)]
    edges += [(_HEAD, layer, math.inf) for layer in head]
    edges += [(layer, _TAIL, math.inf) for layer in tail]
    before = _FLOWS[flow](edges)
    first = tuple(at for at in module.layers if at in before)
    rest = tuple(at for at in module.layers if at not in before)
    return ModuleCut(first, rest, cost_of(graph, module, first, speeds))


def _edges(graph: LayerGraph, module: Module, speeds: Speeds | None) -> Iterator[Edge]:
    """A module as a flow network from `_HEAD` to `_TAIL`; an edge is paid when it leads from before the cut to behind.

    A tensor's own vertex charges it once however many read it behind the cut, and
    an edge back from every reader keeps the head closed (nothing in it waits for the tail).
    """
    for layer in module.layers:
        if speeds is not None:
            yield _HEAD, layer, _ticks(graph.layers[layer].flops / speeds.server_flops_s)
            yield layer, _TAIL, _ticks(graph.layers[layer].flops / speeds.client_flops_s)
    for index in _touched(graph, module):
        tensor = graph.tensors[index]
        maker = tensor.producer if tensor.producer >= module.first else _HEAD
        yield maker, ("sent", index), tensor.bytes if speeds is None else _ticks(tensor.bytes / speeds.bytes_s)
        for reader in tensor.consumers:
            if reader > module.last:
                yield ("sent", index), _TAIL, math.inf
            elif reader >= module.first:
                yield ("sent", index), reader, math.inf
                yield reader, maker, math.inf


def _by_dinic(edges: Sequence[Edge]) -> set[Vertex]:
    """What is before the minimum cut, as much as can be."""
    flow = FlowGraph()
    number: dict[Vertex, int] = {_HEAD: flow.SOURCE, _TAIL: flow.SINK}
    for tail, head, capacity in edges:
        for vertex in (tail, head):
            if vertex not in number:
                number[vertex] = flow.node()
        flow.edge(number[tail], number[head], capacity)
    before = flow.largest_source_side()
    return {vertex for vertex, at in number.items() if at in before}


def _by_boykov_kolmogorov(edges: Sequence[Edge]) -> set[Vertex]:
    """As `_by_dinic`, by networkx; `ModelError` when it is not installed."""
    try:
        # Imported here because only this choice needs it: everything else works without the extra.
        import networkx as nx
        from networkx.algorithms.flow import boykov_kolmogorov
    except ImportError:
        raise ModelError(
            "split: flow=boykov_kolmogorov needs the module networkx, which is not installed: "
            "pip install 'layerlift[flow]', or take flow=dinic, which finds the same cuts"
        ) from None
    flow: nx.DiGraph[Vertex] = nx.DiGraph()
    flow.add_nodes_from((_HEAD, _TAIL))
    for tail, head, capacity in edges:
        flow.add_edge(tail, head, capacity=capacity)
    _, (before, _) = nx.minimum_cut(flow, _HEAD, _TAIL, flow_func=boykov_kolmogorov)
    return set(before)


_FLOWS: Mapping[FlowAlgorithm, Callable[[Sequence[Edge]], set[Vertex]]] = {
    "dinic": _by_dinic,
    "boykov_kolmogorov": _by_boykov_kolmogorov,
}


def _ticks(seconds: float) -> int:
    """Whole capacities: what rounding leaves of a float would be taken for a way through."""
    return round(seconds * 1e18)


def _before(graph: LayerGraph, module: Module, layer: int) -> bool:
    return any(graph.tensors[t].producer >= module.first for t in graph.layers[layer].inputs)


def _after(graph: LayerGraph, module: Module, layer: int) -> bool:
    return any(reader <= module.last for t in graph.layers[layer].outputs for reader in graph.tensors[t].consumers)


def _speeds(**given: float | None) -> Speeds | None:
    if all(value is None for value in given.values()):
        return None
    chosen = {name: value for name, value in given.items() if value is not None and value > 0}
    for name, value in given.items():
        if name not in chosen:
            raise ModelError(f"split: {name} is {value}; give all of {', '.join(given)}, each above 0, or none of them")
    return Speeds(chosen["client_gflops"] * 1e9, chosen["server_gflops"] * 1e9, chosen["bandwidth_mb_s"] * 2**20)
