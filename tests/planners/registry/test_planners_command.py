"""`layerlift planners`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from layerlift import planners
from layerlift.emulator.cli.main import main
from layerlift.planners.offloading.baselines import AllRemote


class Optimist(AllRemote):
    optimises = "latency"


def run(*arguments: str):
    return CliRunner().invoke(main, ["planners", *arguments], env={"COLUMNS": "200"})


def test_the_list_shows_every_planner_and_its_page_the_source() -> None:
    shown = run()
    assert shown.exit_code == 0
    for name in planners.available():
        assert name in shown.output
    assert "INFOCOM 2019" in run("min_cut").output


def test_one_planner_is_explained_with_its_options() -> None:
    shown = run("recursive")
    assert shown.exit_code == 0
    for text in ("finest useful piece", "EMDL 2019", "first_pick", "true or false", "penalty"):
        assert text in shown.output


def test_json_is_for_programs() -> None:
    rows = json.loads(run("--json").output)
    assert [row["name"] for row in rows] == planners.available()
    facts = json.loads(run("gibbs", "--json").output)
    assert facts["multi_user"] is True
    assert {"name": "sweeps", "type": "an integer", "default": "300"} in facts["options"]


@pytest.mark.long
def test_the_kit_can_be_run_on_any_planner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "testing")
    assert "meets all" in run("ionn+recursive", "--check").output
    failed = run(f"{__name__}:Optimist", "--check")
    assert failed.exit_code == 2
    assert "never worse than all-local" in failed.output


@pytest.mark.parametrize(("arguments", "message"), [(["ion"], "did you mean ionn"), (["--check"], "needs a planner")])
def test_mistakes_end_in_one_sentence(arguments: list[str], message: str) -> None:
    shown = run(*arguments)
    assert shown.exit_code == 2
    assert message in shown.output
