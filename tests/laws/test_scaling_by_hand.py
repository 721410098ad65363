"""Semantics, "Servers that come and go": when servers start, serve, close and go off, worked out by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from worlds import Run, chain_graph, run_world, small_world

from layerlift.emulator import Scenario, run
from layerlift.emulator.report.report import show
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.world.faults import Crash
from layerlift.emulator.world.laws import Regular
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.scaling import Scaling
from layerlift.emulator.world.users import PlanningSpec, UserSpec
from layerlift.emulator.world.world import World
from layerlift.models.errors import ScenarioError
from layerlift.planners.problem.plan import Plan, in_one_piece
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import PlannerBase

LINK = LinkSpec(0.01, 1e8)
GRAPH = chain_graph([1000, 1000], [1000])
GROUP = {"target_use": 0.5, "start_s": 3.0, "stop_s": 2.0, "check_s": 1.0, "calm_s": 4.0}


class Last(PlannerBase):
    """Everything on the last server that may be used."""

    optimises = "nothing"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        placement = (int(problem.allowed[0].nonzero()[0].max()),)
        return Plan(placement, in_one_piece(placement))


def world(
    users: tuple[tuple[float, float], ...], *, servers: int = 3, least: int = 1, most: int = 3, **more: Any
) -> World:
    """Users who come and ask so often, each for 0.25 core-seconds every half second; the planner is at s1."""
    group = {**GROUP, **more.pop("group", {})}
    count, planner = len(users), more.pop("planner", "direct")
    changes = more.pop("user", {})
    made = small_world(
        GRAPH, (5.0,), planner, clients=count, servers=servers, server_ghz=20.0, link=LINK,
        user={"replan": "on_change", "queries": None, "asks": Regular(500.0), **changes},
        planning=PlanningSpec(at=count, literal=True),
        scaling=(Scaling(tuple(range(count, count + servers)), least, most, **group),), until_s=60.0, **more,
    )  # fmt: skip
    return replace(made, users=tuple(_staying(user, *span) for user, span in zip(made.users, users, strict=True)))


def _staying(user: UserSpec, comes_s: float, asks: float) -> UserSpec:
    return replace(user, arrival_s=comes_s, queries=int(asks))


def turns(made: Run) -> list[tuple[float, str, str]]:
    kinds = ("starting", "on", "closing", "off")
    return [(row["at_s"], row["node"], row["kind"]) for row in made.tables["changes"] if row["kind"] in kinds]


def test_a_busy_server_starts_another_and_silence_stops_it() -> None:
    """One user keeps s1 half busy, two keep it wholly busy: `ceil(1 x 1 / 0.5)` are wanted. The decision is at a half
    second, the order takes none (the planner lives at s1) or one latency, and s2 serves 3 s later."""
    made = run_world(world(((0.0, 100), (5.0, 40))))
    names = {node for _, node, _ in turns(made)}
    (started, first, kind), (on, *_) = turns(made)[:2]
    assert (first, kind) == ("s2", "starting")
    assert 5.0 < started < 9.0
    assert (started - 0.01) % 1.0 == pytest.approx(0.5, abs=1e-6)
    assert on == pytest.approx(started + 3.0)
    closing = [at_s for at_s, _, kind in turns(made) if kind == "closing"]
    off = [at_s for at_s, _, kind in turns(made) if kind == "off"]
    assert names <= {"s2", "s3"}
    assert len(off) == len(closing) > 0
    assert off == pytest.approx([at_s + 2.0 for at_s in closing])
    assert closing[-1] > 5.0 + 40 * 0.5 + 4.0


def test_without_use_nothing_changes() -> None:
    made = run_world(world(((0.0, 2),), least=2))
    assert not turns(made) or {kind for *_, kind in turns(made)} == {"closing", "off"}
    quiet = run_world(world(((0.0, 2),), least=1))
    assert turns(quiet) == []


def test_a_server_goes_when_fewer_were_enough_for_as_long_as_said() -> None:
    """Two users ask for two servers for a while, and one of them for one from then on."""
    gone_s = []
    for calm_s in (0.0, 15.0):
        users = (0.0, 40), (0.0, 110)
        made = run_world(world(users, servers=2, most=2, group={"calm_s": calm_s}, user={"replan": "never"}))
        gone_s.append(next(at_s for at_s, _, kind in turns(made) if kind == "closing"))
    assert gone_s[1] - gone_s[0] == pytest.approx(15.0, abs=1.1)


def test_never_above_the_most() -> None:
    made = run_world(world(tuple((0.0, 60) for _ in range(8)), most=2))
    assert {node for _, node, _ in turns(made)} == {"s2"}


def test_who_came_in_vain_is_told_and_moves_and_who_must_go_is_told_too() -> None:
    """Two users keep a server busy until 20 s; the one who is left is told to go, and does before anything is lost."""
    made = run_world(world(((0.0, 40), (5.0, 90)), planner="test_scaling_by_hand:Last"))
    causes = [row["cause"] for row in made.tables["plans"] if row["user"] == "u1"]
    assert causes[:2] == ["arrival", "up"]
    assert "closing" in causes
    assert "s2" in {row["node"] for row in made.tables["segments"]}
    assert not [row for row in made.tables["allocations"] if row["event"] == "evicted"]
    assert not [row for row in made.tables["queries"] if row["fallback"]]
    assert made.tables["plans"][-1]["placement"] == "s1:0-0"
    off = {node: at_s for at_s, node, kind in turns(made) if kind == "off"}
    assert off
    for node, at_s in off.items():
        assert not [row for row in made.tables["segments"] if row["node"] == node and row["ended_s"] > at_s]


def test_a_server_that_is_not_on_is_offered_to_nobody() -> None:
    made = run_world(world(((0.0, 4),), servers=2, most=1))
    assert [row["placement"] for row in made.tables["plans"]] == ["s1:0-0"]
    slow_first = world(((0.0, 4),), servers=2, most=1)
    nodes = tuple(replace(node, ghz=1000.0) if node.name == "s2" else node for node in slow_first.nodes)
    made = run_world(replace(slow_first, nodes=nodes))
    assert [row["placement"] for row in made.tables["plans"]] == ["s1:0-0"], "s2 would be faster, and is off"


def test_users_who_never_ask_anew_lose_what_they_had_and_run_at_home() -> None:
    made = run_world(
        world(((0.0, 100), (0.0, 100), (12.0, 2)), user={"replan": "never"}, least=2, group={"calm_s": 0.0})
    )
    evicted = [row for row in made.tables["allocations"] if row["event"] == "evicted"]
    assert all(row["reason"].endswith("is switched off") for row in evicted)
    assert not [row for row in made.tables["queries"] if row["status"] == "failed" and row["reason"] != "run ended"]


def test_a_server_that_crashed_is_not_counted_and_another_takes_its_place() -> None:
    busy = tuple((0.0, 100) for _ in range(2))
    made = run_world(world(busy, servers=3, least=2, most=3, faults=(Crash((3,), at_s=10.0),)))
    assert made.world.nodes[3].name == "s2"
    assert ("s3", "starting") in {(node, kind) for _, node, kind in turns(made)}


def test_energy_and_power_follow_the_switch() -> None:
    made = run_world(world(((0.0, 20),), server={"idle_w": 10.0, "off_w": 1.0}))
    end = made.ending.at_s
    joules: dict[str, float] = {}
    for row in made.tables["usage"]:
        joules[row["node"]] = joules.get(row["node"], 0.0) + row["energy_j"]
    assert joules["s1"] == pytest.approx(10.0 * end)
    if not turns(made):
        assert joules["s3"] == pytest.approx(1.0 * end)


SCENARIO: dict[str, Any] = {
    "nodes": [
        {"tier": "edge", "count": 4, "ghz": 10, "cores": 1, "price_per_core_hour": 3.6,
         "autoscale": {"min": 1, "max": 3, "start_s": 2, "stop_s": 1, "check_s": 1, "calm_s": 3}},
    ],
    "links": {
        "client-edge": {"bandwidth_mb_s": 50, "latency_ms": 2}, "edge-edge": {"bandwidth_mb_s": 50, "latency_ms": 1},
    },
    "users": [
        {"count": 6, "device": {"ghz": 1}, "model": "squeezenet", "planner": "direct", "queries": 300,
         "replan": "on_change", "arrival": {"per_s": 1}},
    ],
    "planner": {"at": "edge1"}, "execution": "none", "until_s": 120, "reference_ghz": 72.5,
}  # fmt: skip


def result(*overrides: str) -> RunResult:
    return run(Scenario.from_dict(SCENARIO, overrides), local=True)


@pytest.mark.long
def test_the_summary_tells_how_many_were_on_and_what_that_costs(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    made = result()
    (group,) = made.summary["scaling"]
    assert group["servers"] == ["edge1", "edge2", "edge3", "edge4"]
    assert (group["least"], group["most"]) == (1, 3)
    assert group["starts"] == sum(row["kind"] == "starting" for row in made.changes.to_pylist())
    end_s = made.summary["totals"]["virtual_s"]
    assert group["mean"] == pytest.approx(group["on_s"] / end_s)
    assert 1.0 < group["mean"] < 3.0
    assert group["on_money"] == pytest.approx(group["on_s"] * 3.6 / 3600.0)
    show(made, Console(width=100))
    assert "Of edge1 to edge4 on: 1 at least" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("nodes.0.autoscale.max=5", "nodes.0.autoscale.max is 5, expected at most the count of the group (4)"),
        ("nodes.0.autoscale.min=5", "autoscale.max is 3, expected at least min (5)"),
        ("planner.at=client", "planner.at is client"),
        ("nodes.0.autoscale.target_use=0", "expected a number of at least 0.01"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(change: str, words: str) -> None:
    with pytest.raises(ScenarioError) as error:
        Scenario.from_dict(SCENARIO, [change])
    assert words in str(error.value)
    assert len(str(error.value)) <= 300
