"""The JSON schema of a scenario: it takes what Layerlift takes, and refuses what one mistypes."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from small_scenario import small

from layerlift.emulator.cli.main import main
from layerlift.emulator.scenario import Scenario, bundled, source_text
from layerlift.emulator.scenario.json_schema import DIALECT, json_schema
from layerlift.emulator.scenario.schema.document import read
from layerlift.models.errors import ScenarioError

SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def call(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["scenario", *arguments])
    return result.exit_code, result.output


@pytest.mark.long
def test_it_is_a_schema_and_needs_no_network() -> None:
    VALIDATOR.check_schema(SCHEMA)
    assert [text for text in json.dumps(SCHEMA).split('"') if "://" in text] == [DIALECT]


@pytest.mark.parametrize("name", bundled())
def test_it_takes_every_bundled_scenario(name: str) -> None:
    VALIDATOR.validate(read(source_text(name), name)[0])
    VALIDATOR.validate(Scenario.load(name).model_dump(mode="json"))


@pytest.mark.parametrize(
    "user",
    [
        {"uploads_at_once": 1, "think_s": {"uniform": [0, 3]}, "stay_s": 5, "objective": [{"share": 3}, {"energy": 1}]},
        {"model": {"small": 1, "large": 2}, "arrival": {"per_s": 5}, "asks": {"at_s": 3}, "replan": 2.5},
        {"device": {"ghz": [1, 3], "memory_mb": 5, "spread": "random"}, "replan": "on_change"},
    ],
)
def test_it_takes_every_way_of_writing(user: dict[str, Any]) -> None:
    faults = [
        {"outage": "client-edge", "at_s": 1, "for_s": 2},
        {"on_off": ["edge1", "client"], "on_s": 20, "off_s": 3},
        {"crash": ["edge1", "edge2"], "at_s": 3},
        {"move": "user", "within_m": [1000, 500], "speed_m_s": [1, 2]},
    ]
    told = {"preprocess": ["merge", {"tile": {"rows": 2}}], "planner": {"bandwidth_known": True}}
    data = small(users=[{"model": "small", "queries": 2, **user}], faults=faults, **told)
    Scenario.from_dict(data)
    VALIDATOR.validate(data)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sed": 1},
        {"seed": -1},
        {"seed": True},
        {"until_s": "soon"},
        {"execution": "twice"},
        {"nodes": [{"tier": "edge"}]},
        {"nodes": [{"tier": "fog", "ghz": 1}]},
        {"nodes": [{"tier": "edge", "ghz": [1, 2, 3]}]},
        {"nodes": [{"tier": "edge", "ghz": 1, "max_batch": 0}]},
        {"links": {"client-edge": {"bandwidth_mb_s": 1}}},
        {"links": {"client-edge": {"bandwidth_mb_s": 1, "latency_ms": 0}}},
        {"users": [{"queries": 3}]},
        {"users": [{"model": {}, "queries": 3}]},
        {"users": [{"model": "small", "queries": 3, "plannr": "ionn"}]},
        {"users": [{"model": "small", "queries": 3, "arrival": {}}]},
        {"users": [{"model": "small", "queries": 3, "asks": {"every_s": 1}}]},
        {"users": [{"model": "small", "queries": 3, "think_s": {"uniform": 3}}]},
        {"users": [{"model": "small", "queries": 3, "uploads_at_once": 2}]},
        {"planner": {"predictions": "exakt"}},
        {"planner": {"bandwidth_known": False}},
        {"faults": [{"at_s": 1, "for_s": 1}]},
        {"faults": [{"outage": "client-edge", "at_s": 1, "for_s": 0}]},
        {"faults": [{"crash": [], "at_s": 1}]},
        {"faults": [{"outage": ["edge1", "edge2", "edge3"], "at_s": 1, "for_s": 1}]},
        {"preprocess": 3},
    ],
    ids=str,
)
def test_it_refuses_what_layerlift_refuses(wrong: dict[str, Any]) -> None:
    with pytest.raises(ScenarioError):
        Scenario.from_dict(small(**wrong))
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(small(**wrong))


def test_either_clock_will_do() -> None:
    for given in ({"ghz": 8}, {"ghz_per_core": 2}):
        VALIDATOR.validate(small(nodes=[{"tier": "edge", **given}]))


def test_it_tells_units_meanings_and_defaults() -> None:
    machine, link = (SCHEMA["$defs"][name]["properties"] for name in ("NodesSection", "LinkSection"))
    assert link["latency_ms"]["title"] == "latency (ms)"
    assert (machine["ghz"]["title"], machine["ghz"]["description"]) == ("GHz", "Over all cores.")
    assert machine["ghz_per_core"]["title"] == "GHz per core"
    assert machine["price_per_core_hour"]["title"] == "price (USD per core-hour)"
    assert machine["price_per_core_hour"]["default"] == 0.0
    assert SCHEMA["properties"]["until_s"]["title"] == "until (s)"
    assert SCHEMA["$defs"]["OutageSection"]["title"] == "Outage"
    assert SCHEMA["$defs"]["Poisson"]["properties"]["per_s"]["title"] == "per s"


def test_a_command_prints_it() -> None:
    code, printed = call("--schema")
    assert code == 0
    assert json.loads(printed) == SCHEMA
    assert json.loads(printed)["$schema"] == DIALECT


@pytest.mark.parametrize(
    ("arguments", "says"), [((), "no scenario is named"), (("paper", "--schema"), "NAME and --schema are given")]
)
def test_it_is_asked_for_alone_and_a_scenario_by_name(arguments: tuple[str, ...], says: str) -> None:
    code, printed = call(*arguments)
    assert code == 2
    assert says in printed
