"""The tables behind `units` and `labels`: what is done at once is what would come out one by one."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerlift.emulator.studies.learning.worlds import Worlds
from layerlift.planners import Judge, Objective, Problem, cost
from layerlift.planners.cost import switches
from layerlift.planners.cost.holdings import held_in, held_on
from layerlift.planners.cost.pieces import Sums, cheapest_way, cheapest_ways, inner_pieces, weighed, whole_pieces
from layerlift.planners.cost.switches import MOST, cheapest_by_switches
from layerlift.planners.graphs import label_search
from layerlift.planners.graphs.additive import weights_of
from layerlift.planners.graphs.excursions import Visits
from layerlift.planners.graphs.label_bounds import Options, Quantity
from layerlift.planners.graphs.label_search import LabelSearch, _fronts, undominated
from layerlift.planners.testing.problems import battery

OBJECTIVES = (Objective(), Objective(latency=0.0, energy=1.0), Objective(latency=1.0, energy=0.4, money=0.3))


def tables(rng: np.random.Generator, count: int, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Pieces and steps of small whole numbers, so that ties are common; staying costs nothing."""
    pieces = rng.integers(0, 4, (count, nodes)).astype(np.float64)
    pieces[rng.random((count, nodes)) < 0.1] = np.inf
    pieces[:, 0] = rng.integers(1, 6, count)
    steps = rng.integers(0, 3, (count, nodes, nodes)) * (1.0 - np.eye(nodes))
    return pieces, steps


def walked(pieces: np.ndarray, steps: np.ndarray, nodes: list[int]) -> float:
    hops = [steps[at, before, to] for at, (before, to) in enumerate(zip([0, *nodes[:-1]], nodes, strict=True))]
    return float(sum(hops) + sum(pieces[at, node] for at, node in enumerate(nodes)))


@pytest.mark.parametrize("seed", range(6))
def test_the_cheapest_ways_of_several_tables_are_those_of_each(seed: int) -> None:
    rng = np.random.default_rng(seed)
    several = [tables(rng, count, 3) for count in (5, 2, 1, 5)]
    found = cheapest_ways(several)
    assert found == [cheapest_way(*each) for each in several]
    for (pieces, steps), nodes in zip(several, found, strict=True):
        every = (walked(pieces, steps, list(way)) for way in product(range(3), repeat=len(pieces)))
        assert walked(pieces, steps, nodes) == min(every)


@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 6))
def test_the_cheapest_way_by_changes_of_node_costs_what_a_walk_finds(seed: int, count: int, nodes: int) -> None:
    rng = np.random.default_rng(seed)
    pieces, steps = tables(rng, count, nodes)
    if seed % 2:
        pieces = np.where(np.isinf(pieces), 7.0, pieces)
    if seed % 3 == 0:
        pieces, steps = pieces * rng.random(nodes), steps * rng.random(nodes)
    found, asked = cheapest_by_switches(pieces, steps), cheapest_way(pieces, steps)
    assert walked(pieces, steps, found) == pytest.approx(walked(pieces, steps, asked), rel=1e-11)


def test_of_equally_cheap_ways_the_one_that_is_longest_on_the_client_is_taken() -> None:
    pieces = np.array([[0.0, 0.0, 0.0], [9.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 5.0, 5.0]])
    steps = np.ones((4, 3, 3)) * (1.0 - np.eye(3))
    assert cheapest_by_switches(pieces, steps) == cheapest_way(pieces, steps) == [0, 1, 0, 0]


def test_a_way_that_changes_node_at_every_piece_is_found_too() -> None:
    count = 2 * MOST + 5
    pieces = np.where(np.arange(count)[:, None] % 3 == np.arange(3), 0.0, 9.0)
    steps = np.ones((count, 3, 3)) * (1.0 - np.eye(3))
    assert cheapest_by_switches(pieces, steps) == [piece % 3 for piece in range(count)]


