"""`units`, `labels` and the front, against every placement there is."""

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
from strategies import layer_graphs

from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.scenario import families
from layerlift.models.errors import PlanError
from layerlift.planners import Judge, Objective, Problem, cost, make, simple_problem
from layerlift.planners.cost.units import units_of
from layerlift.planners.exact.optimal import Optimal
from layerlift.planners.graphs.unit_costs import unit_facts
from layerlift.planners.offloading import labels, lagrangian, units
from layerlift.planners.offloading.front import ADDITIVE, front_of
from layerlift.planners.offloading.polishing import polish
from layerlift.planners.testing.problems import Sketch, draw_graph

CHAINS = layer_graphs(max_layers=5, chain=True)
WEIGHTS = st.sampled_from(
    [
        Objective(),
        Objective(latency=0, energy=1),
        Objective(latency=0, money=1),
        Objective(latency=1, energy=0.5, money=2),
    ]
)


def plain(problem: Problem, **changes: object) -> Problem:
    """`problem` where everything adds up and nothing is limited."""
    count = len(problem.nodes)
    made = replace(problem, memory_bytes=np.full(count, np.inf), price_per_byte_s=np.zeros(count))
    return replace(made, **changes)  # type: ignore[arg-type]


def of_whole_units(problem: Problem) -> list[tuple[int, ...]]:
    """Every placement with each unit on one node."""
    own = units_of(problem.graph)
    every = product(range(len(problem.nodes)), repeat=len(own))
    return [tuple(node for unit, node in zip(own, nodes, strict=True) for _ in unit.layers) for nodes in every]


@given(problems(CHAINS, max_nodes=3), WEIGHTS)
@settings(max_examples=200, deadline=None)
def test_units_finds_the_best_of_a_chain(drawn: Problem, objective: Objective) -> None:
    problem = plain(drawn, objective=objective)
    judge = Judge(problem)
    best = min(map(judge.key, of_whole_units(problem)))
    found = judge.key(make("units").plan(problem, random.Random(0)).placement)
    assert found[0] == 0.0
    assert found[1] == pytest.approx(best[1], rel=1e-9, abs=1e-12)


@pytest.mark.long
@given(problems(CHAINS, max_nodes=3, min_nodes=2), WEIGHTS, st.data())
@settings(max_examples=250, deadline=None)
def test_labels_finds_the_best_of_a_chain_within_the_limits(
    drawn: Problem, objective: Objective, data: st.DataObject
) -> None:
    assume(unit_facts(drawn.graph).apart)
    free = plain(drawn)
    local = cost.evaluate(free, (0,) * len(free.graph))
    size = free.graph.held_bytes(range(len(free.graph)))
    limits = {
        "deadline_s": data.draw(st.sampled_from([None, 0.3, 0.7, 1.2])),
        "budget": data.draw(st.sampled_from([None, 0.05, 0.5])),
    }
    problem = replace(
        free,
        objective=replace(
            objective,
            deadline_s=None if limits["deadline_s"] is None else limits["deadline_s"] * local.latency_s,
            budget=limits["budget"],
        ),
        memory_bytes=np.array([np.inf, *(data.draw(st.sampled_from([0.3, 0.7, 1e9])) * size for _ in free.servers)]),
    )
    judge = Judge(problem)
    best = min(map(judge.key, of_whole_units(problem)))
    found = judge.key(make("labels").plan(problem, random.Random(0)).placement)
    assert found[0] <= best[0] * (1 + 1e-9) or best[0] > 0.0
    if best[0] == 0.0:
        assert found[1] <= best[1] * (1 + 1e-9) + 1e-15


@given(problems(layer_graphs(max_layers=6), min_nodes=2), st.sampled_from([None, 0.3, 3.0]))
@settings(max_examples=200, deadline=None)
def test_labels_is_legal_and_never_above_the_lagrangian_search(problem: Problem, deadline_s: float | None) -> None:
    problem = replace(problem, objective=replace(problem.objective, deadline_s=deadline_s))
    judge = Judge(problem)
    placement, complete = labels.place(judge)
    assert cost.fits(problem, placement)
    key, other = judge.key(placement), judge.key(judge.or_local(lagrangian.place(judge)))
    assert key[0] <= other[0] + 1e-12 or not complete
    assert key <= other or key[0] > 0.0 or key[1] <= other[1] * (1 + 1e-9) + 1e-15


