"""Coarser layer graphs: what they cost, how they are cut, and that cutting them changes no bit."""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Callable, Iterator

import networkx as nx
import numpy as np
import pytest
import small_nets
from cut_runs import run_cut
from hypothesis import given, settings
from hypothesis import strategies as st
from preprocess_nets import in_pieces, inception, network, weightless, whole
from small_nets import model, node
from strategies import layer_graphs

from layerlift import models
from layerlift.models.errors import ModelError
from layerlift.models.graph import borders
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.loading import zoo
from layerlift.models.preprocess.coarse import coarsen, regroup
from layerlift.models.preprocess.merge import degrees, merge
from layerlift.models.preprocess.modules import Module, collapse, dominators, modules, units
from layerlift.models.preprocess.split import Speeds, best_cut, cost_of, proper_cut, split
from layerlift.models.running.network import Network
from layerlift.models.timing.profiles import reference

GRAPHS = layer_graphs(max_layers=9, chain=False)


def groupings(graph: LayerGraph) -> st.SearchStrategy[list[list[int]]]:
    """Groups of layers, some of them out of order with others."""
    labels = st.lists(st.integers(0, 3), min_size=len(graph), max_size=len(graph))
    return labels.map(lambda found: [[i for i, g in enumerate(found) if g == label] for label in (1, 2, 3)])


def quotient(graph: LayerGraph, groups: list[list[int]]) -> nx.DiGraph:
    owner = {layer: f"group {number}" for number, group in enumerate(groups) for layer in group}
    made = nx.DiGraph()
    made.add_nodes_from(owner.get(layer, layer) for layer in range(len(graph)))
    for tensor in graph.tensors:
        for reader in tensor.consumers:
            ends = owner.get(tensor.producer, tensor.producer), owner.get(reader, reader)
            if tensor.producer >= 0 and ends[0] != ends[1]:
                made.add_edge(*ends)
    return made


@settings(max_examples=80, deadline=None, derandomize=True)
@given(GRAPHS.flatmap(lambda graph: st.tuples(st.just(graph), groupings(graph))))
def test_merging_keeps_costs_and_hides_only_what_nobody_outside_reads(case: tuple[LayerGraph, list[list[int]]]) -> None:
    graph, groups = case
    groups = [group for group in groups if group]
    if not nx.is_directed_acyclic_graph(quotient(graph, groups)):
        with pytest.raises(ModelError, match="before and after it at once"):
            coarsen(graph, groups)
        return
    made = coarsen(graph, groups)
    assert sorted(node for layer in made.layers for node in layer.nodes) == sorted(layer.name for layer in graph.layers)
    assert sum(layer.flops for layer in made.layers) == sum(layer.flops for layer in graph.layers)
    assert made.held_bytes(range(len(made))) == graph.held_bytes(range(len(graph)))
    by_name = {tensor.name: tensor for tensor in graph.tensors}
    index = {node: layer.index for layer in made.layers for node in layer.nodes}
    for old in graph.tensors:
        readers = {index[graph.layers[reader].name] for reader in old.consumers}
        home = -1 if old.producer < 0 else index[graph.layers[old.producer].name]
        seen = [tensor for tensor in made.tensors if tensor.name == old.name]
        if home < 0 or old.is_output or readers - {home}:
            assert [(t.bytes, t.producer, set(t.consumers)) for t in seen] == [(old.bytes, home, readers - {home})]
            assert home < 0 or made.tensors.index(seen[0]) in made.layers[home].outputs
    for layer in made.layers:
        members = [graph.layers[index] for index in range(len(graph)) if graph.layers[index].name in layer.nodes]
        assert set(layer.parameters) == {p for member in members for p in member.parameters}
        assert layer.run_bytes >= max(member.run_bytes for member in members)
        needed = {graph.tensors[t].name for m in members for t in m.inputs} - {
            graph.tensors[t].name for m in members for t in m.outputs
        }
        assert {made.tensors[t].name for t in layer.inputs} == needed
        total = sum(by_name[t].bytes for t in needed) + sum(graph.tensors[t].bytes for m in members for t in m.outputs)
        assert layer.run_bytes <= max(total, members[0].run_bytes)
    assert [made.tensors[t].name for t in made.outputs] == [graph.tensors[t].name for t in graph.outputs]


