"""docs/scenario.md names every field, and its examples are what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.schema import arrivals, durations, faults, link_sections, sections
from layerlift.models.errors import ScenarioError

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "scenario.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(
    "section",
    [
        Scenario,
        *(sections.NodesSection, sections.DeviceSection, link_sections.LinkSection, link_sections.PairSection),
        link_sections.MediumSection,
        *(sections.UsersSection, sections.SharedObjectiveSection),
        *(sections.PlanningSection, sections.ErrorSection, sections.ModelSection),
        *(arrivals.AtOnce, arrivals.Every, arrivals.Poisson),
        *(arrivals.Bursting, arrivals.Burst, arrivals.Daily, arrivals.Diurnal, arrivals.Recorded),
        *(durations.ExponentialDraw, durations.UniformDraw),
        *(faults.OutageSection, faults.OnOffSection, faults.LossSection, faults.TraceSection),
        *(faults.CrashSection, faults.MoveSection, faults.JourneySection),
    ],
)
def test_every_field_is_documented(section: type[BaseModel]) -> None:
    for name in section.model_fields:
        assert re.search(rf"[`.{{ ]{name}[`:.,=) ]", PAGE), (
            f"docs/scenario.md does not mention {section.__name__}.{name}"
        )


def test_the_whole_example_is_a_world() -> None:
    resolved = Scenario.from_dict(yaml.safe_load(BLOCKS[0])).resolve()
    assert len(resolved.users) == 300
    assert [node.name for node in resolved.nodes[-5:]] == ["edge1", "edge2", "edge3", "cloud", "planner"]


def test_one_entry_makes_a_crowd_whose_members_all_differ() -> None:
    (entry,) = yaml.safe_load(next(block for block in BLOCKS if block.startswith("users:")))["users"]
    resolved = Scenario.from_dict(yaml.safe_load(BLOCKS[0]) | {"users": [entry]}).resolve()
    devices = [resolved.nodes[user.client] for user in resolved.users]
    assert len(resolved.users) == 300
    for drawn in (
        [node.ghz for node in devices],
        [node.battery_j for node in devices],
        [user.arrival_s for user in resolved.users],
        [user.stay for user in resolved.users],
    ):
        assert len(set(drawn)) == 300
    assert len({(user.model, user.objective) for user in resolved.users}) == 4


def test_the_pieces_fit_into_the_paper_scenario() -> None:
    pairs, sources = (next(block for block in BLOCKS if block.startswith(key)) for key in ("pairs:", "sources:"))
    override = [
        f"{block.split(':', 1)[0]}={yaml.safe_load(block)[block.split(':', 1)[0]]}" for block in (pairs, sources)
    ]
    scenario = Scenario.load("paper", override)
    assert len(scenario.pairs) == 2
    assert {entry["path"] for entry in scenario.assumptions()} >= {"nodes.2.ghz", "links.edge-edge.latency_ms"}


def test_the_faults_fit_into_the_paper_scenario(tmp_path: Path) -> None:
    (tmp_path / "lte.csv").write_text("time_s,bandwidth_mb_s\n0,1\n1,2\n")
    faults = yaml.safe_load(next(block for block in BLOCKS if block.startswith("faults:")))["faults"]
    scenario = Scenario.load("paper", [f"faults={json.dumps(faults)}", f"folder={tmp_path}"])
    assert [type(fault).__name__ for fault in scenario.resolve().faults] == [
        "Outage",
        "OnOff",
        "Loss",
        "Trace",
        "Crash",
    ]


def test_the_quoted_errors_are_the_real_ones() -> None:
    quoted = PAGE.split("```\n")[1].splitlines()
    for line, setting in zip(quoted, ["links.client-edge.latency_ms=0", "users.0.plannr=pso"], strict=True):
        with pytest.raises(ScenarioError) as caught:
            Scenario.load("paper", [setting])
        assert line.split(": ", 1)[1] == str(caught.value).split(": ", 1)[1]
