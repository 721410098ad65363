"""Planning that is remembered: pairs share what their first half placed, and memory never changes an answer."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from run_world import phones

from layerlift.emulator import run
from layerlift.emulator.planning.answer import answer, solve
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.local import LocalPlans
from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.planning.problems import problem_of
from layerlift.planners import Plan, Problem, Upload
from layerlift.planners.problem.plan import in_one_piece
from layerlift.planners.registry.base import PlannerBase

asked: list[str] = []


class Dice(PlannerBase):
    """Places by chance, for all users together, and tells that it was asked."""

    multi_user = True

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        asked.append("plan")
        placement = tuple(rng.randrange(len(problem.nodes)) for _ in range(len(problem.graph)))
        return Plan(placement, in_one_piece(placement), note="dice")

    def plan_all(self, problems: Sequence[Problem], rng: random.Random) -> list[Plan]:
        return [self.plan(problem, rng) for problem in problems]


class Shuffled(PlannerBase):
    """Orders uploads by chance, drawing after the half that places."""

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        raise NotImplementedError

    def upload(self, problem: Problem, placement: Sequence[int], rng: random.Random) -> tuple[Upload, ...]:
        parts = list(in_one_piece(placement))
        rng.shuffle(parts)
        return tuple(parts)


class Curious(PlannerBase):
    """Stays local with nobody told of, and moves everything where others are."""

    wants_crowd = True
    wants_stay = True

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        told = problem.crowd is not None and problem.stay is not None
        placement = (int(told),) * len(problem.graph)
        return Plan(placement, in_one_piece(placement))


PAIRS = [f"test_plan_memory:Dice+{half}" for half in ("direct", "ionn", "test_plan_memory:Shuffled")]


@pytest.fixture(scope="module")
def problem() -> Problem:
    return problem_of(phones().resolve(), 0)


def test_pairs_with_one_first_half_have_one_placement(problem: Problem) -> None:
    placements = {solve(planner, problem, 3)[0].placement for planner in PAIRS}
    assert len(placements) == 1
    assert solve(PAIRS[0], problem, 4)[0].placement not in placements


def test_memory_answers_what_planning_anew_would(problem: Problem) -> None:
    memory = PlanMemory()
    for planner in (*PAIRS, *PAIRS):
        job = PlanJob(0.0, 0, planner, problem)
        assert answer(job, 3, memory.planner)[0] == answer(job, 3)[0]


def test_the_first_half_of_a_remembered_pair_is_told_what_it_wants_to_know() -> None:
    text = "test_plan_memory:Curious+direct"
    problem = problem_of(phones(f"users.0.planner={text}", "users.0.stay_s=20").resolve(), 0)
    [moved], *_ = answer(PlanJob(0.0, 0, text, problem), 3, PlanMemory().planner)
    assert moved == solve(text, problem, 3)[0]
    assert set(moved.placement) == {1}


def test_the_first_half_is_asked_once() -> None:
    world = phones("planner.gather_s=1").resolve()
    problems = tuple(problem_of(world, user) for user in (0, 1))
    memory = PlanMemory()
    asked.clear()
    for planner in PAIRS:
        plans = LocalPlans(world, memory)
        for place in (0, 1):
            outcome = plans.result(PlanJob(0.0, place, planner, problems[place], problems, place))
            assert not outcome.reason
    assert len(asked) == 2  # one planning of two users


@pytest.mark.long
def test_runs_that_share_a_memory_are_the_runs_that_do_not() -> None:
    memory = PlanMemory()
    scenario = phones("users.0.planner=test_plan_memory:Dice+ionn", "planner.gather_s=1", execution="none")
    first, again = (run(scenario, local=True, memory=memory) for _ in range(2))
    alone = run(scenario, local=True)
    assert first.digest == again.digest == alone.digest
    assert again.plans.num_rows == 2
