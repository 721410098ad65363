"""Shared media in a scenario: what it says becomes which ways, and what is wrong is answered in one sentence."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from rich.console import Console
from run_world import phones
from small_scenario import Few, small

from layerlift.emulator import RunResult, run
from layerlift.emulator.report.bottlenecks import binding, unlimited
from layerlift.emulator.report.report import show
from layerlift.emulator.results.described import Given, prices_per_byte
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.json_schema import json_schema
from layerlift.emulator.scenario.schema.fields import MB, MBIT
from layerlift.emulator.world.describe import describe_world
from layerlift.emulator.world.faults import Through, Trace
from layerlift.emulator.world.links import Crossing, MediumSpec
from layerlift.emulator.world.world import World
from layerlift.models.errors import ScenarioError

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "scenario.md").read_text()
EXAMPLE = next(block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if block.startswith("media:"))


def world(**changes: Any) -> World:
    return Scenario.from_dict(small(**changes)).resolve(Few())


def words(world: World, source: str, to: str) -> str:
    """The way between two nodes by name, as `cell up, site down`."""
    index = {node.name: node.index for node in world.nodes}
    return ", ".join(f"{world.media[medium].name} {way}" for medium, way in world.path(index[source], index[to]))


# The page's example


@pytest.fixture(scope="module")
def cameras() -> RunResult:
    return run(Scenario.from_dict(yaml.safe_load(EXAMPLE)), local=True)


def test_the_pages_three_tiers_are_crossed_as_it_says() -> None:
    resolved = Scenario.from_dict(yaml.safe_load(EXAMPLE)).resolve()
    assert words(resolved, "camera-1", "edge1") == "cell-north up"
    assert words(resolved, "camera-1", "edge2") == "cell-north up, north up, south down"
    assert words(resolved, "camera-1", "cloud") == "cell-north up, north up, metro up"
    assert words(resolved, "cloud", "camera-2") == "metro down, south down, cell-south down"
    assert words(resolved, "edge1", "edge3") == ""
    assert words(resolved, "edge1", "edge4") == "north up, south down"
    assert [medium.name for medium in resolved.media] == ["metro", "north", "south", "cell-north", "cell-south"]
    assert resolved.media[0] == MediumSpec("metro", 400 * MBIT, 800 * MBIT, 0.004)


def test_the_pages_three_tiers_run_and_everybody_is_answered(cameras: RunResult) -> None:
    assert cameras.summary["totals"]["answered"] == 240
    carried = cameras.run["media"]
    assert set(carried) == {"metro", "north", "south", "cell-north", "cell-south"}
    assert carried["cell-north"]["up_bytes"] > 0
    told = cameras.run["world"]
    assert told["nodes"][0]["behind"] == "cell-north"
    assert told["faults"][0]["links"] == "metro up"


def test_the_schema_takes_the_page(cameras: RunResult) -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.validate(yaml.safe_load(EXAMPLE))
    validator.validate(Scenario.from_dict(yaml.safe_load(EXAMPLE)).model_dump(mode="json"))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(small(media={"cell": {"up_mb_s": 0}}))


# What it says


def test_media_may_be_listed_in_any_order() -> None:
    made = world(media={"cell": {"up_mb_s": 1, "behind": "site"}, "site": {"down_mbit_s": 8, "price_per_gb": 1024}})
    assert made.media == (
        MediumSpec("site", down_bytes_s=8 * MBIT, price_per_byte=1024 / 2**30),
        MediumSpec("cell", up_bytes_s=MB, behind=0),
    )


def test_members_of_a_group_get_several_media_in_turn() -> None:
    nodes = small()["nodes"]
    nodes[1]["behind"] = ["a", "b"]
    made = world(media={"a": {"up_mb_s": 1}, "b": {"up_mb_s": 1}}, nodes=nodes)
    assert [node.behind for node in made.nodes] == [-1, -1, 0, 1, 0, -1, -1]


def test_a_link_goes_over_its_media_up_and_back_over_them_down() -> None:
    links = small()["links"]
    links["client-edge"]["via"] = ["cell", "site"]
    links["edge-edge"]["via"] = "switch"
    media = {"cell": {"up_mb_s": 1}, "site": {"up_mb_s": 2}, "switch": {"up_mb_s": 3}}
    pairs: list[dict[str, Any]] = [
        {"between": ["edge1", "client1"], "via": []},
        {"between": ["edge2", "client1"], "via": ["switch", "site"]},
        {"between": ["edge3", "client1"], "latency_ms": 7},
        {"between": ["edge1", "edge2"], "one_way": True, "via": "site"},
    ]
    made = world(media=media, links=links, pairs=pairs)
    assert words(made, "client2", "edge1") == "cell up, site up"
    assert words(made, "edge1", "client2") == "site down, cell down"
    assert words(made, "client1", "edge1") == words(made, "edge1", "client1") == ""
    assert words(made, "edge2", "client1") == "switch up, site up"
    assert words(made, "client1", "edge2") == "site down, switch down"
    assert words(made, "client1", "edge3") == "cell up, site up"
    assert words(made, "edge1", "edge3") == words(made, "edge3", "edge1") == "switch up"
    assert words(made, "edge1", "edge2") == "site up"
    assert made.links["client", "edge"].via == (Crossing(0, "up"), Crossing(1, "up"))
    assert describe_world(made)["links"]["edge>client"]["via"] == ["site down", "cell down"]


def test_faults_name_a_medium_or_one_way_of_it(tmp_path: Path) -> None:
    (tmp_path / "lte.csv").write_text("time_s,bandwidth_mb_s\n0,1\n1,0\n")
    faults = [
        {"outage": "cell", "at_s": 1, "for_s": 1},
        {"trace": ["cell", "down"], "file": "lte.csv"},
        {"loss": ["cell", "up"], "share": 0.1},
        {"on_off": "cell", "on_s": 1, "off_s": 1},
    ]
    made = world(media={"cell": {"up_mb_s": 1}}, faults=faults, folder=str(tmp_path))
    found = [fault.pairs for fault in made.faults if not hasattr(fault, "nodes")]
    assert found == [Through(0), Through(0, "down"), Through(0, "up"), Through(0)]
    assert isinstance(made.faults[1], Trace)
    assert made.faults[1].points[0][1] == MB
    told = [fault["links"] for fault in describe_world(made)["faults"]]
    assert told == ["cell", "cell down", "cell up", "cell"]


# What is wrong


CELL = {"cell": {"up_mb_s": 1}}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"media": {"cell": {}}}, "media.cell.up_mb_s is missing, and so is down_mb_s: expected one of the two"),
        ({"media": {"cell": {"up_mb_s": 1, "up_mbit_s": 1}}}, "media.cell.up_mbit_s is given beside up_mb_s"),
        ({"media": {"cell": {"up_mb_s": 0}}}, "media.cell.up_mb_s is 0, expected a number above 0"),
        ({"media": {"cell": {"up_mb_s": 1, "behind": "sight"}, "site": {"up_mb_s": 1}}},
         "media.cell.behind is 'sight', which is no shared medium; did you mean site?"),
        ({"media": {"a": {"up_mb_s": 1, "behind": "a"}}}, "media.a.behind puts 'a' behind itself"),
        ({"media": {"a": {"up_mb_s": 1, "behind": "b"}, "b": {"up_mb_s": 1, "behind": "a"}}}, "behind itself"),
        ({"media": {f"m{k}": {"up_mb_s": 1, **({"behind": f"m{k - 1}"} if k else {})} for k in range(17)}},
         "media.m16.behind is the 16th behind each other and not the last"),
        ({"media": {"edge1": {"up_mb_s": 1}}}, "media.edge1 bears the name of a node: expected one of its own"),
        ({"media": {"client-edge": {"up_mb_s": 1}}}, "bears the name of a tier or of a pair of tiers"),
        ({"links": small()["links"] | {"edge-cloud": {"bandwidth_mb_s": 1, "latency_ms": 1, "via": ["x"]}}},
         "links.edge-cloud.via is 'x', which is no shared medium; there is no `media`"),
        ({"media": CELL, "pairs": [{"between": ["edge1", "edge2"], "via": ["cell", "cell"]}]},
         "pairs.0.via.1 names 'cell' twice"),
        ({"media": CELL, "nodes": [*small()["nodes"][1:], {"tier": "client", "count": 2, "ghz": 1, "behind": "cel"}]},
         "nodes.2.behind is 'cel', which is no shared medium; did you mean cell?"),
        ({"media": CELL, "users": [{"model": "small", "queries": 1, "device": {"ghz": 1, "behind": 5}}]},
         "users.0.device.behind is 5, expected the name of a shared medium, or a list of names"),
        ({"media": CELL, "users": [{"model": "small", "queries": 1, "device": {"ghz": 1, "behind": ["cell", "x"]}}]},
         "users.0.device.behind.1 is 'x', which is no shared medium"),
        ({"media": CELL, "faults": [{"outage": ["cell", "out"], "at_s": 1, "for_s": 1}]},
         "faults.0.outage.1 is 'out', expected up or down, the way through medium cell"),
        ({"media": CELL, "faults": [{"outage": "cel", "at_s": 1, "for_s": 1}]}, "did you mean cell?"),
        ({"media": CELL, "faults": [{"outage": "cell", "at_s": 1, "for_s": 1, "one_way": True}]},
         "faults.0.one_way is given for cell, a shared medium: expected [cell, up] or [cell, down] instead"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_media_is_said_in_one_sentence(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        world(**changes)
    assert says in str(caught.value)
    assert len(str(caught.value)) <= 300


def test_a_set_in_another_unit_takes_the_place_of_the_files() -> None:
    made = Scenario.from_dict(small(media={"cell": {"up_mb_s": 1}}), ["media.cell.up_mbit_s=8"]).resolve(Few())
    assert made.media[0].up_bytes_s == 8 * MBIT


def test_what_nobody_gave_is_among_the_assumptions() -> None:
    told = {each["path"]: each["value"] for each in Scenario.from_dict(small(media=CELL)).assumptions()}
    assert told["media.cell.down_mb_s"] is None
    assert (told["media.cell.latency_ms"], told["media.cell.price_per_gb"]) == (0.0, 0.0)
    assert "media.cell.up_mb_s" not in told


# What the report knows


def narrow(**media: Any) -> Scenario:
    """Two phones behind a cell whose uplink is far narrower than their links."""
    nodes = phones().model_dump(mode="json", exclude_unset=True)["nodes"]
    nodes[0]["behind"] = "cell"
    asked = ["users.0.planner=all_remote", "users.0.queries=120"]
    return phones(*asked, media={"cell": {"up_mb_s": 1, "down_mb_s": 9, **media}}, nodes=nodes, execution="none")


def test_the_report_says_that_a_medium_binds() -> None:
    result = run(narrow(), local=True)
    said = binding(result.table, result.run["world"], result.run["virtual_s"], result.run["media"])
    assert said is not None
    assert "the medium cell up (full for" in said
    assert "cell down" not in said
    console = Console(file=io.StringIO(), width=200)
    show(result, console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Shared media, fullest first" in shown
    assert said in shown
    without = binding(result.table, result.run["world"], result.run["virtual_s"])
    assert without is None or "medium" not in without


def test_servers_behind_a_limited_medium_are_not_called_unlimited() -> None:
    remote = "users.0.planner=all_remote"
    result = run(phones(remote, execution="none"), local=True)
    said = unlimited(result.summary, result.run)
    assert said is not None
    assert "(edge" in said
    nodes = phones().model_dump(mode="json", exclude_unset=True)["nodes"]
    nodes[1]["behind"] = "site"
    media = {"outer": {"up_mb_s": 50, "down_mb_s": 50}, "site": {"latency_ms": 1, "up_mb_s": 90, "behind": "outer"}}
    sites = run(phones(remote, media=media, nodes=nodes, execution="none"), local=True)
    said = unlimited(sites.summary, sites.run)
    assert said is None or "edge" not in said


def test_users_pay_for_media_what_the_network_charges() -> None:
    """Nothing else has a price: what all users paid for parts and queries is what nodes charged for data."""
    result = run(narrow(price_per_gb=1.0), local=True)
    world = result.run["world"]
    assert prices_per_byte(world)("client1", "edge1") == pytest.approx(1 / 2**30)
    assert prices_per_byte(world)("edge1", "edge2") == 0.0
    assert Given.of(world).priced
    paid = [user["money"] for user in result.summary["users"]]
    assert min(each["uploads"] for each in paid) > 1e-3, "4.8 MB at 1 USD per GB"
    total = sum(each["queries"] + each["uploads"] for each in paid)
    assert total == pytest.approx(result.summary["totals"]["money"], rel=1e-3)