def test_memory_of_a_merged_layer_is_its_peak() -> None:
    made = inception(9)
    names = {layer.name: layer.index for layer in made.graph.layers}
    found = coarsen(made.graph, [[names["b1"], names["b1_relu"], names["b2"]]])
    merged = next(layer for layer in found.layers if len(layer.nodes) == 3)
    maps = 9 * 9 * 4
    assert merged.run_bytes == (4 + 3 + 3) * maps, (
        "the input stays for others while two maps of three channels are alive"
    )


def test_groups_are_checked() -> None:
    graph = inception().graph
    for wrong in ([[0, 99]], [[0, 1], [1, 2]]):
        with pytest.raises(ModelError, match="each layer in one group"):
            coarsen(graph, wrong)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(layer_graphs(max_layers=9))
def test_dominators_are_those_of_graph_theory(graph: LayerGraph) -> None:
    flow = nx.DiGraph()
    for tensor in graph.tensors:
        source = "in" if tensor.producer < 0 else tensor.producer
        flow.add_edges_from((source, reader) for reader in tensor.consumers)
        if tensor.is_output:
            flow.add_edge(source, "out")
    idom = nx.immediate_dominators(flow, "in")
    expected: list[int] = []
    step = idom["out"]
    while step != "in":
        expected.append(step)
        step = idom[step]
    found = dominators(graph)
    useful = nx.ancestors(flow, "out")
    assert set(found) <= set(expected)
    if useful >= set(range(len(graph))):
        assert list(found) == expected[::-1]


@pytest.mark.long
def test_units_partition_every_network_of_the_zoo() -> None:
    for name in zoo.classics():
        graph = models.load(name).graph
        assert [layer for unit in units(graph) for layer in unit.layers] == list(range(len(graph)))


@pytest.mark.long
def test_the_modules_of_the_zoo() -> None:
    found = {name: len(modules(models.load(name).graph)) for name in zoo.classics()}
    assert found == {
        "alexnet": 0,
        "densenet121": 58,
        "googlenet": 9,
        "inception_v2": 10,
        "resnet50": 16,
        "shufflenet": 16,
        "squeezenet": 8,
        "vgg19": 0,
        "zfnet512": 0,
    }


@pytest.mark.long
def test_a_decoder_whose_caches_pass_every_layer_has_its_blocks_for_modules() -> None:
    graph = models.load("stories15m").graph
    assert len(units(graph)) == 1, "no layer is passed by every path"
    assert 6 <= len(modules(graph)) <= 20, "six blocks, and what comes before and after"
    assert [at for module in modules(graph) for at in module.layers] == list(range(len(graph)))
    assert max(map(len, modules(graph))) <= borders.LONG
    for name in ("bert_small", "yolov8n"):
        graph = models.load(name).graph
        inside = {at for module in modules(graph) for at in module.layers}
        assert inside <= set(range(len(graph)))
        assert len(inside) == sum(map(len, modules(graph))), "no layer in two of them"
    step = models.load("stories15m")
    inputs = step.sample_inputs(2)
    answers = models.uncut_session(step, exact=True).run(inputs)
    for made in (collapse(step), split(step)):
        assert 10 < len(made.graph) < 40
        seen = run_cut(made, [at % 2 for at in range(len(made.graph))], inputs, exact=True)
        assert all(np.array_equal(seen[name], answers[name]) for name in answers)


# Minimum cuts


def closed_heads(graph: LayerGraph, module: Module) -> Iterator[tuple[int, ...]]:
    """Every set of layers of a module that waits for nothing else in it."""
    before = {
        at: {graph.tensors[t].producer for t in graph.layers[at].inputs if graph.tensors[t].producer >= module.first}
        for at in module.layers
    }
    found: set[frozenset[int]] = {frozenset()}
    for at in module.layers:
        found |= {head | {at} for head in found if before[at] <= head}
    return (tuple(sorted(head)) for head in found)


