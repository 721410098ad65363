"""A limit holds: a planner that does not return is ended, its user stays local, and a replay knows it."""

from __future__ import annotations

import os
import random
import time
from contextlib import closing
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
from run_world import phones
from worlds import chain_graph

from layerlift.emulator import RunResult, run
from layerlift.emulator.planning.answer import answer
from layerlift.emulator.planning.asking import Asker, PlanLog, known
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.runtime.measured import Measured, stopped_plans
from layerlift.models.errors import RunError
from layerlift.planners import Plan, Problem, all_local
from layerlift.planners.problem.plan import in_one_piece
from layerlift.planners.problem.problem import simple_problem
from layerlift.planners.registry.base import PlannerBase

LONG_S = 600.0
pytestmark = pytest.mark.long


class Uploads(PlannerBase):
    """Everything to the first server."""

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        return Plan((1,) * len(problem.graph), in_one_piece((1,) * len(problem.graph)), note=str(os.getpid()))


class Never(PlannerBase):
    """Does not return, and lets nobody interrupt it; says who it is in a file first."""

    def __init__(self, file: str = "") -> None:
        self.file = file

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        if self.file:
            Path(self.file).write_text(str(os.getpid()))
        while True:
            try:
                time.sleep(3600)
            except BaseException:
                continue


class Interrupts(PlannerBase):
    """Raises what usually a person does."""

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        raise KeyboardInterrupt("mine")


class Dies(PlannerBase):
    """Takes its process with it."""

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        os._exit(7)


class Prints(Uploads):
    """Writes where answers go."""

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        print("no answer at all")
        os.write(1, b"nor this")
        return super().plan(problem, rng)


class Homebody(Uploads):
    """Cannot be sent anywhere."""

    def __reduce__(self) -> str:
        raise TypeError("I stay where I am")


@pytest.fixture
def job() -> PlanJob:
    graph = chain_graph((1000, 500, 500, 10), (4000, 4000, 4000))
    problem = simple_problem(graph, [[0.1, 0.01], [0.2, 0.02], [0.3, 0.03]], bandwidth_bytes_s=1e6)
    return PlanJob(0.0, 0, "test_stoppable:Uploads", problem)


def test_with_a_limit_plans_are_made_elsewhere_and_are_the_same(job: PlanJob) -> None:
    with closing(Asker(3, LONG_S)) as asker:
        first, again = asker.ask(job).outcomes[0], asker.ask(job._replace(request=1)).outcomes[0]
        rolled = job._replace(planner="pso")
        assert asker.ask(rolled).outcomes == answer(rolled, 3).outcomes
        assert asker.here == {}
    assert first.placement == (1, 1, 1)
    assert first.note == again.note != str(os.getpid())  # one process for all, which is not this one


def test_a_planner_that_does_not_return_is_ended_with_its_process(job: PlanJob, tmp_path: Path) -> None:
    file = tmp_path / "process"
    with closing(Asker(1, 0.2)) as asker:
        found = asker.ask(job._replace(planner=f"test_stoppable:Never:file={file}"))
        assert found.stopped == found.outcomes[0].reason == "late: no plan within 0.2 s"
        assert (found.outcomes[0].placement, found.outcomes[0].accepted) == ((0, 0, 0), False)
        assert not Path(f"/proc/{file.read_text()}").exists()
        assert asker._stoppable._process is None
    with closing(Asker(1, LONG_S)) as asker:
        assert asker.ask(job).outcomes[0].accepted  # the next one is asked in a new process


def test_a_planner_that_ends_its_process_ends_nothing_else(job: PlanJob) -> None:
    with closing(Asker(1, LONG_S)) as asker:
        found = asker.ask(job._replace(planner="test_stoppable:Dies"))
        assert found.stopped == "test_stoppable:Dies ended its process (7)"
        assert asker.ask(job._replace(planner="test_stoppable:Prints")).outcomes[0].placement == (1, 1, 1)