def row(seconds: list[list[float]], held: list[int], **changes: object) -> Problem:
    """Layers one after the other that hold so many bytes each."""
    reads = ["input", *(f"a{number}" for number in range(len(held) - 1))]
    sketches = [Sketch(f"a{at}", (read,), 1_000, size) for at, (read, size) in enumerate(zip(reads, held, strict=True))]
    return replace(simple_problem(draw_graph("row", sketches), seconds, bandwidth_bytes_s=1e6), **changes)  # type: ignore[arg-type]


def test_short_memory_where_what_is_sent_costs_nothing() -> None:
    """Paid for computing alone: no step between nodes adds to anything that labels count."""
    problem = row(
        [[1.0, 1.0]] * 4, [10, 30, 20, 40], objective=Objective(latency=0, money=1),
        price_per_s=np.array([3.0, 1.0]), memory_bytes=np.array([np.inf, 60.0]),
    )  # fmt: skip
    for name in ("labels", "shortest_path"):
        found = make(name).plan(problem, random.Random(0)).placement
        assert Judge(problem).key(found) == min(map(Judge(problem).key, of_whole_units(problem)))


def test_terms_weigh_what_they_do_where_memory_is_short() -> None:
    """Without the limit another cut is the fastest, by which energy and money would be divided: home is best here."""
    problem = row(
        [[2.0, 1.0, 2.0], [4.0, 1.0, 4.0]], [10, 0], objective=Objective(latency=0, energy=1, money=1),
        price_per_s=np.array([0.0, 1.0, 8.0]), busy_w=np.array([8.0, 0.0, 8.0]),
        memory_bytes=np.array([np.inf, 0.0, np.inf]),
    )  # fmt: skip
    judge = Judge(problem)
    assert judge.key(labels.place(judge)[0]) == min(map(judge.key, of_whole_units(problem)))


def test_a_limit_on_what_costs_nothing_and_layers_that_stay_at_home() -> None:
    """The way that keeps the deadline is as cheap as any: there is no price at which another is better."""
    problem = row(
        [[1.0, 0.1]] * 3, [0, 0, 0], objective=Objective(latency=0, money=1, deadline_s=2.0),
        price_per_byte_s=np.array([0.0, 1e-9]), allowed=np.array([[True, True], [True, False], [True, True]]),
    )  # fmt: skip
    found, _ = labels.place(Judge(problem))
    assert cost.latency(problem, found) <= 2.0


@pytest.mark.long
@pytest.mark.parametrize("network", ["alexnet", "googlenet"])
def test_money_under_a_deadline_on_real_networks(network: str) -> None:
    """The Lagrangian search is some percent above what labels find; inside modules there is a little more to save."""
    problem = replace(paper_problem(network), price_per_s=np.array([0.0, *np.linspace(2e-5, 5e-4, 10).tolist()]))
    local = cost.latency(problem, (0,) * len(problem.graph))
    fast = cost.latency(problem, units.place(Judge(problem)))
    wanted = Objective(latency=0.0, money=1.0, deadline_s=0.7 * fast + 0.3 * local)
    judge = Judge(replace(problem, objective=wanted))
    found, complete = labels.place(judge)
    whole, _ = labels.place(judge, inside=False)
    assert complete
    assert judge.key(found)[0] == 0.0
    assert judge.key(found) <= judge.key(whole)
    assert judge.key(whole)[1] < 0.97 * judge.key(judge.or_local(lagrangian.place(judge)))[1]
    if network == "googlenet":
        assert judge.key(found)[1] < judge.key(whole)[1]


@given(problems(CHAINS, max_nodes=3), st.sampled_from([("latency", "money"), ("latency", "energy"), ADDITIVE]))
@settings(max_examples=150, deadline=None)
def test_the_front_is_that_of_all_placements(drawn: Problem, terms: tuple[str, ...]) -> None:
    problem = plain(drawn, objective=Objective())
    front = front_of(problem, terms)
    own = [[point.value(term) for term in front.terms] for point in front.points]  # type: ignore[arg-type]
    for one in own:
        assert not any(other != one and all(b <= a for a, b in zip(one, other, strict=True)) for other in own)
    table = np.array(own)
    for placement in of_whole_units(problem):
        if not cost.fits(problem, placement):
            continue
        found = cost.evaluate(problem, placement)
        values = np.array(
            [{"latency": found.latency_s, "energy": found.energy_j, "money": found.money}[t] for t in terms]
        )
        slack = 1e-9 if len(terms) == 2 else 5e-2
        assert (table <= values * (1 + slack) + 1e-12).all(axis=1).any()
    assert front.knee in front.points


