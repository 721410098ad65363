"""Chains towards all servers at once, against the prices of layers and tensors one by one: equal to the last bit."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from planner_problems import problems
from strategies import layer_graphs

from layerlift.planners import Judge, Problem, cost, make
from layerlift.planners.graphs.additive import Additive
from layerlift.planners.graphs.chain import Chain
from layerlift.planners.graphs.unit_costs import UnitCosts


def one_by_one(additive: Additive, target: tuple[int, ...]) -> dict[str, list[float]]:
    """The prices of a chain, unit by unit, tensor by tensor."""
    graph = additive.problem.graph
    rows: dict[str, list[float]] = {name: [] for name in ("planned", "enter", "leave", "hand", "upload")}
    known: dict[int, frozenset[int]] = {}
    for number, unit in enumerate(Chain(additive, target).units):
        planned = sum(float(additive.layers[layer, target[layer]]) for layer in unit.layers)
        for layer in unit.layers:
            for tensor in (graph.tensors[each] for each in graph.layers[layer].outputs):
                to = {target[reader] for reader in tensor.consumers if reader <= unit.last}
                to |= {0} if tensor.is_output else set()
                planned += sum(additive.transfer(tensor.bytes, target[layer], node) for node in sorted(to))
        rows["planned"].append(planned)
        enter = leave = hand = 0.0
        for tensor in (graph.tensors[each] for each in unit.entering):
            readers = [reader for reader in tensor.consumers if unit.first <= reader <= unit.last]
            nodes, home = sorted({target[reader] for reader in readers}), target[tensor.producer]
            enter += sum(additive.transfer(tensor.bytes, 0, node) for node in nodes)
            if number:
                leave += sum(additive.transfer(tensor.bytes, home, node) for node in ([0] if readers else []))
                hand += sum(additive.transfer(tensor.bytes, home, node) for node in nodes)
        rows["enter"].append(enter)
        rows["leave"].append(leave)
        rows["hand"].append(hand)
        price, by_server = 0.0, {}
        for layer in unit.layers:
            if target[layer]:
                by_server.setdefault(target[layer], []).append(layer)
        for server, layers in by_server.items():
            price += additive.uploading(graph.upload_bytes(layers, known.get(server, frozenset())), server)
            known[server] = known.get(server, frozenset()) | graph.parameters_of(layers)
        rows["upload"].append(price)
    return rows


@given(problems(layer_graphs(max_layers=7)), st.data())
@settings(max_examples=250, deadline=None)
def test_a_chain_is_priced_as_its_layers_and_tensors_are(problem: Problem, data: st.DataObject) -> None:
    target = tuple(data.draw(st.integers(0, len(problem.nodes) - 1)) for _ in problem.graph.layers)
    additive = Additive(problem)
    chain, slow = Chain(additive, target), one_by_one(additive, target)
    for name, values in slow.items():
        assert getattr(chain, name).tolist() == values, name


@given(problems(layer_graphs(max_layers=7)))
@settings(max_examples=250, deadline=None)
def test_chains_towards_all_servers_are_those_towards_each(problem: Problem) -> None:
    additive = Additive(problem)
    for server, chain in enumerate(Chain.towards_all(UnitCosts(additive)), start=1):
        alone = Chain(additive, [server if free else 0 for free in problem.allowed[:, server]])
        assert chain.target == alone.target or problem.allowed[:, server].all()
        for name in ("movable", "client", "planned", "enter", "leave", "hand", "bytes", "upload"):
            assert getattr(chain, name).tolist() == getattr(alone, name).tolist(), name
        for penalty in (0.0, 0.3, 1.0):
            assert chain.shortest_path(penalty) == alone.shortest_path(penalty)


@given(problems(layer_graphs(max_layers=7), min_nodes=2))
@settings(max_examples=250, deadline=None)
def test_what_an_exact_chain_costs_is_what_the_cost_model_says(problem: Problem) -> None:
    judge = Judge(problem)
    for chain in Chain.towards_all(UnitCosts(Additive(problem, judge))):
        units = chain.shortest_path(0.0)
        found = cost.evaluate(problem, chain.placement(units))
        prices = chain.additive
        value = prices.per_second * found.latency_s + prices.per_joule * found.energy_j
        if chain.exact and not problem.price_per_byte_s.any():
            np.testing.assert_allclose(chain.cost(units), value + prices.per_money * found.money, rtol=1e-9, atol=1e-12)


@given(problems(layer_graphs(max_layers=7), min_nodes=2))
@settings(max_examples=200, deadline=None)
def test_the_best_chain_is_the_best_of_all_servers(problem: Problem) -> None:
    """Sums leave out servers that cannot be the best: `ionn` is never worse than towards any one of them."""
    judge = Judge(problem)
    plan = make("ionn").plan(problem, random.Random(0))
    for chain in Chain.towards_all(UnitCosts(Additive(problem, judge))):
        placement = chain.placement(chain.shortest_path(0.0))
        if cost.fits(problem, placement):
            assert judge.key(plan.placement) <= judge.key(placement)
