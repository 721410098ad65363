"""Planners that were trained: exact whole numbers on every processor, files that are only data, walks, and plans."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from pathlib import Path

import house
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from some_policies import some_features, some_policy, some_weights

from layerlift.models.errors import PlanError
from layerlift.planners import Judge, Objective, Problem, cost, make, simple_problem
from layerlift.planners.cost.pieces import Sums, whole_pieces
from layerlift.planners.graphs.additive import Additive
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.features import (
    LARGEST,
    OF_NODE,
    OF_PIECE,
    OF_STEP,
    Features,
    features_of,
    looked_ahead,
    told,
)
from layerlift.planners.learned.flips import FLIPS
from layerlift.planners.learned.policy import EXACT, MOST_SCORE, Table, exact_scores
from layerlift.planners.learned.policy_file import Weights
from layerlift.planners.learned.priced import DEAR, MOST_NODES, Priced, priced
from layerlift.planners.learned.scorer import MOST_STEPS, Scorer, session_of
from layerlift.planners.learned.steps import STEPS, policies_of, weights_of
from layerlift.planners.learned.walk import ways
from layerlift.planners.testing import check_planner
from layerlift.planners.testing.problems import battery, chain_graph

SHIPPED = {"dil": STEPS, "ddlo": FLIPS, "drl": STEPS, "meta_drl": STEPS, "ddpqn": STEPS}


def costs_of(problem: Problem) -> Priced:
    prices = Additive(problem, Judge(problem))
    weights = (prices.per_second, prices.per_joule, prices.per_money)
    return priced(Sums(problem, whole_pieces(problem.graph)), weights)


def a_problem(servers: int = 3, layers: int = 6, seed: int = 0, objective: Objective | None = None) -> Problem:
    rng = np.random.default_rng(seed)
    graph = chain_graph((10 ** rng.uniform(3, 6, layers)).astype(int).tolist(), [1000] * layers)
    speed = 10 ** rng.uniform(-1, 2, servers + 1)
    seconds = (10 ** rng.uniform(-3, -1, layers))[:, None] / speed[None, :]
    bandwidth = 10 ** rng.uniform(5, 8, (servers + 1, servers + 1))
    return simple_problem(graph, seconds, bandwidth_bytes_s=bandwidth, objective=objective)


# Exact whole numbers.


def agreed(policies: list[Weights], problems: int) -> None:
    rng = np.random.default_rng(problems)
    for policy in policies:
        scorers = [Scorer(policy, threads, optimised) for threads in (1, 4) for optimised in (True, False)]
        for _ in range(problems // len(policies)):
            seen = some_features(rng)
            expected = [exact_scores(member, seen) for member in policies_of(policy)]
            for scorer in scorers:
                assert np.array_equal(scorer.scores(seen), expected)


def test_what_a_file_draws_up_says_what_is_run() -> None:
    # What is run has fewer operators than what is written.
    policy, seen = some_weights(2, 3, 4), some_features(np.random.default_rng(4))
    feeds = {"of_piece": seen.piece, "of_node": seen.node, "of_step": seen.step}
    drawn_up = session_of(policy_file.model_of(policy)).run(None, feeds)
    for own, run in zip(drawn_up, Scorer(policy).scores(seen), strict=True):
        assert np.array_equal(own, run)


def the_policies() -> list[Weights]:
    shipped = [policy_file.parsed(policy_file.shipped(name), (kind,)) for name, kind in SHIPPED.items()]
    return [*shipped, some_weights(0), some_weights(1), some_weights(2, 3, 4)]


@pytest.mark.long
def test_scores_are_those_of_whole_numbers_on_any_number_of_threads() -> None:
    agreed(the_policies(), 200)


@pytest.mark.slow
def test_scores_are_those_of_whole_numbers_in_ten_thousand_problems() -> None:
    agreed(the_policies(), 10_000)


def test_scores_of_real_problems_are_those_of_whole_numbers() -> None:
    for name, kind in SHIPPED.items():
        policy = policy_file.parsed(policy_file.shipped(name), (kind,))
        scorer = Scorer(policy)
        for problem in battery().values():
            seen = features_of(costs_of(problem))
            expected = [exact_scores(member, seen) for member in policies_of(policy)]
            assert np.array_equal(scorer.scores(seen), expected)


def test_scores_are_not_all_alike_and_reach_their_bounds() -> None:
    # Or the tests above would hold for a policy that says nothing.
    scores = exact_scores(some_policy(1), some_features(np.random.default_rng(1)))
    assert len(np.unique(scores)) > 10
    assert np.abs(scores).max() <= MOST_SCORE


def test_many_steps_are_scored_in_parts() -> None:
    rng = np.random.default_rng(3)
    nodes, pieces = 60, MOST_STEPS // 3600 + 2

    def table(*shape: int) -> np.ndarray:
        return rng.integers(0, LARGEST + 1, size=shape).astype(np.float32)

    seen = Features(table(pieces, OF_PIECE), table(pieces, nodes, OF_NODE), table(pieces, nodes, nodes, OF_STEP))
    policy = some_weights(3, wide=4, narrow=2)
    assert np.array_equal(Scorer(policy).scores(seen)[0], exact_scores(policies_of(policy)[0], seen))


def test_a_policy_whose_sums_would_not_be_exact_is_refused() -> None:
    policy = some_policy(0)
    policy.check("mine")
    large = replace(policy, piece=policy.piece + EXACT // LARGEST)
    with pytest.raises(PlanError, match="its sums may reach"):
        large.check("mine")
    # The bound is not only an upper one: sums just below it are exact, sums beyond are not.
    nearly = np.float32(EXACT - 1)
    assert nearly + np.float32(1) == EXACT
    assert np.float32(EXACT) + np.float32(1) == EXACT


def test_shipped_policies_are_small_and_say_where_they_come_from() -> None:
    total = 0
    for name, kind in SHIPPED.items():
        content = policy_file.shipped(name)
        total += len(content)
        notes = policy_file.parsed(content, (kind,)).notes
        assert {"planner", "worlds", "networks", "held_out", "seed", "rounds", "torch", "layerlift"} <= set(notes)
        assert notes["planner"] == name
        assert not set(notes["networks"].split(", ")) & set(notes["held_out"].split(", "))
    assert total < 300_000


def test_nothing_but_training_names_torch() -> None:
    tree = house.tree_on_disk()
    named = {name: source for name, source in tree.items() if "torch" in source}
    users = {name for name, source in named.items() if any(t.split(".")[0] == "torch" for t in house.targets(source))}
    assert users
    assert all(name.startswith("layerlift.emulator.studies.learning.") for name in users)


# Features.


@given(st.floats(0, 2 * DEAR), st.floats(0, 2 * DEAR))
def test_a_dearer_cost_is_told_as_no_less(one: float, other: float) -> None:
    low, high = sorted((one, other))
    numbers = told(np.array([low, high]))
    assert 0 <= numbers[0] <= numbers[1] <= LARGEST
    assert np.array_equal(numbers, np.rint(numbers))


def test_costs_are_told_by_octaves() -> None:
    assert told(np.array([0.0, 1 / 512, 3 / 512, 511 / 512])).tolist() == [0, 48, 96, 48 * 9]
    assert told(np.array([1.0]))[0] - told(np.array([0.99]))[0] in (0, 1)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_a_policy_does_not_see_the_unit_of_time(seed: int) -> None:
    problem = a_problem(seed=seed)
    slow = replace(
        problem,
        seconds=problem.seconds * 4,
        latency_s=problem.latency_s * 4,
        bandwidth_bytes_s=problem.bandwidth_bytes_s / 4,
    )
    one, other = features_of(costs_of(problem)), features_of(costs_of(slow))
    for a, b in ((one.piece, other.piece), (one.node, other.node), (one.step, other.step)):
        assert np.array_equal(a, b)


def test_features_are_whole_numbers_within_bounds_whatever_the_problem() -> None:
    for problem in battery().values():
        seen = features_of(costs_of(problem))
        for table in (seen.piece, seen.node, seen.step):
            assert table.dtype == np.float32
            assert np.array_equal(table, np.rint(table))
            assert table.size == 0 or (table.min() >= 0 and table.max() <= LARGEST)


@pytest.mark.parametrize("seed", range(3))
def test_what_lies_ahead_is_that_of_all_ways_with_one_move(seed: int) -> None:
    costs = costs_of(a_problem(servers=2, layers=4, seed=seed))
    ahead = looked_ahead(costs)
    count, nodes = costs.pieces.shape
    for first, start in itertools.product(range(count), range(nodes)):
        best = np.inf
        for move, to in itertools.product(range(first, count + 1), range(nodes)):
            way = [start] * (move - first) + [to] * (count - move)
            total, before = 0.0, start
            for piece, node in enumerate(way, start=first):
                total += costs.steps[piece, before, node] + costs.pieces[piece, node]
                before = node
            best = min(best, total)
        assert ahead.one_move[first, start] == pytest.approx(best, rel=1e-9, abs=1e-9)


def test_what_is_forbidden_is_dear_and_the_client_never_is() -> None:
    problem = battery()["modules, pinned layers"]
    costs = costs_of(problem)
    assert costs.forbidden.any()
    assert not costs.forbidden[:, 0].any()
    assert (costs.pieces[costs.forbidden] == DEAR).all()
    assert costs.pieces[:, 0].sum() == pytest.approx(1.0)


def test_ways_cost_what_the_cost_model_says() -> None:
    problem = a_problem(seed=4)
    costs, judge = costs_of(problem), Judge(problem)
    for way in itertools.islice(itertools.product(range(4), repeat=6), 0, 4096, 97):
        placement = tuple(way)
        expected = cost.latency(problem, placement) / judge.local.latency_s
        assert costs.totals(np.array([way]))[0] == pytest.approx(expected, rel=1e-9)


# Walks.


def walked(scores: Table, count: int = 64, seed: int = 0, **given_: object) -> np.ndarray:
    pieces, nodes = scores.shape[:2]
    closed = given_.get("closed", np.zeros((pieces, nodes), dtype=bool))
    held, room = given_.get("held", np.zeros(pieces)), given_.get("room", np.full(nodes, np.inf))
    return ways(scores, closed, count, np.random.default_rng(seed), held, room)  # type: ignore[arg-type]


@pytest.mark.parametrize("limited", [False, True])
def test_the_first_walk_takes_the_best_step_and_the_first_of_equals(limited: bool) -> None:
    scores = np.random.default_rng(0).integers(-5, 6, size=(9, 4, 4))
    room = {"held": np.ones(9), "room": np.array([np.inf, 99.0, np.inf, np.inf])} if limited else {}
    at = 0
    for row, node in zip(scores, walked(scores, **room)[0], strict=True):
        assert node == int(np.argmax(row[at]))
        at = node


@pytest.mark.parametrize("limited", [False, True])
def test_a_step_is_half_as_likely_for_a_score_that_is_less_by_eight_or_by_thirty_two(limited: bool) -> None:
    scores = np.broadcast_to(np.array([32, 24, 0, -3000]), (1, 4, 4)).astype(np.int64)
    room = {"held": np.ones(1), "room": np.array([np.inf, 99.0, np.inf, np.inf])} if limited else {}
    drawn = walked(scores, count=40_001, **room)[1:, 0]
    bold, careful = (np.bincount(some, minlength=4) / 20_000 for some in (drawn[::2], drawn[1::2]))
    expected = np.array([16, 8, 1, 0]) / 25
    assert careful == pytest.approx(expected, abs=0.01)
    assert bold == pytest.approx(np.array([4, 2**1.75, 2, 0]) / (6 + 2**1.75), abs=0.01)


def test_walks_avoid_what_is_closed_and_keep_within_memory() -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(-20, 21, size=(12, 4, 4))
    closed = rng.random((12, 4)) < 0.4
    closed[:, 0] = False
    held, room = rng.uniform(0, 2, 12), np.array([0.0, 2.0, 5.0, np.inf])
    made = walked(scores, closed=closed, held=held, room=room)
    assert not closed[np.arange(12), made].any()
    for node in (1, 2):
        assert (np.where(made == node, held, 0.0).sum(axis=1) <= room[node] + 1e-9).all()
        assert (made == node).any()
    assert np.array_equal(made, walked(scores, closed=closed, held=held, room=room))


def test_memory_without_an_end_changes_no_walk() -> None:
    scores = np.random.default_rng(2).integers(-20, 21, size=(12, 4, 4))
    roomy = {"held": np.ones(12), "room": np.array([np.inf, 1e9, 1e9, 1e9])}
    assert np.array_equal(walked(scores), walked(scores, **roomy))


# Plans.


@pytest.mark.long
@pytest.mark.parametrize("text", ["dil", "dil:walks=1+ionn", "ddlo"])
def test_learned_planners_meet_the_demands_on_planners(text: str) -> None:
    check_planner(text)


def test_a_plan_is_never_worse_than_the_best_single_cut() -> None:
    for problem in [*battery().values(), *(a_problem(seed=seed) for seed in range(5))]:
        judge = Judge(problem)
        found = judge.key(make("dil:walks=1").plan(problem, random.Random(0)).placement)
        assert found <= judge.local_key
        if (cut := judge.best_cut()) is not None:
            assert found <= cut[0]


@pytest.mark.long
@pytest.mark.parametrize("planner", SHIPPED)
def test_many_walks_find_what_the_exact_planner_finds(planner: str) -> None:
    gaps = []
    for seed in range(30):
        problem = a_problem(servers=2 + seed % 9, layers=8, seed=seed)
        best, found = (
            cost.latency(problem, make(text).plan(problem, random.Random(0)).placement) for text in ("units", planner)
        )
        gaps.append(found / best - 1.0)
    assert max(gaps) <= 0.05
    assert sum(gaps) / len(gaps) <= 0.01


def test_walks_keep_a_deadline_that_can_be_kept() -> None:
    for seed in range(6):
        problem = a_problem(seed=seed)
        fastest_s = cost.latency(problem, make("units").plan(problem, random.Random(0)).placement)
        wanted = Objective(latency=0.0, money=1.0, deadline_s=fastest_s * 1.0001)
        late = replace(problem, price_per_s=np.array([0.0, 1.0, 2.0, 3.0]), objective=wanted)
        plan = make("dil").plan(late, random.Random(0))
        assert Judge(late).key(plan.placement)[0] == 0.0


def test_the_same_draws_give_the_same_plan_and_other_problems_other_plans() -> None:
    problem = a_problem(servers=9, layers=9, seed=8)
    plans = [make("dil:walks=8").plan(problem, random.Random(7)) for _ in range(2)]
    assert plans[0] == plans[1]


def test_more_servers_than_a_policy_looks_at() -> None:
    problem = a_problem(servers=MOST_NODES + 20, layers=5, seed=2)
    costs = costs_of(problem)
    assert len(costs.nodes) == MOST_NODES
    assert costs.nodes[0] == 0
    assert (np.diff(costs.nodes) > 0).all()
    cut = Judge(problem).best_cut()
    assert cut is not None
    assert set(cut[1]) <= set(costs.nodes.tolist())
    found = cost.latency(problem, make("dil").plan(problem, random.Random(0)).placement)
    assert found <= cost.latency(problem, cut[1])


def test_a_policy_of_ones_own_is_used(tmp_path: Path) -> None:
    # Its scores say: home, always. With one walk only the single cuts are left to choose from.
    path = tmp_path / "home.onnx"
    policy = some_policy(0, wide=2, narrow=1, most=0)
    target = policy.target.copy()
    target[OF_NODE - 1, 0] = 100
    home = replace(policy, target=target, inner=np.array([[64], [0]]), outer=np.array([[100]]))
    path.write_bytes(policy_file.written(weights_of([home], {})))
    problem = a_problem(servers=8, layers=8, seed=42)
    mine, shipped = (make(text).plan(problem, random.Random(0)) for text in (f"dil:walks=1,policy={path}", "dil"))
    cut = Judge(problem).best_cut()
    assert cut is not None
    assert mine.placement in ((0,) * 8, cut[1])
    assert cost.latency(problem, shipped.placement) < cost.latency(problem, mine.placement)


@pytest.mark.parametrize("walks", [0, -1, 5000])
def test_a_number_of_walks_that_makes_no_sense_is_refused(walks: int) -> None:
    with pytest.raises(PlanError, match=f"walks is {walks}"):
        make(f"dil:walks={walks}")