def check_cuts(graph: LayerGraph, module: Module, speeds: Speeds | None) -> None:
    costs = {head: cost_of(graph, module, head, speeds) for head in closed_heads(graph, module)}
    any_cut, proper = best_cut(graph, module, speeds), proper_cut(graph, module, speeds)
    assert any_cut.cost == pytest.approx(min(costs.values()), rel=1e-9)
    inner = [cost for head, cost in costs.items() if 0 < len(head) < len(module)]
    assert proper.cost == pytest.approx(min(inner), rel=1e-9)
    for cut in (any_cut, proper):
        assert cut.head in costs
        assert sorted((*cut.head, *cut.tail)) == list(module.layers)


def independent_cost(graph: LayerGraph, module: Module, head: tuple[int, ...]) -> int:
    """Bytes that layers of the module behind the cut, or anything after the module, need from before the cut."""
    behind = [at for at in range(module.first, len(graph)) if at not in head]
    needed = {t for at in behind for t in graph.layers[at].inputs}
    made = {t for at in behind for t in graph.layers[at].outputs}
    entering = {t for at in module.layers for t in graph.layers[at].inputs} | {
        t for at in module.layers for t in graph.layers[at].outputs
    }
    return sum(graph.tensors[t].bytes for t in (needed - made) & entering)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(GRAPHS, st.booleans())
def test_minimum_cuts_against_every_cut(graph: LayerGraph, timed: bool) -> None:
    speeds = Speeds(1e9, 8e9, 1e7) if timed else None
    for module in modules(graph):
        check_cuts(graph, module, speeds)
        for head in closed_heads(graph, module):
            assert cost_of(graph, module, head) == independent_cost(graph, module, head)


@pytest.mark.long
@pytest.mark.parametrize("name", ["squeezenet", "googlenet", "resnet50", "shufflenet"])
def test_minimum_cuts_of_real_modules_against_every_cut(name: str) -> None:
    graph = models.load(name).graph
    small = [module for module in modules(graph) if len(module) <= 16]
    assert small
    for module in small:
        check_cuts(graph, module, None)
        check_cuts(graph, module, Speeds(5e9, 50e9, 10e6))


def flow_value(graph: LayerGraph, module: Module) -> float:
    """The same cut, put to another maximum-flow algorithm as one node per layer end and one edge per tensor."""
    flow = nx.DiGraph()
    for t in {t for at in module.layers for t in (*graph.layers[at].inputs, *graph.layers[at].outputs)}:
        tensor = graph.tensors[t]
        flow.add_edge(tensor.producer if tensor.producer >= module.first else "s", f"t{t}", capacity=tensor.bytes)
        for reader in tensor.consumers:
            flow.add_edge(f"t{t}", reader if reader <= module.last else "t", capacity=10**15)
            if module.first <= reader <= module.last:
                flow.add_edge(reader, tensor.producer if tensor.producer >= module.first else "s", capacity=10**15)
    return float(nx.maximum_flow_value(flow, "s", "t", flow_func=nx.algorithms.flow.preflow_push))


@pytest.mark.long
@pytest.mark.parametrize("name", zoo.classics())
def test_minimum_cuts_of_all_networks_against_another_flow(name: str) -> None:
    graph = models.load(name).graph
    for module in modules(graph):
        if any(graph.tensors[t].consumers for t in graph.layers[module.last].outputs):
            assert best_cut(graph, module).cost == flow_value(graph, module)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(GRAPHS, st.booleans())
def test_both_flows_find_the_same_cuts(graph: LayerGraph, timed: bool) -> None:
    speeds = Speeds(1e9, 8e9, 1e7) if timed else None
    for module in modules(graph):
        assert best_cut(graph, module, speeds) == best_cut(graph, module, speeds, "boykov_kolmogorov")
        assert proper_cut(graph, module, speeds) == proper_cut(graph, module, speeds, "boykov_kolmogorov")


