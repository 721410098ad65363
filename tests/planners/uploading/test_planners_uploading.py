"""In what parts and order P1 travels: IONN, efficiency, recursive efficiency and the exhaustive oracle."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from paper_problems import paper_problem
from planner_problems import problems
from strategies import layer_graphs, placements

from layerlift.models.errors import PlanError
from layerlift.planners import cost, make, simple_problem, timeline, validate
from layerlift.planners.exact.exhaustive import Orders, divisions
from layerlift.planners.graphs.additive import Additive
from layerlift.planners.graphs.chain import Chain, units_of
from layerlift.planners.problem.plan import Plan, uploads_of
from layerlift.planners.testing.problems import chain_graph
from layerlift.planners.uploading.efficiency import Ranker, runs
from layerlift.planners.uploading.ionn import penalty_list

CHAINS = layer_graphs(max_layers=6, chain=True)
UPLOADERS = (
    "direct",
    "ionn",
    "ionn:penalties=loop,factor=0.1",
    "ionn:penalties=code,factor=0.8",
    "efficiency",
    "recursive",
    "recursive:first_pick=yes",
    "efficiency:round_trips=yes",
    "ionn:shared=yes",
    "recursive:shared=yes",
)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_given_p1_every_uploader_ends_at_one_latency_and_one_byte_count(data: st.DataObject) -> None:
    problem = data.draw(problems(min_nodes=2))
    placement = data.draw(placements(problem.graph, len(problem.nodes)))
    assume(cost.fits(problem, placement))
    ends = set()
    for name in UPLOADERS:
        uploads = make(f"local+{name}").uploading.upload(problem, placement, random.Random(0))
        plan = Plan(placement, uploads)
        validate(plan, problem)
        lived = timeline(problem, plan)
        ends.add((lived.latencies_s[-1], lived.total_bytes))
    assert len(ends) == 1


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_range_gains_what_the_cost_model_says_hand_overs_included(data: st.DataObject) -> None:
    """On chains: gain of uploading a range = latency before - latency after, whatever is uploaded already."""
    problem = data.draw(problems(CHAINS, plain=True, min_nodes=2))
    placement = data.draw(placements(problem.graph, len(problem.nodes)))
    chain = Chain(Additive(problem), placement)
    movable = [int(unit) for unit in chain.movable.nonzero()[0]]
    assume(movable)
    done = set(data.draw(st.lists(st.sampled_from(movable), unique=True)))
    before = cost.latency(problem, chain.placement(done))
    ranker = Ranker(chain, recursive=False, first_pick=False, round_trips=False)
    for run in runs(set(movable) - done):
        gap = ranker._gap(run, done)
        for first, last in product(range(len(run)), repeat=2):
            if first <= last:
                part = range(run.start + first, run.start + last + 1)
                after = cost.latency(problem, chain.placement(done | set(part)))
                assert gap.gain[first, last] == pytest.approx(before - after, abs=1e-9 * (1 + before))
                assert gap.bytes[first, last] == sum(chain.bytes[unit] for unit in part)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_ionns_path_is_the_cheapest_of_all_sets_of_units(data: st.DataObject) -> None:
    problem = data.draw(problems(CHAINS, plain=True, min_nodes=2))
    placement = data.draw(placements(problem.graph, len(problem.nodes)))
    chain = Chain(Additive(problem), placement)
    penalty = data.draw(st.sampled_from([1.0, 0.5, 0.1, 0.01, 0.0]))
    movable = [int(unit) for unit in chain.movable.nonzero()[0]]

    def price(chosen) -> float:
        upload = sum(chain.upload[unit] for unit in chosen)
        return cost.latency(problem, chain.placement(chosen)) + penalty * upload

    sets = [
        [u for u, taken in zip(movable, bits, strict=True) if taken] for bits in product((0, 1), repeat=len(movable))
    ]
    assert price(chain.shortest_path(penalty)) == pytest.approx(min(map(price, sets)), rel=1e-9, abs=1e-12)


def test_penalty_lists_of_the_three_sources() -> None:
    assert penalty_list("eight", 0.5) == (1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0)
    assert penalty_list("loop", 0.5) == (1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625)
    assert penalty_list("loop", 0.1) == pytest.approx((1.0, 0.1, 0.01))
    assert len(penalty_list("code", 0.5)) == 11
    assert len(penalty_list("code", 0.8)) == 32
    assert penalty_list("code", 0.8)[-1] == 0.0
    with pytest.raises(PlanError, match="between 0 and 1"):
        penalty_list("eight", 1.0)


def heavy_tail():
    """A cheap, useful head; a light middle that helps little; a huge tail that helps a lot in the end."""
    graph = chain_graph(makes=[50_000, 50_000, 40_000, 1_000], holds=[100_000, 2_000_000, 100_000, 60_000_000])
    return simple_problem(
        graph, [[0.5, 0.01], [0.2, 0.01], [0.1, 0.01], [0.8, 0.01]], bandwidth_bytes_s=1e7, latency_s=0.001
    )


def test_ionn_sends_what_pays_first_and_the_huge_tail_last() -> None:
    plan = make("ionn").plan(heavy_tail(), random.Random(0))
    assert plan.uploads[0].layers == (0, 1, 2)
    assert plan.uploads[-1].layers == (3,)
    without_end = make("ionn:penalties=loop").plan(heavy_tail(), random.Random(0))
    assert without_end.p1 == {0, 1, 2, 3}
    never = make("ionn:penalties=loop,factor=0.99").plan(
        replace(heavy_tail(), bandwidth_bytes_s=np.array([[np.inf, 2e5], [2e5, np.inf]])), random.Random(0)
    )
    assert 3 not in never.p1


def test_efficiency_and_recursive_begin_with_the_best_gain_per_byte() -> None:
    problem = heavy_tail()
    fine = make("recursive").plan(problem, random.Random(0))
    assert fine.uploads[0].layers == (0,)
    assert fine.uploads[-1].layers == (3,)
    lived = timeline(problem, fine)
    assert list(lived.latencies_s) == sorted(lived.latencies_s, reverse=True)
    paying = make("recursive:first_pick=yes").plan(problem, random.Random(0))
    assert paying.uploads[0].layers == (0, 1, 2)


def test_recursion_takes_the_finest_useful_piece() -> None:
    """A range that is most efficient as a whole still begins with its best smaller part."""
    graph = chain_graph(makes=[300_000, 1_000], holds=[1_000_000, 1_000_000])
    problem = simple_problem(graph, [[0.2, 0.01], [0.2, 0.01]], bandwidth_bytes_s=1e7, latency_s=0.02)
    assert [u.layers for u in make("efficiency").plan(problem, random.Random(0)).uploads] == [(0, 1)]
    assert [u.layers for u in make("recursive").plan(problem, random.Random(0)).uploads] == [(1,), (0,)]


def test_layers_that_never_pay_travel_last_in_one_part_per_server() -> None:
    graph = chain_graph(makes=[50_000] * 3, holds=[10_000, 10_000, 10_000])
    problem = simple_problem(graph, [[0.01, 0.5, 0.5], [0.9, 0.01, 0.5], [0.01, 0.5, 0.5]], bandwidth_bytes_s=1e7)
    for name in ("efficiency", "recursive", "ionn"):
        uploads = make(f"local+{name}").uploading.upload(problem, (2, 1, 2), random.Random(0))
        assert uploads[0] == (1, (1,))
        assert uploads[-1] == (2, (0, 2))


def test_hand_over_between_servers_is_credited() -> None:
    """Beside an uploaded layer on another server, a layer spares the way home and back: it is taken next."""
    graph = chain_graph(makes=[2_000_000, 2_000_000, 1_000, 1_000], holds=[1_000_000] * 4)
    bandwidth = np.array([[np.inf, 1e7, 1e7], [1e7, np.inf, 1e9], [1e7, 1e9, np.inf]])
    problem = simple_problem(
        graph,
        [[1.0, 0.01, 0.01], [0.9, 0.01, 0.01], [0.25, 0.01, 0.01], [0.3, 0.01, 0.01]],
        bandwidth_bytes_s=bandwidth,
    )
    uploads = make("local+recursive").uploading.upload(problem, (1, 2, 2, 1), random.Random(0))
    chain = Chain(Additive(problem), (1, 2, 2, 1))
    ranker = Ranker(chain, True, False, False)
    alone = ranker._gap(range(1, 4), set()).gain[0, 0]
    beside = ranker._gap(range(1, 4), {0}).gain[0, 0]
    assert beside > alone + 0.3
    assert [u.layers for u in uploads][:2] == [(0,), (1,)]


@pytest.mark.long
@given(st.data())
@settings(max_examples=150, deadline=None)
def test_recursive_finishes_no_fewer_queries_than_direct(data: st.DataObject) -> None:
    """On chains, up to the end of Direct's upload: what is confirmed so far never slows a query, so none is lost.

    Up to the later end it may fall behind, but only by ending later: each part waits for its confirm result. With
    several servers there is one more exception: a range that pays only as a whole is confirmed server by server.
    """
    problem = data.draw(problems(CHAINS, plain=True, min_nodes=2, max_nodes=3))
    base = make("shortest_path").plan(problem, random.Random(0))
    assume(base.p1)
    direct = timeline(problem, make("shortest_path+direct").plan(problem, random.Random(0)))
    fine = timeline(problem, make("shortest_path+recursive").plan(problem, random.Random(0)))
    if max(fine.latencies_s) > fine.latencies_s[0] * (1 + 1e-12):
        assert len(problem.servers) > 1
        return
    assert fine.finished_by(direct.ended_s) >= direct.finished_by(direct.ended_s)
    later = max(direct.ended_s, fine.ended_s)
    if fine.finished_by(later) < direct.finished_by(later):
        assert fine.ended_s > direct.ended_s
    assert fine.delay_area(direct.ended_s) <= direct.delay_area(direct.ended_s) * (1 + 1e-9)


def test_divisions_are_counted_by_the_ordered_bell_numbers() -> None:
    counts = [sum(1 for _ in divisions(range(n))) for n in range(1, 6)]
    assert counts == [1, 3, 13, 75, 541]
    assert all(sorted(unit for part in parts for unit in part) == [0, 1, 2] for parts in divisions(range(3)))


def chains_to_order(count: int):
    """Random chains whose upload is worth ordering: seconds of upload, tenths of seconds of query."""
    rng = random.Random(5)
    for _ in range(count):
        holds = [int(10 ** rng.uniform(5, 7.3)) for _ in range(4)]
        graph = chain_graph([int(10 ** rng.uniform(3, 5.5)) for _ in range(4)], holds)
        seconds = [[(alone := 10 ** rng.uniform(-2, -0.3)), alone / 10, alone / 8] for _ in range(4)]
        yield simple_problem(graph, seconds, bandwidth_bytes_s=1e7, latency_s=0.0005)


@pytest.mark.long
def test_no_order_beats_the_exhaustive_one_and_recursive_comes_close() -> None:
    ratios: dict[str, list[float]] = {name: [] for name in ("direct", "ionn", "efficiency", "recursive")}
    for problem in chains_to_order(25):
        placement = make("shortest_path").plan(problem, random.Random(0)).placement
        chain = Chain(Additive(problem), placement)
        orders = Orders(problem, chain, [int(unit) for unit in chain.movable.nonzero()[0]])
        best = orders.area(Plan(placement, orders.best()))
        for parts in divisions(orders.units):
            area = orders.area(Plan(placement, uploads_of(placement, [chain.layers(part) for part in parts])))
            assert area >= best * (1 - 1e-12)
        for name, found in ratios.items():
            found.append(orders.area(make(f"shortest_path+{name}").plan(problem, random.Random(0))) / best)
    mean = {name: sum(found) / len(found) for name, found in ratios.items()}
    assert mean["recursive"] < 1.01
    assert mean["recursive"] <= mean["efficiency"] <= mean["ionn"] < mean["direct"]


def test_alexnet_in_the_papers_environment_orders_the_algorithms_as_published() -> None:
    problem = paper_problem("alexnet", servers=range(1, 6))
    found = {}
    for name in ("direct", "ionn", "efficiency", "recursive", "recursive:first_pick=yes"):
        plan = make(name).plan(problem, random.Random(0))
        found[name] = (len(plan.uploads), timeline(problem, plan))
    ends = {lived.latencies_s[-1] for _, lived in found.values()}
    until = max(lived.ended_s for _, lived in found.values())
    queries = {name: lived.finished_by(until) for name, (_, lived) in found.items()}
    assert len(ends) == 1
    assert queries["direct"] < queries["ionn"] <= queries["efficiency"] < queries["recursive"]
    assert found["ionn"][0] == 3
    assert found["recursive:first_pick=yes"][0] == 8
    faster = paper_problem("alexnet", 1.4, servers=range(1, 6))
    bare, whole = (make(name).plan(faster, random.Random(0)) for name in ("ionn:penalties=loop", "ionn"))
    assert timeline(faster, bare).total_bytes < 10e6, "without the final 0.0 the fully connected layers stay"
    assert timeline(faster, whole).total_bytes > 200e6


def test_modules_with_branches_are_one_unit() -> None:
    graph = paper_problem("googlenet", servers=range(1, 2)).graph
    units = units_of(graph)
    concats = [layer.index for layer in graph.layers if layer.op_type == "Concat"]
    assert [unit.last for unit in units if len(unit.layers) > 8] == concats
    assert [layer for unit in units for layer in unit.layers] == list(range(len(graph)))
    assert all(len(unit.entering) == 1 for unit in units)
