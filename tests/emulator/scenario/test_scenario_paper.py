"""`paper` is the environment that the paper prints, and everything else in it says whose idea it was."""

from __future__ import annotations

import pytest

from layerlift.emulator.run import run
from layerlift.emulator.scenario import Scenario, bundled
from layerlift.emulator.studies.reproduce import figure5
from layerlift.emulator.world.world import World
from layerlift.models import load
from layerlift.models.timing.profiles import reference
from layerlift.planners.registry.planners import make

MB = 2**20


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return Scenario.load("paper")


@pytest.fixture(scope="module")
def world(scenario: Scenario) -> World:
    return scenario.resolve()


def test_twelve_nodes_first_two_clients_last_five_cloud(world: World) -> None:
    assert [node.name for node in world.nodes] == [*(f"r{i}" for i in range(1, 13)), "planner"]
    assert [node.tier for node in world.nodes] == ["client"] * 2 + ["edge"] * 5 + ["cloud"] * 5 + ["planner"]
    assert all(node.cores == 1 for node in world.nodes)


def test_printed_speeds(world: World) -> None:
    assert [node.ghz for node in world.nodes[:12]] == [
        *(1.1, 2.3),
        *(4.2, 7.725, 11.25, 14.775, 18.3),
        *(40, 60, 80, 100, 120),
    ]


@pytest.mark.parametrize(
    ("a", "b", "mb_s"), [("r1", "r3", 10), ("r2", "r8", 0.5), ("r3", "r12", 0.5), ("r8", "r9", 5), ("r3", "r7", 10)]
)
def test_printed_bandwidths(world: World, a: str, b: str, mb_s: float) -> None:
    index = {node.name: node.index for node in world.nodes}
    for source, to in ((a, b), (b, a)):
        assert world.link(index[source], index[to]).bandwidth_bytes_s == mb_s * MB


def test_links_are_independent_pairs_and_nothing_else_limits_them(world: World) -> None:
    assert not world.share_links
    assert {node.uplink_bytes_s for node in world.nodes} == {float("inf")}


def test_alexnet_on_the_stated_reference(scenario: Scenario, world: World) -> None:
    spec = world.models[0]
    assert (spec.name, spec.reference_ghz) == ("alexnet", {"reference": 72.5})
    assert 223 < sum(p.upload_bytes for p in spec.graph.parameters) / MB < 234
    sized = Scenario.load("paper", ["alexnet_mb=223"]).resolve().models[0]
    assert sum(p.upload_bytes for p in sized.graph.parameters) == 223 * MB
    assert sum(world.seconds(0, 0)) == pytest.approx(sum(spec.seconds["reference"]) * 72.5 / 1.1)


@pytest.mark.long
@pytest.mark.parametrize("name", bundled())
def test_the_anchor_is_ionns_board_by_the_shipped_profile(name: str) -> None:
    """AlexNet in 822 ms at 2.0 GHz: the number in every file follows from that and from the profile that ships."""
    anchored = Scenario.load(name)
    profile = reference(load("alexnet"))
    assert anchored.reference_ghz == float(f"{0.822 * 2.0 / sum(profile.seconds):.3g}")
    assert "IONN" in anchored.sources["reference_ghz"]
    assert anchored.reference_ghz / profile.ghz == pytest.approx(27.9, abs=0.05)
    assert figure5.Case("alexnet", 27.9, "shared").reference_ghz == anchored.reference_ghz


def test_two_users_ask_back_to_back_and_plan_with_ionn(scenario: Scenario, world: World) -> None:
    assert [(u.client, u.planner, u.think_s, u.arrival_s) for u in world.users] == [
        (0, "ionn", 0, 0),
        (1, "ionn", 0, 0),
    ]
    assert scenario.execution == "every"
    make(world.users[0].planner)


def test_every_number_that_the_paper_leaves_open_is_listed(scenario: Scenario, world: World) -> None:
    listed = {entry["path"]: entry for entry in scenario.assumptions(world)}
    opened = {
        "reference_ghz",
        "header_bytes",
        "share_links",
        "users.0.queries",
        "users.0.retries",
        "planner.plan_s",
        "planner.loopback_ms",
        *(f"links.{pair}.latency_ms" for pair in scenario.links),
        *(f"links.{pair}.price_per_gb" for pair in scenario.links),
        *(f"nodes.{i}.{field}" for i in range(3) for field in ("ghz", "cores", "memory_mb", "idle_w", "compute_w")),
        *(f"nodes.{i}.{field}" for i in range(3) for field in ("price_per_core_hour", "price_per_gb_hour")),
    }
    assert opened <= set(listed)
    assert all(entry["source"] for entry in listed.values())
    assert "3.977" in str(listed["nodes.0.idle_w"]["value"])
    assert "IONN" in listed["nodes.0.compute_w"]["source"]
    assert not any("bandwidth" in path for path in listed), "bandwidths are printed"


def test_the_reference_speed_is_an_assumption_also_where_nobody_gave_one() -> None:
    scenario = Scenario.load("paper", ["reference_ghz=null", "sources={}"])
    resolved = scenario.resolve()
    entry = next(e for e in scenario.assumptions(resolved) if e["path"].startswith("reference_ghz ("))
    assert entry["value"] == resolved.models[0].reference_ghz["reference"]
    assert entry["value"] != 72.5


def test_an_override_is_its_own_source() -> None:
    scenario = Scenario.load("paper", ["users.0.queries=5", "links.client-edge={bandwidth_mb_s: 1, latency_ms: 8}"])
    listed = {entry["path"]: entry for entry in scenario.assumptions()}
    assert listed["users.0.queries"] == {"path": "users.0.queries", "value": 5, "source": "--set users.0.queries=5"}
    assert listed["links.client-edge.latency_ms"]["source"].startswith("--set links.client-edge=")
    assert listed["links.edge-edge.latency_ms"]["source"] == "assumed"


def test_every_client_asks_before_during_and_after_its_upload() -> None:
    result = run(Scenario.load("paper", ["execution=none"]), local=True)
    queries, uploads = result.queries.to_pylist(), result.uploads.to_pylist()
    for client in ("r1", "r2"):
        confirmed = [row["ended_s"] for row in uploads if row["client"] == client and row["status"] == "confirmed"]
        begun = [row["begun_s"] for row in queries if row["client"] == client]
        assert len(begun) == 120
        assert len(confirmed) >= 2, "ionn uploads AlexNet in several pieces"
        assert sum(at < min(confirmed) for at in begun) >= 1
        assert sum(min(confirmed) <= at < max(confirmed) for at in begun) >= 30
        assert sum(at >= max(confirmed) for at in begun) >= 20