@pytest.mark.long
@pytest.mark.parametrize("name", ["densenet121", "googlenet", "inception_v2", "resnet50", "shufflenet", "squeezenet"])
@pytest.mark.parametrize("speeds", [None, Speeds(5e9, 50e9, 10e6)], ids=["bytes", "seconds"])
def test_both_flows_find_the_same_cuts_of_real_modules(name: str, speeds: Speeds | None) -> None:
    graph = models.load(name).graph
    for module in modules(graph):
        assert best_cut(graph, module, speeds) == best_cut(graph, module, speeds, "boykov_kolmogorov")
        assert proper_cut(graph, module, speeds) == proper_cut(graph, module, speeds, "boykov_kolmogorov")


def test_only_the_papers_flow_needs_networkx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "networkx", None)
    assert len(split(inception()).graph) > 1
    with pytest.raises(ModelError, match=r"pip install 'layerlift\[flow\]'"):
        split(inception(), flow="boykov_kolmogorov")


def test_split_wants_all_speeds_or_none() -> None:
    with pytest.raises(ModelError, match="server_gflops is None"):
        split(inception(), client_gflops=1.0)
    with pytest.raises(ModelError, match="bandwidth_mb_s is 0"):
        split(inception(), client_gflops=1.0, server_gflops=2.0, bandwidth_mb_s=0.0)


def test_a_module_is_split_at_most_once() -> None:
    made = inception()
    halves = [layer for layer in split(made).graph.layers if set(layer.nodes) & {"a", "b1", "b2", "c", "pool", "join"}]
    assert len(halves) == 2
    assert len(split(made, cut="any").graph) in (len(made.graph) - 6, len(made.graph) - 5)


def test_a_fast_client_keeps_a_module_and_a_fast_link_gives_it_away() -> None:
    graph = inception().graph
    (module,) = modules(graph)
    assert best_cut(graph, module, Speeds(1e15, 1.0, 1e15)).tail == ()
    assert best_cut(graph, module, Speeds(1.0, 1e15, 1e15)).head == ()


# Neighbours


def test_neighbours_merge_inside_modules_only() -> None:
    made = merge(inception())
    parts = [layer.nodes for layer in made.graph.layers if len(layer.nodes) > 1]
    assert parts == [("b1", "b1_relu", "b2"), ("pool", "c")]
    everywhere = merge(inception(), within="anywhere")
    assert ("stem", "stem_relu") in [layer.nodes for layer in everywhere.graph.layers]
    assert ("join", "join_relu", "head", "pool_all", "flat") in [layer.nodes for layer in everywhere.graph.layers]


def test_an_answer_that_is_also_read_keeps_its_layer_apart() -> None:
    nodes = [node("Relu", ["x"], ["a"], name="one"), node("Relu", ["a"], ["b"], name="two")]
    last = node("Relu", ["b"], ["c"], name="three")
    net = network(model([*nodes, last], [small_nets.tensor("x", 1, 4)], ["a", "c"]))
    assert [layer.nodes for layer in merge(net, within="anywhere").graph.layers] == [("one",), ("two", "three")]