@pytest.mark.parametrize("name", ["densenet121", "squeezenet"])
def test_networks_worlds_need_few_changes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switches, "cheapest_way", None)
    for problem in Worlds(("lone_random",), (name,)).problems(5):
        for facts in (whole_pieces(problem.graph), inner_pieces(problem.graph)):
            tables = Sums(problem, facts).weighed(weights_of(Judge(problem)))
            assert cheapest_by_switches(*tables) == cheapest_way(*tables)


def test_a_term_without_weight_is_left_out_whatever_it_is() -> None:
    terms = np.array([[1.0, 2.0], [np.inf, 3.0], [5.0, np.inf]])
    assert weighed(np.array([2.0, 0.0, 0.0]), terms).tolist() == [2.0, 4.0]
    assert weighed(np.array([1.0, 1.0, 0.0]), terms).tolist() == [np.inf, 5.0]
    assert weighed(np.zeros(3), terms).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("step", [0.0, 0.2])
def test_fronts_of_all_groups_are_those_of_each(step: float) -> None:
    rng = np.random.default_rng(3)
    counts = np.array([4, 0, 1, 7])
    used = rng.integers(0, 5, counts.sum()).astype(np.float64)
    each = [undominated(own[None], step) for own in np.split(used, np.cumsum(counts)[:-1]) if len(own)]
    assert _fronts(used, counts, step).tolist() == np.concatenate(each).tolist()


@pytest.mark.parametrize("step", [0.0, 0.2])
@pytest.mark.parametrize("seed", range(6))
def test_labels_that_are_held_against_the_others_in_blocks_are_undercut_by_none(
    seed: int, step: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_search, "_BLOCK", 5)
    rng = np.random.default_rng(seed)
    used = rng.integers(0, 12, (3, 60)).astype(np.float64)
    kept: list[int] = []
    for number in range(60):
        if not any((used[:, earlier] * (1.0 - step) <= used[:, number]).all() for earlier in kept):
            kept.append(number)
    assert np.flatnonzero(undominated(used, step)).tolist() == kept
    assert 5 < len(kept) < 60


@pytest.mark.parametrize("prices", [None, np.array([[0.5]]), np.array([[0.3], [1.0], [4.0]])])
@pytest.mark.parametrize("seed", range(4))
def test_a_search_finds_the_cheapest_way_within_the_limit(seed: int, prices: np.ndarray | None) -> None:
    rng = np.random.default_rng(seed)
    money, seconds = tables(rng, 4, 3), tables(rng, 4, 3)
    every = [list(way) for way in product(range(3), repeat=4)]
    least = min(walked(*seconds, way) for way in every)
    limit = least + 2.0
    best = min(walked(*money, way) for way in every if walked(*seconds, way) <= limit)
    search = LabelSearch(Quantity(*money), [Quantity(*seconds, limit)], 50, prices=prices)
    for beat in (np.inf, best + 1.0, best):
        found = search.run(beat)
        assert found.complete
        assert found.cost[0] == best == walked(*money, found.nodes[0].tolist())
        assert found.used[0, 0] <= limit * (1.0 + 1e-8)
    assert not len(search.run(best - 0.5).cost)


