"""A scenario becomes the world that its fields say: counts, ranges, names, units, who owns which client."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
from small_scenario import Few, small

from layerlift.emulator.scenario import Scenario, bundled
from layerlift.emulator.scenario.schema.fields import Range
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.world import World
from layerlift.models.graph.route import compile_route
from layerlift.planners.problem.problem import Objective

MB = 2**20


def world(**changes: object) -> World:
    return Scenario.from_dict(small(**changes)).resolve(Few())


def users(**fields: object) -> list[dict[str, object]]:
    return [{"model": "small", "queries": 3, **fields}]


def test_ranges_are_evenly_spaced_and_end_where_they_say() -> None:
    assert Range(4.2, 18.3).even(5) == [4.2, 7.725, 11.25, 14.775, 18.3]
    assert Range(1.1, 2.3).even(2) == [1.1, 2.3]
    assert Range(1.1, 2.3).even(1) == [1.7]
    assert Range(3.0, 3.0).even(4) == [3.0] * 4


def test_counts_become_named_nodes_clients_first_planner_last() -> None:
    made = world()
    assert [node.name for node in made.nodes] == ["client1", "client2", "edge1", "edge2", "edge3", "far", "planner"]
    assert [node.index for node in made.nodes] == list(range(7))
    assert [node.ghz for node in made.nodes[:6]] == [1, 2, 4, 6, 8, 40]
    assert (made.clients, made.servers, made.planner) == ((0, 1), (2, 3, 4, 5), 6)


def test_servers_listed_before_clients_still_come_after_them() -> None:
    nodes = small()["nodes"]
    assert [node.name for node in world(nodes=[nodes[1], nodes[2], nodes[0]]).nodes][:3] == [
        "client1",
        "client2",
        "edge1",
    ]


def test_a_pattern_counts_on_over_groups() -> None:
    nodes = [group | ({"names": "r{}"} if "count" in group else {}) for group in small()["nodes"]]
    assert [node.name for node in world(nodes=nodes).nodes] == ["r1", "r2", "r3", "r4", "r5", "far", "planner"]


def test_units() -> None:
    nodes = small()["nodes"]
    nodes[1] |= {
        "memory_mb": [100, 300],
        "load_s_per_mb": 0.5,
        "uplink_mb_s": 2,
        "price_per_core_hour": 3.6,
        "price_per_gb_hour": 7.2,
        "compute_w": 50,
        "cores": 4,
    }
    links = small()["links"]
    links["client-edge"]["price_per_gb"] = 0.5
    made = world(nodes=nodes, links=links, sample_s=None)
    edge = made.nodes[3]
    assert edge.memory_bytes == 200 * MB
    assert edge.load_s_per_byte == 0.5 / MB
    assert edge.uplink_bytes_s == 2 * MB
    assert edge.downlink_bytes_s == math.inf
    assert edge.price_per_s == pytest.approx(0.001, rel=1e-15)
    assert edge.price_per_byte_s == pytest.approx(0.002 / 2**30, rel=1e-15)
    assert (edge.cores, edge.compute_w, edge.idle_w) == (4, 50, 0)
    assert made.link(0, 2) == LinkSpec(0.002, 10 * MB, 0.5 / 2**30)
    assert made.sample_s == math.inf
    assert made.lookahead_s == 0.0005


def test_a_client_draws_what_ionns_board_draws_unless_told() -> None:
    nodes = small()["nodes"]
    nodes[0] = [nodes[0], {"tier": "client", "name": "own", "ghz": 1, "idle_w": 1, "compute_w": 2, "radio_w": 0}]
    made = world(nodes=[*nodes[0], *nodes[1:]])
    assert [(n.idle_w, n.compute_w, n.radio_w) for n in made.nodes[:3]] == [(3.977, 3.262, 2.634)] * 2 + [(1, 2, 0)]


def test_links_hold_both_ways_unless_both_are_given() -> None:
    links = small()["links"]
    made = world(links={**links, "edge-client": {"bandwidth_mb_s": 30, "latency_ms": 4}})
    assert made.link(2, 0) == LinkSpec(0.004, 30 * MB)
    assert made.link(0, 2) == LinkSpec(0.002, 10 * MB)
    assert made.link(5, 0) == made.link(0, 5) == LinkSpec(0.02, MB)


def test_a_pair_changes_only_what_it_names() -> None:
    made = world(
        pairs=[
            {"between": ["client1", "edge2"], "latency_ms": 9},
            {"between": ["edge1", "far"], "one_way": True, "bandwidth_mb_s": 7, "price_per_gb": 1},
        ]
    )
    assert made.link(0, 3) == made.link(3, 0) == LinkSpec(0.009, 10 * MB)
    assert made.link(0, 2) == LinkSpec(0.002, 10 * MB)
    assert made.link(2, 5) == LinkSpec(0.02, 7 * MB, 1 / 2**30)
    assert made.link(5, 2) == LinkSpec(0.02, 5 * MB)


def test_users_take_listed_clients_in_order_and_bring_their_own() -> None:
    made = world(
        users=[
            {"kind": "first", "count": 1, "model": "small", "queries": 1},
            {"kind": "phone", "count": 3, "device": {"ghz": [1, 3], "memory_mb": 10}, "model": "small", "queries": 2},
            {"kind": "rest", "model": "large", "queries": 3},
        ]
    )
    assert [node.name for node in made.nodes[:5]] == ["client1", "client2", "phone-1", "phone-2", "phone-3"]
    assert [(u.name, u.client, u.kind) for u in made.users] == [
        ("first-1", 0, "first"),
        ("phone-1", 2, "phone"),
        ("phone-2", 3, "phone"),
        ("phone-3", 4, "phone"),
        ("rest-1", 1, "rest"),
    ]
    assert [u.index for u in made.users] == list(range(5))
    assert [made.models[u.model].name for u in made.users] == ["small"] * 4 + ["large"]
    assert [made.nodes[i].ghz for i in (2, 3, 4)] == [1, 2, 3]
    assert made.clients == (0, 1, 2, 3, 4)


def test_a_listed_client_may_stay_without_a_user() -> None:
    made = world(users=users(count=1))
    assert [u.client for u in made.users] == [0]
    assert made.clients == (0, 1)


@pytest.mark.parametrize("kinds", [1, 2, 3])
def test_user_count_is_known_before_the_world(kinds: int) -> None:
    every = [
        {"kind": "a", "count": 7, "device": {"ghz": 1}, "model": "small", "queries": 1},
        {"kind": "b", "device": {"ghz": 1}, "model": "small", "queries": 1},
        {"kind": "c", "model": "small", "queries": 1},
    ]
    scenario = Scenario.from_dict(small(users=every[:kinds]))
    assert scenario.user_count == len(scenario.resolve(Few()).users) == (7, 8, 10)[kinds - 1]


@pytest.mark.long
def test_arrivals() -> None:
    assert [u.arrival_s for u in world(users=users(arrival={"at_s": 4})).users] == [4, 4]
    assert [u.arrival_s for u in world(users=users(arrival={"every_ms": 250, "start_s": 1})).users] == [1, 1.25]
    many = users(count=4000, device={"ghz": 1}, arrival={"per_s": 8})
    times = [u.arrival_s for u in world(users=many).users]
    assert times == sorted(times)
    assert times[-1] / 4000 == pytest.approx(1 / 8, rel=0.06)
    assert all(round(t, 9) == t for t in times)


def test_drawn_numbers_come_from_the_seed_by_purpose() -> None:
    kind = users(
        count=50, device={"ghz": [1, 3], "spread": "random"}, arrival={"per_s": 1}, model={"small": 1, "large": 3}
    )
    one, again, other = (world(users=kind, seed=s) for s in (1, 1, 2))
    assert one == again
    speeds = [node.ghz for node in one.nodes[2:52]]
    assert speeds != [node.ghz for node in other.nodes[2:52]]
    assert all(1 <= ghz <= 3 for ghz in speeds)
    assert len(set(speeds)) == 50
    asked = [u.model for u in one.users]
    assert 25 <= asked.count(1) < 50
    before = {"kind": "early", "device": {"ghz": [1, 2], "spread": "random"}, "model": "small", "queries": 1}
    named = [{**kind[0], "kind": "crowd"}]
    alone, joined = world(users=named), world(users=[before, *named])
    assert [u.arrival_s for u in alone.users] == [u.arrival_s for u in joined.users[1:]]
    assert [n.ghz for n in alone.nodes[2:52]] == [n.ghz for n in joined.nodes[3:53]]


def test_a_world_never_touches_the_global_random_numbers() -> None:
    random.seed(3)
    expected = random.random()
    random.seed(3)
    world(users=users(count=5, device={"ghz": [1, 2], "spread": "random"}, arrival={"per_s": 1}))
    assert random.random() == expected


def test_reference_ghz_and_cores_scale_seconds() -> None:
    assert world().seconds(0, 1) == (0.25, 0.5, 0.75)
    assert world(reference_ghz=8).seconds(0, 1) == (1, 2, 3)
    nodes = small()["nodes"]
    nodes[2]["cores"] = 20
    assert world(nodes=nodes).seconds(0, 5) == (0.25, 0.5, 0.75)


def test_parameters_are_charged_as_told_to_the_byte() -> None:
    made = world(models={"small": {"parameters_mb": 223, "input_bytes": 60_000}})
    graph = made.models[0].graph
    assert sum(p.upload_bytes for p in graph.parameters) == 223 * MB
    assert sum(p.held_bytes for p in graph.parameters) == 223 * MB
    assert graph.parameters[1].upload_bytes / graph.parameters[0].upload_bytes == pytest.approx(3, rel=1e-6)
    assert graph.tensors[0].bytes == 60_000
    assert compile_route(graph, [1, 1, 1]).opening[0].bytes == 60_000
    assert [p.upload_bytes for p in world().models[0].graph.parameters] == [1000, 3000, 7]


def test_the_rest_of_a_user_and_of_planning_arrives() -> None:
    made = world(
        users=users(
            planner="ionn",
            objective={"energy": 2, "deadline_s": 1.5, "budget": 0.25},
            think_s=0.5,
            profile_runs=0,
            query="serial",
            uploads_at_once="per_server",
            cr_timeout_s=4,
            retries=2,
            on_refusal="wait",
            retry_wait_s=3,
        ),
        planner={"at": "edge3", "plan_s": 0.25, "predictions": {"bias": 0.5, "sigma": 0.125}, "plan_timeout_s": 9},
        header_bytes=64,
        until_s=100,
        share_links=False,
        compute="measured",
    )
    user = made.users[0]
    assert user.objective == Objective(latency=1, energy=2, deadline_s=1.5, budget=0.25)
    assert (user.planner, user.think_s, user.profile_runs, user.query) == ("ionn", 0.5, 0, "serial")
    assert (user.uploads_at_once, user.cr_timeout_s, user.retries) == ("per_server", 4, 2)
    assert (user.on_refusal, user.retry_wait_s) == ("wait", 3)
    assert (made.planning.at, made.planning.plan_s, made.planning.plan_timeout_s) == (4, 0.25, 9)
    assert (made.planning.predictions, made.planning.bias, made.planning.sigma) == ("error", 0.5, 0.125)
    assert (made.header_bytes, made.until_s, made.share_links, made.compute) == (64, 100, False, "measured")
    assert world().planning.at == -1
    assert world(users=users(uploads_at_once=1)).users[0].uploads_at_once == "one"


@pytest.mark.parametrize("unset", [True, False])
def test_a_dumped_scenario_makes_the_same_world(unset: bool) -> None:
    kind = {"device": {"ghz": [1, 3], "spread": "random"}, "count": 9, "arrival": {"per_s": 1}, "kind": "k"}
    scenario = Scenario.from_dict(
        small(
            users=[*users(count=2, arrival={"every_ms": 3}), *users(model={"small": 1, "large": 2}, **kind)],
            planner={"predictions": {"bias": 0.5}},
            pairs=[{"between": ["client1", "edge2"], "latency_ms": 9}],
            models={"large": {"parameters_mb": 3}},
            sources={"nodes.*.ghz": "assumed"},
        )
    )
    text = json.dumps(scenario.model_dump(mode="json", exclude_unset=unset))
    again = Scenario.from_dict(json.loads(text))
    assert again == scenario
    assert again.resolve(Few()) == scenario.resolve(Few())
    if unset:
        assert again.assumptions() == scenario.assumptions()


def test_from_dict_leaves_the_callers_values_alone() -> None:
    given = small()
    Scenario.from_dict(given, ["users.0.queries=99", "nodes.1.count=1"])
    assert given == small()


def test_overrides_reach_any_field() -> None:
    made = Scenario.from_dict(
        small(users=users() + users(kind="b", device={"ghz": 1})),
        [
            "users.*.queries=5",
            "nodes.1.ghz=[5, 9]",
            "planner.at=edge1",
            "links.client-edge.latency_ms=7",
            "graph_optimization=off",
            "users.1.objective={latency: 0, energy: 1}",
            "users.0.count=1",
            "users.0.kind=a=b",
        ],
    )
    assert [kind.queries for kind in made.users] == [5, 5]
    assert made.nodes[1].ghz == Range(5, 9)
    assert made.planner.at == "edge1"
    assert made.links["client-edge"].latency_ms == 7
    assert made.graph_optimization == "off"
    assert made.users[1].objective.energy == 1
    assert made.users[0].kind == "a=b"


def test_files_are_found_from_the_scenarios_folder(tmp_path: Path) -> None:
    text = json.dumps(small(models={"own": {"source": "nets/own.onnx"}}, users=users(model="own")))
    (tmp_path / "mine.yaml").write_text(text)
    asked: list[str] = []

    class Listening(Few):
        def price(self, source, options, classes):  # type: ignore[no-untyped-def]
            asked.append(source)
            return super().price("small", options, classes)

    made = Scenario.load(tmp_path / "mine.yaml")
    assert made.name == "mine"
    resolved = made.resolve(Listening())
    assert asked == [str(tmp_path / "nets" / "own.onnx")] == [resolved.models[0].source]
    again = Scenario.from_dict(made.model_dump(mode="json"))
    assert again.resolve(Listening()) == resolved


@pytest.mark.long
@pytest.mark.parametrize("name", list(bundled()))
def test_bundled_scenarios_resolve_and_know_their_assumptions(name: str) -> None:
    scenario = Scenario.load(name)
    resolved = scenario.resolve()
    assert len(resolved.users) == scenario.user_count
    assert {model.name for model in resolved.models} == {m for kind in scenario.users for m in kind.model}
    for model in resolved.models:
        assert len(model.seconds["reference"]) == len(model.graph)
    assert scenario.assumptions(resolved)
    again = Scenario.from_dict(json.loads(json.dumps(scenario.model_dump(mode="json"))))
    assert again == scenario
    assert again.resolve() == resolved


def test_a_scenario_of_two_dozen_lines_ships() -> None:
    lines = bundled()["quickstart"].read_text().splitlines()
    assert len([line for line in lines if line.strip() and not line.lstrip().startswith("#")]) <= 26