def test_caps_hold() -> None:
    net = models.load("vgg19")
    capped = merge(net, within="anywhere", max_layers=5)
    assert max(len(layer.nodes) for layer in capped.graph.layers) == 5
    megabytes = merge(net, within="anywhere", max_mb=20)
    for layer in megabytes.graph.layers:
        held = sum(megabytes.graph.parameters[p].held_bytes for p in layer.parameters)
        assert len(layer.nodes) == 1 or held <= 20 * 2**20
    with pytest.raises(ModelError, match="max_layers is 0"):
        merge(net, max_layers=0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(GRAPHS)
def test_the_chain_rule_leaves_no_pair_to_merge(graph: LayerGraph) -> None:
    made = merge(as_network(graph), within="anywhere").graph
    leave, enter = degrees(made)
    for tensor in made.tensors:
        for reader in tensor.consumers:
            assert tensor.producer < 0 or leave[tensor.producer] > 1 or enter[reader] > 1


@settings(max_examples=60, deadline=None, derandomize=True)
@given(GRAPHS)
def test_the_printed_rule_merges_pairs_whose_degrees_differ_by_one(graph: LayerGraph) -> None:
    leave, enter = degrees(graph)
    made = merge(as_network(graph), rule="printed", within="anywhere").graph
    position = {layer.name: layer.index for layer in graph.layers}
    for layer in made.layers:
        members = {position[node] for node in layer.nodes}
        links = nx.Graph()
        links.add_nodes_from(members)
        for tensor in graph.tensors:
            links.add_edges_from(
                (tensor.producer, reader)
                for reader in tensor.consumers
                if {tensor.producer, reader} <= members and abs(leave[tensor.producer] - enter[reader]) == 1
            )
        assert nx.is_connected(links)


def as_network(graph: LayerGraph) -> Network:
    """A network with this layer graph; enough for what looks at nothing else."""
    made = models.load("squeezenet")
    return Network(graph.name, "digest", "topology", graph, made.light, made.source)


# Networks: cutting merged layers changes nothing

MERGES: dict[str, Callable[[Network], Network]] = {
    "collapse": collapse,
    "split": split,
    "merge": merge,
    "printed": lambda network: merge(network, rule="printed"),
    "merge and split": lambda network: split(merge(network)),
    "chains": lambda network: merge(network, within="anywhere", max_layers=4),
}


def cut_somewhere(made: Network, seed: int, count: int) -> None:
    draw = random.Random(seed)
    inputs = made.sample_inputs(seed)
    cuts = draw.sample(range(len(made.graph)), min(count, len(made.graph)))
    for expected, found in zip(whole(made.unmerged, inputs), in_pieces(made, cuts, inputs), strict=True):
        assert expected.tobytes() == found.tobytes()


@pytest.mark.parametrize("kind", MERGES)
def test_a_merged_module_cuts_to_the_same_bits(kind: str) -> None:
    made = MERGES[kind](inception())
    inputs = made.sample_inputs(0)
    expected = whole(made.unmerged, inputs)[0]
    for cuts in itertools.chain(([at] for at in range(len(made.graph))), [range(len(made.graph))]):
        assert in_pieces(made, cuts, inputs)[0].tobytes() == expected.tobytes()


@pytest.mark.long
@pytest.mark.parametrize("number", range(9))
def test_merged_networks_of_the_zoo_cut_to_the_same_bits(number: int) -> None:
    name = zoo.classics()[number]
    kinds = list(MERGES)
    for at in (number, number + 2):
        cut_somewhere(MERGES[kinds[at % len(kinds)]](models.load(name)), number, 4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MERGES)
@pytest.mark.parametrize("name", zoo.classics())
def test_every_merge_of_the_zoo_cuts_to_the_same_bits(name: str, kind: str) -> None:
    made = MERGES[kind](models.load(name))
    for seed in range(3):
        cut_somewhere(made, seed, 6)


def test_merges_need_no_weights_and_keep_the_profile() -> None:
    net = weightless(models.load("googlenet"))
    made = split(merge(net))
    assert made.digest not in (net.digest, merge(net).digest)
    assert made.topology == net.topology
    profile, base = reference(made), reference(net)
    assert len(profile.seconds) == len(made.graph) < len(net.graph)
    assert profile.total_s == pytest.approx(base.total_s, rel=1e-12)
    row = dict(zip(base.layers, base.seconds, strict=True))
    for layer, spent in zip(made.graph.layers, profile.seconds, strict=True):
        assert spent == pytest.approx(sum(row[node] for node in layer.nodes), rel=1e-12)


def test_a_network_without_modules_stays_itself() -> None:
    net = models.load("alexnet")
    assert collapse(net) is net
    assert split(net) is net
    assert merge(net) is net
    assert regroup(net, [[3]]) is net
