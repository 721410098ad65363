"""Users over time: how they come, ask, stay and differ, and what a scenario cannot ask of them."""

from __future__ import annotations

import json
import pickle
import random
from collections import Counter
from math import inf
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_scenario import Few, small

from layerlift.emulator.scenario import Scenario
from layerlift.emulator.world.describe import asking_words, describe_world
from layerlift.emulator.world.laws import (
    AllAt,
    Bursts,
    Day,
    Exponential,
    Fixed,
    RecordedInstants,
    Regular,
    Steady,
    Uniform,
)
from layerlift.emulator.world.machines import NodeSpec
from layerlift.emulator.world.users import PlanningSpec, UserSpec
from layerlift.emulator.world.world import World
from layerlift.models.errors import ScenarioError
from layerlift.planners.problem.problem import Objective

BURST = {"quiet_per_s": 1, "busy_per_s": 20, "quiet_s": 30, "busy_s": 5}
DIURNAL = {"low_per_s": 1, "high_per_s": 10}


def world(**changes: Any) -> World:
    return Scenario.from_dict(small(**changes)).resolve(Few())


def one(**fields: Any) -> UserSpec:
    """The first of two users with these fields."""
    return world(users=[{"model": "small", "queries": 3, **fields}]).users[0]


def crowd(count: int = 300, **fields: Any) -> list[dict[str, Any]]:
    return [{"kind": "phone", "count": count, "device": {"ghz": 1}, "model": "small", "queries": 3, **fields}]


