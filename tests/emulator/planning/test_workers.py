"""Planning beside each other: the same answers as here, whichever process they come from."""

from __future__ import annotations

import os
import random
import time
from contextlib import closing
from math import inf

import pytest
from run_world import phones
from worlds import chain_graph

from layerlift.emulator import run
from layerlift.emulator.planning import workers
from layerlift.emulator.planning.answer import answer
from layerlift.emulator.planning.asking import PlanLog
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.local import LocalPlans
from layerlift.emulator.planning.workers import Pace, Workers, workers_of
from layerlift.models.errors import RunError
from layerlift.planners import Plan, Problem
from layerlift.planners.problem.plan import in_one_piece
from layerlift.planners.problem.problem import simple_problem
from layerlift.planners.registry.base import PlannerBase


class Tells(PlannerBase):
    """Everything to the first server, and in which process that was thought of."""

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        placement = (1,) * len(problem.graph)
        return Plan(placement, in_one_piece(placement), note=str(os.getpid()))


class Stays(Tells):
    """Cannot be sent anywhere."""

    def __reduce__(self) -> str:
        raise TypeError("stays here")


def jobs(planner: str, count: int) -> list[PlanJob]:
    graph = chain_graph([1000, 1000, 10], [1000, 1000])
    problems = [
        simple_problem(graph, [[0.1 + 0.01 * n, 0.01]] * len(graph), bandwidth_bytes_s=1e7, latency_s=0.01)
        for n in range(count)
    ]
    return [PlanJob(0.0, number, planner, problem) for number, problem in enumerate(problems, start=1)]


def test_a_planner_takes_long_by_what_one_plan_took() -> None:
    first, _ = jobs("ionn", 2)
    pace = Pace()
    pace.note(first, workers.LONG_S)
    assert not pace.takes_long("ionn")
    pace.note(first._replace(together=(first.problem,) * 4), 3.9 * workers.LONG_S)
    assert not pace.takes_long("ionn")
    pace.note(first._replace(together=(first.problem,) * 4), 4.1 * workers.LONG_S)
    assert pace.takes_long("ionn")
    pace.note(first, 0.0)
    assert pace.takes_long("ionn")
    assert not pace.takes_long("direct")


def test_quick_planners_and_single_workers_start_nothing() -> None:
    own = jobs("direct", 2)
    with closing(Workers(2, 1, inf)) as beside:
        for job in own:
            beside.submit(job)
        beside.note(own[0], workers.LONG_S / 2)
        assert [beside.result(job) for job in own] == [None, None]
    with closing(Workers(1, 1, inf)) as alone:
        alone.note(own[0], 1.0)
        alone.submit(own[1])
        assert alone.result(own[1]) is None


@pytest.mark.long
def test_what_waits_begins_when_the_first_has_taken_long_and_answers_are_those_of_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "LONG_S", 0.0)
    own = jobs("test_workers:Tells", 4)
    with closing(LocalPlans(phones().resolve(), workers=2)) as plans:
        for job in own:
            plans.submit(job)
        outcomes = [plans.result(job) for job in own]
    assert outcomes[0].note == str(os.getpid())
    elsewhere = {outcome.note for outcome in outcomes[1:]}
    assert str(os.getpid()) not in elsewhere
    assert 1 <= len(elsewhere) <= 2
    for job, outcome in zip(own, outcomes, strict=True):
        assert outcome._replace(note="") == answer(job, 1).outcomes[0]._replace(note="")


@pytest.mark.long
def test_a_planner_that_cannot_be_sent_plans_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "LONG_S", 0.0)
    own = jobs("test_workers:Stays", 3)
    with closing(LocalPlans(phones().resolve(), workers=2)) as plans:
        for job in own:
            plans.submit(job)
        assert {plans.result(job).note for job in own} == {str(os.getpid())}


@pytest.mark.long
def test_what_nobody_waits_for_any_more_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    beside = Workers(2, 1, inf)
    own = jobs("test_stoppable:Never", 3)
    beside.note(own[0], 1.0)
    for job in own:
        beside.submit(job)
    time.sleep(0.2)
    beside.close()  # returns
    assert not any(thread.is_alive() for thread in beside._threads._threads)  # type: ignore[union-attr]


@pytest.mark.long
def test_a_run_is_the_same_with_any_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "LONG_S", 0.0)
    scenario = phones("users.0.planner=ionn", "planner.plan_s=0.5", execution="none")
    log: list[str] = []
    note = PlanLog.note

    def noted(self: PlanLog, job: PlanJob, found: object, fresh: bool, here: object) -> None:
        log.append(job.planner)
        note(self, job, found, fresh, here)  # type: ignore[arg-type]

    monkeypatch.setattr(PlanLog, "note", noted)
    alone, beside = (run(scenario, local=True, plan_workers=count) for count in (1, 3))
    assert alone.digest == beside.digest
    assert log[: len(log) // 2] == log[len(log) // 2 :] != []


def test_how_many_there_are_is_a_number_or_auto() -> None:
    assert workers_of("auto") == len(os.sched_getaffinity(0))
    assert workers_of(3) == workers_of("3") == 3
    for wrong in (0, -1, "many", "1.5", 1000):
        with pytest.raises(RunError, match="expected auto or a whole number"):
            workers_of(wrong)
    with pytest.raises(RunError, match="plan_workers"):
        run("quickstart", plan_workers="none")