@given(problems(layer_graphs(max_layers=6), min_nodes=2))
@settings(max_examples=60, deadline=None)
def test_the_ends_of_a_front_are_the_optima_of_its_terms(drawn: Problem) -> None:
    problem = plain(drawn)
    front = front_of(problem, ["latency", "money"])
    for term, objective in (("latency", Objective()), ("money", Objective(latency=0.0, money=1.0))):
        alone = Judge(replace(problem, objective=objective))
        best = alone.key(units.place(alone))[1]
        least = min(point.value(term) for point in front.points)  # type: ignore[arg-type]
        assert least <= best * (1 + 1e-9) + 1e-15


def test_a_front_of_one_term_or_of_a_strange_one_is_refused() -> None:
    problem = paper_problem("alexnet")
    for terms in (["latency"], ["latency", "speed"], ["money", "money"]):
        with pytest.raises(PlanError, match="expected two or three of latency, energy, money, period"):
            front_of(problem, terms)


def test_labels_needs_room_for_labels() -> None:
    with pytest.raises(PlanError, match="at least 1 label"):
        make("labels:most=0")


def test_little_room_is_said_and_costs_little() -> None:
    """With few labels the note says so, and the answer is still no worse than the Lagrangian search's."""
    problem = replace(paper_problem("alexnet"), price_per_s=np.array([0.0, *np.linspace(2e-5, 5e-4, 10).tolist()]))
    local = cost.latency(problem, (0,) * len(problem.graph))
    tight = replace(problem, objective=Objective(latency=0.0, money=1.0, deadline_s=0.4 * local))
    plan = make("labels:most=2").plan(tight, random.Random(0))
    judge = Judge(tight)
    assert "left out" in plan.note
    assert judge.key(plan.placement) <= judge.key(judge.or_local(lagrangian.place(judge)))


APART = {"lone_random": (8, 0.16), "lone_slow_asym": (5, 0.10), "three_tiers": (140, 0.15)}
"""In how many worlds the optimum changes node inside a module, in parallel or more than once, and how far `units` may
then be above it: 6, 3 and 132 of 1,021 were seen. In three tiers weak servers at a fast wire share a module's branches.
"""


POLISHED = {"googlenet": 0.001}
"""How far above the optimum `polish` leaves what was above it by up to 10 %: 0.096 % was seen at worst, of 44."""
CLOSED = 0.95
"""The share of these worlds that it brings within 0.1 % of the optimum: 135 of 141; of the others ShuffleNets are the
worst, 1.4 to 5.1 % above it, then two ResNet-50 at 0.2 %."""

WIDE = "inception_v2"
"""Its optimum takes a quarter of a minute a world and stays unproved: there is nothing to hold `units` against."""


@pytest.mark.slow
def test_units_is_optimal_in_a_thousand_random_worlds() -> None:
    """Worlds of one user of the families that ship; where something is better, it cuts inside a module."""
    apart, looked = [], 0
    worlds = {"lone_random": 460, "lone_slow_asym": 360, "three_tiers": 360}
    for family, count in worlds.items():
        for seed in families.held_out_seeds(count):
            asked = problem_of(families.draw(family, seed).resolve(), 0)
            if asked.graph.name == WIDE:
                continue
            looked += 1
            problem = replace(asked, memory_bytes=np.full(len(asked.nodes), np.inf))
            judge, answer = Judge(problem), Optimal().answer(problem)
            found = judge.key(units.place(judge))[1]
            if found > answer.key[1] * (1 + 1e-9):
                whole = {unit.first for unit in units_of(problem.graph)}
                inside = [part.first for part in problem.graph.segments(answer.placement) if part.first not in whole]
                left = judge.key(polish(judge, units.place(judge)))[1] / answer.key[1] - 1.0
                apart.append((family, seed, problem.graph.name, found / answer.key[1] - 1.0, inside, left))
    print(*apart, sep="\n")
    assert looked >= 1000
    assert all(inside for *_, inside, _ in apart), apart
    for network, worst in POLISHED.items():
        assert max(left for _, _, name, _, _, left in apart if name == network) <= worst, apart
    close = [left for *_, left in apart if left <= 1e-3]
    assert len(close) >= CLOSED * len(apart), (len(close), len(apart))
    for family, (most, gap) in APART.items():
        own = [each[3] for each in apart if each[0] == family]
        assert len(own) <= most, apart
        assert max(own, default=0.0) <= gap, apart
