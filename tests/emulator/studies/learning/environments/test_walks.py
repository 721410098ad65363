"""Walks unit by unit: rewards add up to the cost model's words, masks keep plans legal, padding changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from layerlift.emulator.scenario import families
from layerlift.emulator.studies.learning.environments.drawing import (
    CELL,
    CLOSED,
    COLOURS,
    HIGH,
    HOME,
    NEXT,
    PAPER,
    SERVER,
    bars_picture,
    walk_picture,
)
from layerlift.emulator.studies.learning.environments.sources import OfUsers, asked, drawn_seed, problems_from
from layerlift.emulator.studies.learning.environments.walks import OF_PLACE, OF_UNIT, Walks, course_of
from layerlift.emulator.studies.learning.worlds import HOLD_OUT, TRIAL_FROM, Worlds
from layerlift.models.errors import RunError, ScenarioError
from layerlift.planners.cost import batch, query
from layerlift.planners.cost.judge import Judge
from layerlift.planners.problem.plan import offload, validate
from layerlift.planners.problem.problem import Objective, Problem
from layerlift.planners.testing.problems import battery

BATTERY = battery()
SEEDS = range(3)


@pytest.fixture(scope="module")
def drawn() -> list[Problem]:
    worlds = Worlds(("lone_random",), ("squeezenet", "alexnet"))
    return [problem for seed in SEEDS for problem in worlds.problems(seed)]


def walked(problem: Problem, seed: int, nodes: int = 16) -> tuple[Walks, float]:
    """A walk of legal steps at random, and the sum of its rewards."""
    walks, rng, total = Walks(1, nodes), np.random.default_rng(seed), 0.0
    walks.begin(0, course_of(problem, nodes))
    while not walks.over[0]:
        rewards, illegal = walks.take(rng.choice(np.flatnonzero(walks.masks[0]), size=1))
        total += float(rewards[0])
        assert not illegal[0]
    return walks, total


def test_rewards_add_up_to_the_batched_cost(drawn: list[Problem]) -> None:
    for number, problem in enumerate(drawn):
        walks, total = walked(problem, number)
        judge, rows = Judge(problem), np.array([walks.placement(0), (0,) * len(problem.graph)])
        values = judge.keys(rows)[1]
        assert total == pytest.approx(-values[0] / values[1], rel=1e-12, abs=1e-12)
        assert walks.cost(0) == pytest.approx(-total, rel=1e-12)


@pytest.mark.long
def test_where_steps_say_all_the_last_makes_up_for_nothing(drawn: list[Problem]) -> None:
    for number, problem in enumerate(drawn):
        plain = replace(problem, objective=Objective())
        course, walks = course_of(plain, 16), walked(plain, number)[0]
        way = walks.way(0)
        before = np.concatenate([[0], way[:-1]])
        each = np.arange(len(way))
        alone = course.costs.steps[each, before, way] + course.costs.pieces[each, way]
        latencies = batch.latencies(plain, np.array([walks.placement(0), (0,) * len(plain.graph)]))
        assert float(alone.sum()) == pytest.approx(latencies[0] / latencies[1], rel=1e-9)


@pytest.mark.parametrize("name", sorted(BATTERY))
def test_whatever_the_problem_a_walk_is_a_legal_plan_at_its_price(name: str) -> None:
    problem = BATTERY[name]
    for seed in SEEDS:
        walks, total = walked(problem, seed, nodes=3)
        placement = walks.placement(0)
        validate(offload(placement), problem)
        assert query.fits(problem, placement)
        missed, value = Judge(problem).key(placement)
        home = Judge(problem).local_key[1]
        assert total == pytest.approx(-(value / (home or 1.0) + missed), rel=1e-9)


def test_a_limit_that_is_missed_costs(drawn: list[Problem]) -> None:
    problem = replace(drawn[0], objective=Objective(deadline_s=1e-3))
    walks, rewards = Walks(1, 4), 0.0
    walks.begin(0, course_of(problem, 4))
    while not walks.over[0]:
        rewards += float(walks.take(np.zeros(1, dtype=np.int64))[0][0])
    home_s = float(batch.latencies(problem, np.zeros((1, len(problem.graph)), dtype=np.int64))[0])
    assert rewards == pytest.approx(-(1.0 + home_s / 1e-3 - 1.0))


def test_memory_shrinks_as_units_are_placed(drawn: list[Problem]) -> None:
    problem = drawn[0]
    parameters = float(problem.graph.held_bytes(range(len(problem.graph))))
    room = np.full(len(problem.nodes), parameters / 2)
    walks = Walks(1, 16)
    walks.begin(0, course_of(replace(problem, memory_bytes=room), 16))
    closed = False
    while not walks.over[0]:
        fits = bool(walks.masks[0, 1])
        taken = walks.seen()["nodes"][0, 1, OF_PLACE - 1]
        assert fits or taken < 1.0
        assert walks.seen()["nodes"][0, 0, OF_PLACE - 1] == 1.0
        closed |= not fits
        walks.take(np.array([1 if fits else 0]))
    assert closed
    placement = walks.placement(0)
    assert 0 < problem.graph.held_bytes([layer for layer, node in enumerate(placement) if node]) <= parameters / 2


@pytest.mark.parametrize("action", [15, 16, 10**9, -1, -(10**9)])
def test_what_may_not_be_runs_at_home(drawn: list[Problem], action: int) -> None:
    walks, homely = Walks(1, 16), Walks(1, 16)
    for each in (walks, homely):
        each.begin(0, course_of(drawn[0], 16))
    assert len(drawn[0].nodes) < 16
    rewards, illegal = walks.take(np.array([action]))
    assert illegal[0]
    assert rewards[0] == homely.take(np.array([0]))[0][0]
    assert walks.node[0] == 0


def test_padding_changes_nothing_but_the_size(drawn: list[Problem]) -> None:
    problem = drawn[1]
    narrow, wide = Walks(1, len(problem.nodes)), Walks(1, 24)
    for each in (narrow, wide):
        each.begin(0, course_of(problem, each.nodes))
    rng = np.random.default_rng(1)
    while not narrow.over[0]:
        one, other = narrow.seen(), wide.seen()
        assert one["unit"].shape == (1, OF_UNIT)
        assert other["nodes"].shape == (1, 24, OF_PLACE)
        assert all(table.dtype == np.float32 for table in (one["unit"], one["nodes"]))
        for name in ("nodes", "action_mask"):
            assert np.array_equal(one[name], other[name][:, : narrow.nodes])
            assert not other[name][:, narrow.nodes :].any()
        assert np.array_equal(one["unit"], other["unit"])
        assert 0.0 <= one["nodes"].min() <= one["nodes"].max() <= 1.0
        action = rng.choice(np.flatnonzero(narrow.masks[0]), size=1)
        assert np.array_equal(narrow.take(action)[0], wide.take(action)[0])
    assert not narrow.seen()["nodes"].any()
    assert narrow.seen()["action_mask"].tolist() == [[1] + [0] * (narrow.nodes - 1)]


def test_of_more_servers_than_there_is_room_for_those_with_the_best_cuts_are_kept(drawn: list[Problem]) -> None:
    problem = replace(drawn[0], objective=Objective())
    kept = course_of(problem, 4).costs.nodes.tolist()
    judge = Judge(problem)
    cuts = {server: found[0] for server in problem.servers if (found := judge.best_cut(server)) is not None}
    assert len(cuts) > 3
    assert kept == [0, *sorted(sorted(cuts, key=lambda server: cuts[server])[:3])]


@pytest.mark.long
def test_many_walkers_walk_as_one_does_and_begin_anew_alone(drawn: list[Problem]) -> None:
    """Also with courses that are longer than tables were."""
    (deep, *_) = Worlds(("lone_random",), ("googlenet",)).problems(1)
    long = replace(BATTERY["chain without parameters"], objective=Objective())
    courses = [course_of(problem, 16) for problem in (drawn[0], deep, long)]
    many, rng = Walks(3, 16), np.random.default_rng(3)
    alone = [Walks(1, 16) for _ in courses]
    for number, course in enumerate(courses):
        many.begin(number, course)
        alone[number].begin(0, course)
    many._make_room(100)
    for _ in range(40):
        actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in many.masks])
        rewards, _ = many.take(actions)
        assert rewards.tolist() == [float(each.take(actions[at : at + 1])[0][0]) for at, each in enumerate(alone)]
        for name, table in many.seen().items():
            assert np.array_equal(table, np.concatenate([each.seen()[name] for each in alone]))
        for number in np.flatnonzero(many.over).tolist():  # whatever it walked through before
            alone[number] = Walks(1, 16)
            courses[number] = courses[(number + 1) % 3]
            many.begin(number, courses[number])
            alone[number].begin(0, courses[number])


# Where problems come from.


def test_seeds_are_for_training_or_held_out() -> None:
    rng = np.random.default_rng(0)
    assert all(0 <= drawn_seed(rng, False) < TRIAL_FROM for _ in range(50))
    assert all(drawn_seed(rng, True) >= families.HELD_OUT_FROM for _ in range(50))


def test_problems_are_those_of_families_or_of_a_scenario() -> None:
    found = problems_from(None, (), None, False)
    assert isinstance(found, Worlds)
    assert found.families == Worlds().families
    assert found.networks
    assert not set(found.networks) & set(HOLD_OUT)
    named = problems_from("lone_big", ("resnet50",), None, False)
    assert isinstance(named, Worlds)
    assert (named.families, named.networks) == (("lone_big",), ("resnet50",))
    users = problems_from(None, (), "commuters", False)
    assert isinstance(users, OfUsers)
    one, again, other = (next(users.problems(seed)).digest for seed in (1, 1, 2))
    assert one == again != other


@pytest.mark.parametrize(
    ("given", "networks", "scenario", "told"),
    [
        (("lone_random",), (), "commuters", "expected it alone"),
        (None, ("alexnet",), "commuters", "expected it alone"),
        ((), (), None, "families is empty"),
        ("new_networks", (), None, "held out"),
    ],
)
def test_what_does_not_go_together_is_refused(given: object, networks: tuple[str], scenario: str, told: str) -> None:
    with pytest.raises(RunError, match=told):
        problems_from(given, networks, scenario, False)  # type: ignore[arg-type]


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(ScenarioError, match="lone_rando"):
        problems_from("lone_rando", (), None, False)
    with pytest.raises(RunError, match=r"no option 'wrld'.*did you mean world"):
        asked({"wrld": 3})
    assert problems_from("new_networks", (), None, True) is not None


# Pictures.


def test_pictures_show_where_units_ran_and_where_the_next_may() -> None:
    seen = walk_picture([0, 2], [True, False, True], 4)
    assert seen.shape == (3 * CELL, 4 * CELL, 3)
    middles = seen[CELL // 2 :: CELL, CELL // 2 :: CELL]
    expected = [[HOME, PAPER, NEXT, PAPER], [PAPER, PAPER, CLOSED, PAPER], [PAPER, SERVER, NEXT, PAPER]]
    assert np.array_equal(middles, COLOURS[np.array(expected)])


def test_bars_are_as_high_as_shares() -> None:
    seen = bars_picture([1, 2, 0], [True, True, False])
    assert seen.dtype == np.uint8
    middles = seen[CELL // 2 :: CELL, CELL // 2 :: CELL]
    assert middles.shape == (HIGH + 1, 3, 3)
    for node, (high, colour) in enumerate([(HIGH // 2, HOME), (HIGH, SERVER), (0, SERVER)]):
        assert (middles[:HIGH, node] == COLOURS[colour]).all(axis=1).sum() == high
    assert np.array_equal(middles[HIGH], COLOURS[[NEXT, NEXT, CLOSED]])
    assert (bars_picture([0, 0], [True, True])[: HIGH * CELL : CELL, ::CELL] == COLOURS[PAPER]).all()
