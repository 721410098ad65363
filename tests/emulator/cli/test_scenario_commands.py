"""`layerlift scenarios` and `layerlift scenario NAME`."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from layerlift.emulator.cli.commands.scenarios import COMMANDS, scenario, scenarios
from layerlift.emulator.scenario import bundled
from layerlift.models.errors import ScenarioError


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")


def test_the_list_names_every_bundled_scenario_with_its_size() -> None:
    output = CliRunner().invoke(scenarios).output
    for name in bundled():
        assert name in output
    row = next(line for line in output.splitlines() if line.startswith("│ paper "))
    assert [cell.strip() for cell in row.split("│")][1:6] == ["paper", "2", "5", "5", "alexnet"]


@pytest.mark.long
def test_one_scenario_is_shown_as_written_with_its_assumptions() -> None:
    output = CliRunner().invoke(scenario, ["paper", "--set", "users.0.queries=5"]).output
    assert "client-edge: {bandwidth_mb_s: 10, latency_ms: 2}" in output
    assert "2 users, 2 clients, 5 edge servers, 5 cloud servers" in output
    row = next(line for line in output.splitlines() if line.startswith("│ users.0.queries"))
    assert [cell.strip() for cell in row.split("│")][2:4] == ["5", "--set users.0.queries=5"]


def test_only_the_assumptions() -> None:
    output = CliRunner().invoke(scenario, ["paper", "--assumptions"]).output
    assert "bandwidth_mb_s" not in output
    assert "nodes.0.idle_w" in output


def test_a_wrong_name_is_left_to_the_command_line_to_print() -> None:
    result = CliRunner().invoke(scenario, ["papr"])
    assert isinstance(result.exception, ScenarioError)


def test_the_command_line_finds_both() -> None:
    assert [command.name for command in COMMANDS] == ["scenarios", "scenario"]