@pytest.mark.parametrize("most", [1, 2, 50])
@pytest.mark.parametrize("seed", range(12))
def test_a_search_that_takes_its_labels_to_the_end_finds_the_cheapest_way_too(seed: int, most: int) -> None:
    """The way of an ending is whole, options included, and what it costs and uses is what it says."""
    rng = np.random.default_rng(seed)
    money, seconds = tables(rng, 9, 3), tables(rng, 9, 3)
    seconds[0][np.isinf(money[0])] = money[0][np.isinf(seconds[0])] = np.inf
    options = {2: Options(np.array([0, 2, 2]), np.array([-1.0, 1.0, -2.0]), np.array([[1.0, -1.0, 3.0]]))}
    quick = walked(*seconds, cheapest_way(*seconds))
    limited = Quantity(*seconds, quick + 2.0)
    search = LabelSearch(Quantity(*money), [limited], 50, prices=np.array([[0.4], [1.5]]), options=options)
    plain, found, few = search.run(), search.run(most=most, beyond=0.0), search.run(most=most)
    assert plain.complete
    assert len(found.cost) <= len(plain.cost) or most < 50
    if most == 50:
        assert found.complete
        assert found.cost[0] == pytest.approx(plain.cost[0], rel=1e-8)
    assert len(found.cost)
    assert found.cost[0] >= plain.cost[0] - 1e-8
    assert not len(few.cost) or found.cost[0] <= few.cost[0] + 1e-6
    for cost_, used, nodes, taken in zip(found.cost, found.used[0], found.nodes, found.options, strict=True):
        extra = options[2]
        took = int(taken[2])
        assert took < 0 or extra.node[took] == nodes[2]
        own, spent = (0.0, 0.0) if took < 0 else (float(extra.cost[took]), float(extra.used[0, took]))
        assert cost_ == pytest.approx(walked(*money, nodes.tolist()) + own, rel=1e-8, abs=1e-8)
        assert used == pytest.approx(walked(*seconds, nodes.tolist()) + spent, rel=1e-8, abs=1e-8)
        assert used <= limited.limit * (1.0 + 1e-8)


def _saved(problem: Problem, weights: np.ndarray, home: np.ndarray, near: np.ndarray) -> list[tuple[int, int]]:
    """The best visits, by what each visit adds alone."""
    sums = Sums(problem, whole_pieces(problem.graph))
    visits, found = Visits(sums), []
    for unit in np.unique(visits.runs.unit).tolist():
        tries = []
        for run in np.flatnonzero(visits.runs.unit == unit).tolist():
            for to in near.tolist():
                if to != home[unit] and visits.allowed[run, to]:
                    added = weighed(weights, visits.added(np.array(run), np.array(home[unit]), np.array(to)))
                    tries.append((float(added), run, to))
        if tries and min(tries)[0] < 0.0:
            found.append(min(tries)[1:])
    return found


@pytest.mark.parametrize("name", [name for name in battery() if name.startswith("modules")])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_best_visit_of_each_unit_is_that_of_all_its_visits(name: str, objective: Objective) -> None:
    problem = replace(battery()[name], objective=objective)
    weights = np.array([objective.latency, objective.energy, objective.money])
    slow = replace(problem, seconds=problem.seconds * np.array([[8.0, *[1.0] * (len(problem.nodes) - 1)]]))
    for asked in (problem, slow):
        sums, near = Sums(asked, whole_pieces(asked.graph)), np.arange(len(asked.nodes))
        pieces, _ = sums.weighed(weights)
        for node in near.tolist():
            home = np.where(sums.forbidden[:, node], 0, node)
            costs = pieces[np.arange(len(home)), home]
            assert Visits(sums).best(weights, costs, home, near) == _saved(asked, weights, home, near)


@pytest.mark.parametrize("name", ["modules", "shared weight, two answers"])
def test_what_segments_hold_is_what_their_layers_hold(name: str) -> None:
    problem, rng = battery()[name], np.random.default_rng(1)
    for _ in range(20):
        placement = rng.integers(0, 3, len(problem.graph)).tolist()
        assert held_in(problem.graph, problem.graph.segments(placement), 4) == held_on(problem.graph, placement, 4)


def test_a_judge_walks_no_placement_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, walks = battery()["modules"], []
    evaluate = cost.query.evaluate
    monkeypatch.setattr(
        "layerlift.planners.cost.query.evaluate", lambda *given: walks.append(given[1]) or evaluate(*given)
    )
    judge = Judge(problem)
    found = judge.best_cut()
    assert found is not None
    assert judge.key(found[1]) == found[0] == judge.key(found[1])
    assert len(walks) == len(set(walks))