def refusal(**changes: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        world(**changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_old_scenario_means_what_it_meant() -> None:
    """Not one field of a world is other than its default, unless the scenario gives it."""
    made = world(users=crowd(50, arrival={"per_s": 3, "start_s": 2}, think_s=0.3, model={"small": 1, "large": 3}))
    rng, now = random.Random("1/arrival/phone"), 2.0
    mix = random.Random("1/model/phone").choices([0, 1], [1.0, 3.0], k=50)
    for number, user in enumerate(made.users):
        now += rng.expovariate(3.0)
        assert user == UserSpec(
            number, f"phone-{number + 1}", 2 + number, mix[number],
            arrival_s=round(now, 9), queries=3, think_s=0.3, kind="phone",
        )  # fmt: skip
        assert user.think == Fixed(0.3)
    assert made.planning == PlanningSpec()
    assert made.nodes[0] == NodeSpec(0, "client1", "client", ghz=1.0, idle_w=3.977, compute_w=3.262, radio_w=2.634)


def test_the_new_fields_of_users_arrive() -> None:
    user = one(
        think_s={"exponential": 2.0},
        stay_s=90,
        in_flight=4,
        weight=2.5,
        backoff_s=0.25,
        resume=True,
        replan="on_change",
    )
    assert (user.think, user.think_s, user.stay) == (Exponential(2.0), 2.0, Fixed(90.0))
    assert (user.in_flight, user.weight, user.backoff_s, user.resume) == (4, 2.5, 0.25, True)
    assert (user.replan, user.replan_s) == ("on_change", inf)
    user = one(think_s={"uniform": [1, 4]}, replan=30)
    assert (user.think, user.think_s) == (Uniform(1.0, 4.0), 2.5)
    assert (user.replan, user.replan_s) == ("every", 30.0)
    user = one(asks={"every_ms": 33}, queue=7)
    assert (user.asks, user.queue, user.late) == (Regular(33.0), 7, "keep")
    user = one(asks={"per_s": 2}, late="drop")
    assert (user.asks, user.queue, user.late) == (Steady(2.0), None, "drop")


@pytest.mark.parametrize(
    ("given", "law"),
    [
        ({"at_s": 2}, AllAt(2.0)),
        ({"every_ms": 33, "start_s": 1}, Regular(33.0, 1.0)),
        ({"per_s": 4, "start_s": 1}, Steady(4.0, 1.0)),
        ({"burst": BURST, "start_s": 2}, Bursts(1.0, 20.0, 30.0, 5.0, 2.0)),
        ({"diurnal": DIURNAL}, Day(1.0, 10.0, 86400.0, 43200.0)),
        ({"diurnal": {**DIURNAL, "period_s": 60, "peak_s": 9}, "start_s": 5}, Day(1.0, 10.0, 60.0, 9.0, 5.0)),
    ],
)
def test_a_law_serves_arrivals_and_questions_alike(given: dict[str, Any], law: Any) -> None:
    made = world(users=crowd(40, arrival=given, asks=given))
    assert [user.arrival_s for user in made.users] == law.times(40, random.Random("1/arrival/phone"))
    assert {user.asks for user in made.users} == {law}
    assert pickle.loads(pickle.dumps(made.users)) == made.users
    scenario = Scenario.from_dict(small(users=crowd(40, arrival=given, asks=given)))
    again = Scenario.from_dict(json.loads(json.dumps(scenario.model_dump(mode="json"))))
    assert again == scenario
    assert again.resolve(Few()) == made


def test_the_new_fields_of_nodes_and_of_planning_arrive() -> None:
    nodes = small()["nodes"]
    nodes[1] |= {"share_models": True}
    made = world(
        nodes=nodes,
        planner={"at": "far", "heartbeat_s": 0.5, "knows_load": False, "bandwidth_known": "measured"},
    )
    assert [node.share_models for node in made.nodes] == [False, False, True, True, True, False, False]
    assert {node.policy for node in made.nodes} == {"first_come"}
    planning = made.planning
    assert (planning.heartbeat_s, planning.knows_load, planning.bandwidth_known) == (0.5, False, "measured")
    assert world(planner={"bandwidth_known": True}).planning.bandwidth_known == "true"


def test_one_line_makes_three_hundred_different_users() -> None:
    line = crowd(
        device={"ghz": [1, 3], "battery_j": [1000, 5000], "spread": "random"},
        model={"small": 1, "large": 2},
        objective=[{"share": 3}, {"latency": 0, "energy": 1}],
        arrival={"burst": BURST},
        stay_s={"exponential": 60},
    )
    made, again, other = (world(users=line, seed=seed) for seed in (1, 1, 2))
    assert made == again
    devices = [made.nodes[user.client] for user in made.users]
    drawn = {
        "ghz": [node.ghz for node in devices],
        "battery_j": [node.battery_j for node in devices],
        "arrival_s": [user.arrival_s for user in made.users],
        "stay": [user.stay for user in made.users],
    }
    for values in drawn.values():
        assert len(set(values)) == 300
    assert all(1000 <= node.battery_j <= 5000 for node in devices if node.battery_j is not None)
    assert [user.stay for user in made.users] != [user.stay for user in other.users]
    assert [user.objective for user in made.users] != [user.objective for user in other.users]
    models = Counter(user.model for user in made.users)
    minds = Counter(user.objective for user in made.users)
    assert set(minds) == {Objective(), Objective(latency=0.0, energy=1.0)}
    # Shares of 1/3 and 3/4 of 300: within four standard deviations (8.2 and 7.5).
    assert abs(models[0] - 100) < 33
    assert abs(minds[Objective()] - 225) < 30
    assert sum(user.stay.mean_s for user in made.users if user.stay) / 300 == pytest.approx(60, rel=4 / 300**0.5)


def test_batteries_of_a_group_are_spread_evenly_unless_told() -> None:
    nodes = small()["nodes"]
    nodes[0]["battery_j"] = [1000, 5000]
    assert [node.battery_j for node in world(nodes=nodes).nodes[:3]] == [1000, 5000, None]


def test_each_purpose_draws_from_a_stream_of_its_own() -> None:
    drawn = world(users=crowd(9, stay_s={"exponential": 60}, objective=[{"share": 3}, {"energy": 1}])).users
    stays, minds = random.Random("1/stay/phone"), random.Random("1/objective/phone")
    assert [user.stay for user in drawn] == [Fixed(Exponential(60.0).value(stays)) for _ in drawn]
    assert [user.objective.energy for user in drawn] == minds.choices([0.0, 1.0], [3.0, 1.0], k=9)
    plain = world(users=crowd(arrival={"per_s": 1}, stay_s={"uniform": [1, 9]}, model={"small": 1, "large": 1}))
    mixed = world(
        users=[
            {"kind": "tv", "device": {"ghz": 1}, "model": "small", "queries": 1, "stay_s": {"uniform": [1, 9]}},
            *crowd(
                arrival={"diurnal": {**DIURNAL, "period_s": 60}},
                stay_s={"uniform": [1, 9]},
                model={"small": 1, "large": 1},
                objective=[{}, {"energy": 1}],
            ),
        ]
    )
    for name in ("stay", "model"):
        assert [getattr(user, name) for user in plain.users] == [getattr(user, name) for user in mixed.users[1:]]
    assert plain.users[0].arrival_s != mixed.users[1].arrival_s


def test_traces_lie_in_the_scenarios_folder(tmp_path: Path) -> None:
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "come.csv").write_text("time_s\n0.5\n2\n2\n7\n")
    pq.write_table(pa.table({"at": [0.0, 0.1]}), tmp_path / "ask.parquet")
    users = crowd(4, arrival={"trace": "traces/come.csv"}, asks={"trace": "ask.parquet", "column": "at"}, queries=9)
    (tmp_path / "x.yaml").write_text(json.dumps(small(users=users)))
    made = Scenario.load(tmp_path / "x.yaml").resolve(Few())
    assert [user.arrival_s for user in made.users] == [0.5, 2.0, 2.0, 7.0]
    assert made.users[3].asks == RecordedInstants((0.0, 0.1))
    users[0] |= {"count": 6, "arrival": {"trace": "traces/come.csv", "repeat_s": 10, "start_s": 1}}
    (tmp_path / "x.yaml").write_text(json.dumps(small(users=users)))
    made = Scenario.load(tmp_path / "x.yaml").resolve(Few())
    assert [user.arrival_s for user in made.users] == [1.5, 3.0, 3.0, 8.0, 11.5, 13.0]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "arrival: {trace: come.csv}",
            "users.0.arrival.trace is 'come.csv', which has 2 arrivals for 5 users: "
            "expected a row for each (or give repeat_s)",
        ),
        (
            "arrival: {trace: bad.csv}",
            "users.0.arrival.trace cannot be used: bad.csv, line 3: time_s is 'soon', expected a finite number",
        ),
        ("asks: {trace: bad.csv}", "users.0.asks.trace cannot be used: bad.csv, line 3: time_s is 'soon'"),
        ("arrival: {trace: non.csv}", "non.csv cannot be read: No such file or directory"),
        (
            "arrival: {trace: come.csv, column: tim_s}",
            "users.0.arrival.trace cannot be used: come.csv has no column tim_s; did you mean time_s?",
        ),
    ],
)
def test_a_wrong_trace_is_told_with_both_places(line: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "come.csv").write_text("time_s\n1\n2\n")
    (tmp_path / "bad.csv").write_text("time_s\n1\nsoon\n")
    text = json.dumps(small()).replace('"queries": 3', f"count: 5, device: {{ghz: 1}}, queries: 3,\n {line}")
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(tmp_path / "x.yaml").resolve(Few())
    assert says in str(caught.value)
    assert str(caught.value).startswith("x.yaml, line 2: users.0.")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"late": "drop"}, "users.0.late is drop without asks: a user that asks back to back is never late"),
        ({"queue": 3}, "users.0.queue is given without asks: questions asked back to back never wait"),
        ({"asks": {"per_s": 1}, "late": "drop", "queue": 3}, "users.0.queue is given beside late: drop"),
        ({"asks": {"per_s": 1}, "think_s": 1}, "users.0.think_s is given beside asks: expected pauses or a law"),
        ({"asks": {"per_s": 1}, "think_s": {"uniform": [0, 1]}}, "users.0.think_s is given beside asks"),
        ({"queries": None}, "users.0.queries is missing, and so is until_s: the run would never end; give one of them"),
        ({"queries": None, "asks": {"at_s": 1}, "stay_s": 3}, "users.0.queries is missing: expected how many"),
        ({"asks": {"every": 1}}, "users.0.asks is {'every': 1}, expected one of {at_s: seconds}, {every_ms: distance}"),
        ({"asks": 3}, "users.0.asks is 3, expected one of {at_s: seconds}"),
        ({"asks": {"burst": {}}}, "users.0.asks.burst.quiet_per_s is missing (and 3 more to mend)"),
        ({"arrival": {"burst": 3}}, "users.0.arrival.burst is 3, expected fields (a mapping)"),
        ({"arrival": {"burst": {**BURST, "quite_s": 1}}}, "burst.quite_s is not a known field; did you mean quiet_s"),
        ({"arrival": {"burst": {**BURST, "busy_s": 0}}}, "users.0.arrival.burst.busy_s is 0, expected a number above"),
        (
            {"arrival": {"burst": {**BURST, "busy_per_s": 0.5}}},
            "users.0.arrival.burst.busy_per_s is 0.5, expected at least quiet_per_s (1)",
        ),
        (
            {"arrival": {"burst": {"quiet_per_s": 0, "busy_per_s": 1e-9, "quiet_s": 1e-9, "busy_s": 1}}},
            "users.0.arrival.burst.busy_s is 1, with which not one of 1,000 bursts holds anything",
        ),
        (
            {"arrival": {"diurnal": {"low_per_s": 3, "high_per_s": 2}}},
            "users.0.arrival.diurnal.high_per_s is 2, expected at least low_per_s (3)",
        ),
        (
            {"arrival": {"diurnal": {"low_per_s": 0, "high_per_s": 1e6}}},
            "users.0.arrival.diurnal.high_per_s is 1e+06, which makes more than 1,000,000,000 in a period",
        ),
        ({"arrival": {"trace": "x.csv"}}, "x.csv cannot be read"),
        ({"arrival": {"trace": 3}}, "users.0.arrival.trace is 3, expected a text"),
        ({"arrival": {"trace": "x\0.csv"}}, "users.0.arrival.trace cannot be used"),
        ({"think_s": -1}, "users.0.think_s is -1, expected a number of at least 0"),
        (
            {"think_s": "long"},
            "users.0.think_s is 'long', expected a number of seconds, {exponential: mean} or {uniform: [low, high]}",
        ),
        ({"think_s": {"exponential": 0}}, "users.0.think_s.exponential is 0, expected a number above 0"),
        ({"think_s": {"uniform": [3, 1]}}, "users.0.think_s.uniform is [3.0, 1.0], expected [low, high]"),
        ({"think_s": {"uniform": [3]}}, "users.0.think_s.uniform.1 is missing"),
        ({"think_s": {"exponential": 1, "mean": 1}}, "users.0.think_s.mean is not a known field; known: exponential"),
        ({"stay_s": 0}, "users.0.stay_s is 0, expected a number above 0"),
        ({"stay_s": {"uniform": [0, 0]}}, "users.0.stay_s is a law that always gives 0 s, expected some that give more"),
        ({"stay_s": {"normal": 3}}, "users.0.stay_s is {'normal': 3}, expected a number of seconds, {exponential"),
        ({"in_flight": 0}, "users.0.in_flight is 0, expected a number of at least 1"),
        ({"weight": 0}, "users.0.weight is 0, expected a number above 0"),
        ({"backoff_s": 0}, "users.0.backoff_s is 0, expected a number above 0"),
        ({"resume": "yes"}, "users.0.resume is 'yes', expected true or false"),
        ({"replan": "on_chnge"}, "users.0.replan is 'on_chnge', expected never or on_change; did you mean on_change?"),
        (
            {"replan": "slow"},
            "users.0.replan is 'slow', expected never, on_change, a number of seconds, or {when: slow}",
        ),
        ({"replan": True}, "users.0.replan is true, expected never, on_change, a number of seconds, or {when: slow}"),
        ({"replan": 0}, "users.0.replan is 0, expected a number above 0"),
        ({"objective": []}, "users.0.objective is [], expected a list of at least 1"),
        ({"objective": [{"share": 0}]}, "users.0.objective.0.share is 0, expected a number above 0"),
        ({"objective": [{}, {"latency": 0}]}, "users.0.objective.1.latency and all other weights are 0"),
        ({"objective": {"share": 1}}, "users.0.objective.share is not a known field"),
    ],
)
def test_what_cannot_be_asked_of_users(fields: dict[str, Any], says: str) -> None:
    assert says in refusal(users=[{"model": "small", "queries": 3, **fields}])


