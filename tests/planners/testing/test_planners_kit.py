"""The conformance kit: ours pass, and every kind of cheat is found out."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from tiers import long_but

from layerlift import planners
from layerlift.models.errors import PlanError
from layerlift.planners import Plan, PlannerBase, Upload, registry
from layerlift.planners.testing import check_planner
from layerlift.planners.testing.demands import main
from layerlift.planners.testing.problems import battery

OURS = [
    f"{found.name}:evaluations=400" if "evaluations" in found.options else found.name
    for found in registry.specs()
    if found.source == "layerlift" and found.name != "exhaustive" and not found.attribute("REQUIRED_MODULES")
]


@pytest.mark.long
@pytest.mark.parametrize("name", long_but(OURS, ("local", "direct", "ionn", "shortest_path", "greedy")))
def test_ours_meet_every_demand(name: str) -> None:
    assert check_planner(name) > 100


@pytest.mark.long
@pytest.mark.parametrize(
    "pair", ["greedy+ionn", "random+recursive", "min_cut+efficiency", "ionn+direct", "gibbs:sweeps=20+ionn"]
)
def test_pairs_meet_every_demand(pair: str) -> None:
    assert check_planner(pair) > 100


@pytest.mark.long
def test_exhaustive_meets_every_demand_on_small_problems() -> None:
    small = {name: problem for name, problem in battery().items() if len(problem.nodes) < 3 or len(problem.graph) < 6}
    assert len(small) > 5
    check_planner("exhaustive", small)


class Base(PlannerBase):
    """Places the last layer on the first server where it may."""

    def placement(self, problem, rng):
        free = len(problem.nodes) > 1 and problem.allowed[-1, 1] and problem.memory_bytes[1] > 1e9
        return (0,) * (len(problem.graph) - 1) + (int(bool(free)),)

    def plan(self, problem, rng):
        return planners.offload(self.placement(problem, rng))

    optimises = "nothing"


class Forgetful(Base):
    def plan(self, problem, rng):
        return replace(super().plan(problem, rng), uploads=())


class Twice(Base):
    def plan(self, problem, rng):
        made = super().plan(problem, rng)
        return replace(made, uploads=made.uploads * 2)


class Trespasser(Base):
    def placement(self, problem, rng):
        return (len(problem.nodes) - 1,) * len(problem.graph)


class OutOfRange(Base):
    def placement(self, problem, rng):
        return (len(problem.nodes),) * len(problem.graph)


class Elsewhere(Base):
    def plan(self, problem, rng):
        made = super().plan(problem, rng)
        return replace(made, uploads=tuple(Upload(2, upload.layers) for upload in made.uploads))


class OwnDice(Base):
    def placement(self, problem, rng):
        rolled = [random.randrange(len(problem.nodes)) for _ in problem.graph.layers]
        return rolled if planners.fits(problem, rolled) else (0,) * len(problem.graph)


class Stateful(Base):
    def __init__(self):
        self.calls = 0

    def placement(self, problem, rng):
        self.calls += 1
        return super().placement(problem, rng) if self.calls % 2 else (0,) * len(problem.graph)


class Writer(Base):
    def plan(self, problem, rng):
        problem.seconds.setflags(write=True)
        problem.seconds[0, 0] += 1.0
        return super().plan(problem, rng)


class NumpyInts(Base):
    def plan(self, problem, rng):
        made = super().plan(problem, rng)
        return Plan(tuple(np.array(made.placement)), made.uploads)


class Optimist(Base):
    optimises = "latency"


class Crasher(Base):
    def plan(self, problem, rng):
        raise ZeroDivisionError("oops")


class Lister(Base):
    def plan(self, problem, rng):
        return list(super().plan(problem, rng).placement)


class LoneCrowd(Base):
    multi_user = True


class Spreader(Base):
    multi_server = False

    def placement(self, problem, rng):
        spread = [layer % len(problem.nodes) for layer in range(len(problem.graph))]
        return spread if planners.fits(problem, spread) else super().placement(problem, rng)


@pytest.mark.parametrize(
    ("planner", "message"),
    [
        (Forgetful, "in no upload"),
        (Twice, "uploaded twice"),
        (Trespasser, "not allowed|parameters, it offers"),
        (OutOfRange, "expected 0"),
        (Elsewhere, "to node 2, but the placement has it on node 1"),
        (OwnDice, "the same plan for the same seed"),
        (Stateful, "two calls with the same seed differ"),
        (Writer, "must not write|same seed differ"),
        (NumpyInts, "expected plain int"),
        (Optimist, "never worse than all-local"),
        (Crasher, "it raised ZeroDivisionError: oops"),
        (Lister, "returned list, expected layerlift.planners.Plan"),
        (LoneCrowd, "no method plan_all"),
        (Spreader, "multi_server is False"),
    ],
)
def test_cheats_are_found_out(planner, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        check_planner(planner())


def test_the_honest_twin_of_the_cheats_passes() -> None:
    check_planner(Base())


def test_the_command_line_tells_and_exits(capsys) -> None:
    assert main(["local"]) == 0
    assert "local: " in capsys.readouterr().out
    assert main([f"{__name__}:Optimist"]) == 1
    assert "never worse than all-local" in capsys.readouterr().out
    assert main(["nobody"]) == 2
    assert main([]) == 2


def test_the_battery_is_the_same_every_time_and_its_problems_differ() -> None:
    first, second = battery(), battery()
    assert [p.digest for p in first.values()] == [p.digest for p in second.values()]
    assert len({p.digest for p in first.values()}) == len(first)
