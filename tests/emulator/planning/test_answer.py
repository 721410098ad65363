"""Planning asks a planner that may be a stranger's: whatever it does, the user has a legal plan or stays local."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from worlds import chain_graph, fixed, small_world

from layerlift.emulator.planning.answer import solve
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.local import LocalPlans
from layerlift.emulator.results.columns import batch
from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.runtime.conductor import Conductor, LocalHosts
from layerlift.emulator.runtime.host import pack
from layerlift.models.errors import LayerliftError
from layerlift.planners import Plan, Problem, Upload, all_local
from layerlift.planners.cost.query import latency
from layerlift.planners.problem.plan import in_one_piece
from layerlift.planners.problem.problem import simple_problem
from layerlift.planners.registry.base import PlannerBase


class Numpy(PlannerBase):
    """A planner that answers with numpy's numbers."""

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        layers = np.arange(len(problem.graph))
        return Plan(tuple(np.ones(len(layers), dtype=np.int64)), (Upload(np.int64(1), tuple(layers)),))


class Dice(PlannerBase):
    """A planner whose answer is its random numbers."""

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        placement = tuple(rng.randrange(len(problem.nodes)) for _ in range(len(problem.graph)))
        return Plan(placement, in_one_piece(placement), note=str(rng.random()))


class Chatty(PlannerBase):
    """A planner whose note is no text."""

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        return Plan((0,) * len(problem.graph), (), note=None)  # type: ignore[arg-type]


class Quits(PlannerBase):
    """A planner that thinks it is a program."""

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        raise SystemExit("no licence found")


class WrongThing(PlannerBase):
    """A planner that answers something else."""

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        return [0] * len(problem.graph)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def problem() -> Problem:
    graph = chain_graph((1000, 500, 500, 10), (4000, 4000, 4000))
    return simple_problem(graph, [[0.1, 0.01], [0.2, 0.02], [0.3, 0.03]], bandwidth_bytes_s=1e6)


def test_a_plan_comes_with_what_it_promises(problem: Problem) -> None:
    outcome, took_s = solve(fixed((0, 1, 1)), problem, 1)
    assert (outcome.placement, outcome.uploads, outcome.reason) == ((0, 1, 1), (Upload(1, (1, 2)),), "")
    assert outcome.local_s == latency(problem, (0, 0, 0)) == pytest.approx(0.6)
    assert outcome.predicted_s == latency(problem, (0, 1, 1)) < outcome.local_s
    assert took_s > 0.0


@pytest.mark.parametrize(
    ("planner", "why"),
    [
        ("worlds:Raising", "worlds:Raising raised ZeroDivisionError: a bug of mine"),
        ("worlds:Illegal", "layer 0 is placed on a server but in no upload"),
        (fixed((0, 1)), "the placement has 2 layers, chain has 3"),
        (fixed((0, 1, 7)), "layer 2 is placed on node 7, expected 0 (the client) to 1"),
        ("test_answer:WrongThing", "returned list, expected layerlift.planners.Plan"),
        ("test_answer:Chatty", "note is NoneType, expected a text"),
        ("test_answer:Quits", "raised SystemExit: no licence found"),
        ("test_answer:Missing", "has no Missing"),
        ("no_such_module:Planner", "cannot be imported"),
        ("ionm", "did you mean ionn?"),
    ],
)
def test_a_planner_that_fails_leaves_everything_on_the_client(problem: Problem, planner: str, why: str) -> None:
    outcome, _ = solve(planner, problem, 1)
    assert why in outcome.reason
    assert (outcome.placement, outcome.uploads, outcome.whole) == ((0, 0, 0), (), False)
    assert outcome.predicted_s == outcome.local_s


def test_numbers_of_numpy_become_plain_ones(problem: Problem) -> None:
    outcome, _ = solve("test_answer:Numpy", problem, 1)
    numbers = [*outcome.placement, outcome.uploads[0].server, *outcome.uploads[0].layers]
    assert {type(number) for number in numbers} == {int}


def test_random_numbers_are_named_by_seed_planner_and_problem(problem: Problem) -> None:
    outcome, _ = solve("test_answer:Dice", problem, 1)
    assert solve("test_answer:Dice", problem, 1)[0] == outcome
    assert solve("test_answer:Dice", problem, 2)[0].note != outcome.note
    other = simple_problem(problem.graph, [[0.1, 0.01], [0.2, 0.02], [0.3, 0.031]], bandwidth_bytes_s=1e6)
    assert solve("test_answer:Dice", other, 1)[0].note != outcome.note


@pytest.mark.parametrize("planner", ["worlds:Raising", "worlds:Illegal", "test_answer:Quits"])
def test_the_run_goes_on_without_the_plan(planner: str) -> None:
    graph = chain_graph((1000, 500, 10), (4000, 4000))
    world = small_world(graph, (0.1, 0.2), planner, user={"queries": 4})
    rows: dict[str, list[tuple]] = {}
    hosts = LocalHosts(world, pack(world, 1))
    Conductor(world, hosts, LocalPlans(world), lambda table, more: rows.setdefault(table, []).extend(more)).run()
    tables = {name: pa.Table.from_batches([batch(name, rows.get(name, []))]).to_pylist() for name in TABLES}
    [row] = tables["plans"]
    assert row["status"] == "failed"
    assert row["reason"]
    assert (row["p1_layers"], row["parts"], row["upload_bytes"]) == (0, 0, 0)
    assert [query["status"] for query in tables["queries"]] == ["answered"] * 4
    assert {query["remote_layers"] for query in tables["queries"]} == {0}
    assert tables["uploads"] == []


def test_equal_problems_are_planned_once() -> None:
    graph = chain_graph((1000, 500, 10), (4000, 4000))
    world = small_world(graph, (0.1, 0.2), "test_answer:Dice", clients=3)
    plans = LocalPlans(world)
    problem = simple_problem(graph, [[0.1, 0.01], [0.2, 0.02]], bandwidth_bytes_s=1e6)
    other = simple_problem(graph, [[0.1, 0.01], [0.2, 0.03]], bandwidth_bytes_s=1e6)
    jobs = [PlanJob(0.0, k, "test_answer:Dice", asked) for k, asked in enumerate((problem, problem, other))]
    for job in jobs:
        plans.submit(job)
    same, again, different = (plans.result(job) for job in jobs)
    assert same is again
    assert same.note != different.note
    assert [request for _, request, _ in plans.log.took_s] == [0, 2]


class Unspeakable(PlannerBase):
    """Says what no table can hold: `Unspeakable:how=note`."""

    def __init__(self, how: str = "raise") -> None:
        self.how = how

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        if self.how == "raise":
            raise ValueError("bad \udcff name")
        if self.how == "mute":
            raise LayerliftError
        return replace(all_local(problem), note="bad \udcff name")


@pytest.mark.parametrize(
    ("how", "accepted", "words"),
    [("raise", False, "bad \\udcff name"), ("mute", False, "without a word"), ("note", True, "bad \\udcff name")],
)
def test_words_that_no_table_can_hold_are_written_out(problem: Problem, how: str, accepted: bool, words: str) -> None:
    outcome, _ = solve(f"test_answer:Unspeakable:how={how}", problem, 1)
    assert outcome.accepted is accepted
    assert words in (outcome.note if accepted else outcome.reason)