@pytest.mark.parametrize(
    "fields",
    [
        {"stay_s": 5},
        {"stay_s": {"exponential": 5}, "asks": {"per_s": 1}},
        {"queries": 2, "asks": {"at_s": 0}},
        {"queries": 2, "asks": {"every_ms": 1}, "queue": 0},
    ],
)
def test_what_ends_by_itself_needs_no_end(fields: dict[str, Any]) -> None:
    assert len(world(users=[{"model": "small", **fields}]).users) == 2


def test_a_user_with_a_trace_of_questions_ends_with_it(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time_s\n1\n")
    asks = {"trace": str(tmp_path / "t.csv")}
    assert world(users=[{"model": "small", "asks": asks}]).users[0].asks == RecordedInstants((1.0,))
    assert "the run would never end" in refusal(users=[{"model": "small", "asks": {**asks, "repeat_s": 2}}])


def test_an_unknown_policy_is_told_with_its_path() -> None:
    nodes = small()["nodes"]
    assert len(world(nodes=nodes).users) == 2
    nodes[2]["policy"] = "frst_come"
    assert "nodes.2.policy is 'frst_come': " in refusal(nodes=nodes)
    assert "did you mean first_come?" in refusal(nodes=nodes)
    assert "users.0.device.policy is 'x': " in refusal(users=crowd(1, device={"ghz": 1, "policy": "x"}))


@pytest.mark.parametrize(("policy", "revokes"), [("first_come", False), ("greedy", False), ("priority", True)])
def test_a_world_knows_of_each_server_whether_its_policy_takes_memory_back(policy: str, revokes: bool) -> None:
    nodes = small()["nodes"]
    nodes[2]["policy"] = policy
    made = world(nodes=nodes)
    assert {node.policy: node.revokes for node in made.nodes}[policy] is revokes
    assert made.revocable is revokes
    assert {node["policy"]: node["revokes"] for node in describe_world(made)["nodes"]}[policy] is revokes


def test_heartbeats_need_a_planner_at_a_node() -> None:
    assert "planner.heartbeat_s is given, but planner.at is client: " in refusal(planner={"heartbeat_s": 1})
    assert (
        "planner.bandwidth_known is 'mesured', expected true, nominal or measured; did you mean measured?"
        in refusal(planner={"bandwidth_known": "mesured"})
    )
    for wrong in (False, 1):
        assert "expected true, nominal or measured" in refusal(planner={"bandwidth_known": wrong})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "back to back"),
        ({"think_s": 2}, "back to back, 2 s after each answer"),
        ({"think_s": {"exponential": 2}, "in_flight": 3}, "back to back, 3 at once, 2 s on average (exponential)"),
        ({"asks": {"every_ms": 33}, "late": "drop"}, "every 33 ms, 1 at once, the freshest waiting"),
        ({"asks": {"per_s": 2}}, "2 a second at random, 1 at once, any number waiting"),
        ({"asks": {"at_s": 0}, "queue": 0}, "all at 0 s, 1 at once, none waiting"),
        (
            {"asks": {"burst": BURST}, "queue": 4, "in_flight": 2},
            "1 a second at random for 30 s, then 20 for 5 s, on average, 2 at once, at most 4 waiting",
        ),
        ({"asks": {"diurnal": DIURNAL}}, "1 to 10 a second at random over 86400 s, most at 43200 s, 1 at once"),
    ],
)
def test_a_reader_is_told_how_users_ask(fields: dict[str, Any], words: str) -> None:
    assert asking_words(one(**fields)).startswith(words)


def test_a_described_user_says_what_sets_it_apart() -> None:
    made = world(users=crowd(2, stay_s={"uniform": [3, 9]}, weight=2, objective={"energy": 1}))
    first = describe_world(made)["users"][0]
    assert first["stay_s"] == made.users[0].stay.value(random.Random())  # type: ignore[union-attr]
    assert 3 <= first["stay_s"] <= 9
    assert first["weight"] == 2
    assert first["objective"]["energy"] == 1
    assert first["asks"] == "back to back"
    assert describe_world(world())["users"][0]["stay_s"] is None


def test_a_backoff_that_nobody_gave_is_an_assumption() -> None:
    listed = {entry["path"]: entry["value"] for entry in Scenario.from_dict(small()).assumptions()}
    assert listed["users.0.backoff_s"] == 0.5
    given = Scenario.from_dict(small(users=[{"model": "small", "queries": 1, "backoff_s": 1}]))
    assert "users.0.backoff_s" not in {entry["path"] for entry in given.assumptions()}