def test_a_planner_that_interrupts_is_stopped_for_that(job: PlanJob, capfd: pytest.CaptureFixture[str]) -> None:
    with closing(Asker(1, LONG_S)) as asker:
        found = asker.ask(job._replace(planner="test_stoppable:Interrupts"))
        assert found.stopped == "test_stoppable:Interrupts raised KeyboardInterrupt: mine"
        assert "in plan" in found.trace
        assert asker.ask(job._replace(planner="test_stoppable:Prints")).outcomes[0].placement == (1, 1, 1)
    assert "Traceback" not in capfd.readouterr().err


def test_what_cannot_be_sent_runs_here_and_that_is_said(job: PlanJob) -> None:
    said: list[str] = []
    log = PlanLog(said.append)
    with closing(Asker(1, LONG_S)) as asker:
        here = job._replace(planner="test_stoppable:Homebody")
        found = asker.ask(here)
        assert found.outcomes[0].note == str(os.getpid())
        log.note(here, found, True, asker.here)
        log.note(here, asker.ask(here), True, asker.here)
    assert said == [
        "planner test_stoppable:Homebody cannot be sent to a process of its own and cannot be interrupted: "
        "TypeError: I stay where I am"
    ]
    with closing(Asker(1, 1e-9)) as asker:
        assert asker.ask(here).stopped == "late: no plan within 1e-09 s"


def test_what_a_planner_raises_there_is_told_with_its_line(job: PlanJob) -> None:
    said: list[str] = []
    traces: list[str] = []
    for limit_s in (LONG_S, inf):
        with closing(Asker(1, limit_s)) as asker:
            wrong = job._replace(planner="worlds:Raising")
            PlanLog(said.append, traces.append).note(wrong, asker.ask(wrong), True, asker.here)
    assert said[0] == said[1]
    assert said[0].startswith("planner worlds:Raising raised ZeroDivisionError: a bug of mine (worlds.py:")
    assert all("worlds.py" in trace and "Traceback" in trace for trace in traces)


def test_a_replay_reads_what_was_stopped(tmp_path: Path) -> None:
    limit = "planner.plan_timeout_s=0.2"
    scenario = phones("users.0.planner=test_stoppable:Never", limit, execution="none")
    made = run(scenario, out=tmp_path / "made", local=True)
    told = RunResult.load(tmp_path / "made")
    assert {row["reason"] for row in made.plans.to_pylist()} == {"late: no plan within 0.2 s"}
    stopped = stopped_plans(told.run)
    assert list(stopped.values()) == ["late: no plan within 0.2 s"] * len(stopped)
    again = run(scenario, local=True, replay=Measured(stopped_plans=stopped))  # asks nobody: it would not return
    assert again.digest == made.digest
    assert again.run["stopped_plans"] == stopped
    with pytest.raises(RunError, match="no texts by name"):
        stopped_plans({"stopped_plans": {"a": 1}})


def test_a_replay_has_no_limit(job: PlanJob) -> None:
    """What came in time then may take longer now."""
    scenario = phones("planner.plan_timeout_s=1e-9", execution="none")
    late = run(scenario, local=True)
    free = run(scenario, local=True, replay=Measured())
    assert {row["status"] for row in late.plans.to_pylist()} == {"failed"}
    assert {row["status"] for row in free.plans.to_pylist()} == {"accepted"}
    assert known(job, {}) is None
    assert known(job, {job.name: "late"}) is not None
    assert job.name != replace_planner(job).name


def replace_planner(job: PlanJob) -> PlanJob:
    return job._replace(planner="test_stoppable:Dies", problem=replace(job.problem))


def test_nothing_is_started_without_a_limit(job: PlanJob) -> None:
    asker = Asker(1, inf)
    assert asker.ask(job).outcomes == (all_local_or_not(job),)
    assert asker._stoppable._process is None


def all_local_or_not(job: PlanJob) -> object:
    assert all_local(job.problem).placement == (0, 0, 0)
    return answer(job, 1).outcomes[0]
