"""Trainings that nobody can have: what is wrongly asked for is told before anything is learned or written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import layerlift
from layerlift.emulator.cli.main import main
from layerlift.emulator.studies.learning import study
from layerlift.emulator.studies.learning.methods import Method
from layerlift.emulator.studies.many import Workers
from layerlift.models.errors import PlanError, RunError
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.policy_file import Weights
from layerlift.planners.learned.steps import STEPS


def said(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["train", *arguments])
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def test_without_torch_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("training", "learner", "network"):  # what another test has imported with torch
        monkeypatch.delitem(sys.modules, f"layerlift.emulator.studies.learning.{name}", raising=False)
    code, output = said("dil", "--out", str(tmp_path / "new"))
    assert code == 2
    assert "pip install 'layerlift[learn]'" in output
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["units"], "planner 'units' cannot be trained, expected one that can; known: crowd"),
        (["meta_drl_plain", "--literal"], "cannot be trained to the letter, expected one that can"),
        (["dil", "--episodes", "3"], "--episodes is of --adapt alone"),
        (["meta_drl", "--policy", "x.onnx"], "--policy is of --adapt alone"),
        (["meta_drl", "--adapt", "quickstart", "--hold-out", "vgg19"], "--hold-out and --adapt do not go together"),
        (["meta_drl", "--adapt", "quickstart", "--literal"], "--literal and --adapt do not go together"),
        (["dil", "--adapt", "quickstart"], "goes on from the policy of meta_drl, which is not 'dil'"),
        (["dil", "--worlds", "lone_rand"], "lone_rand"),
        (["dil", "--hold-out", "resnet51"], "resnet50"),
        (["dil", "--resume"], "holds no training"),
        (["dil", "--minutes", "0"], "minutes"),
        (["dil", "--seed", "41"], "seed"),
    ],
)
def test_the_command_refuses_what_makes_no_sense(arguments: list[str], told: str, tmp_path: Path) -> None:
    code, output = said(*arguments, "--out", str(tmp_path / "new"))
    assert code != 0
    assert told in output
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"minutes": 0}, "minutes is 0, expected a number above 0"),
        ({"minutes": float("nan")}, "minutes is nan"),
        ({"minutes": float("inf")}, "minutes is inf"),
        ({"minutes": "ten"}, "minutes is 'ten'"),
        ({"rounds": 0}, "rounds is 0, expected a whole number from 1"),
        ({"rounds": 1.5}, "rounds is 1.5"),
        ({"rounds": True}, "rounds is True"),
        ({"minutes": True}, "minutes is True"),
        ({"progress": 3}, "progress is 3, expected a function"),
        ({"rounds": 10**5000}, "rounds is a number of thousands of digits, expected a whole number"),
        ({"minutes": -(10**5000)}, "minutes is a number of thousands of digits, expected a number above 0"),
        ({"literal": "no"}, "literal is 'no', expected True or False"),
        ({"resume": None}, "resume is None, expected True or False"),
        ({"force": "no"}, "force is 'no', expected True or False"),
        ({"networks": 5}, r"networks is 5, expected names such as \['alexnet'\]"),
        ({"planner": "crowd", "goal": 5}, "goal is 5, expected ratio or latency$"),
        ({"workers": 0}, "workers is 0"),
        ({"seed": 41}, "seed is 41, expected a whole number from 0 to 40"),
        ({"worlds": 5}, "worlds is 5, expected names"),
        ({"worlds": [5]}, r"worlds is \[5\], expected names"),
        ({"goal": "ratio"}, "goal is of crowd alone"),
        ({"planner": 3}, "planner is 3, expected the name of one that learns"),
        ({"planner": ["dil"]}, r"planner is \['dil'\], expected the name"),
        ({"out": 3}, "out is 3, expected a folder"),
        ({"out": ""}, "out is empty, expected a folder"),
        ({"out": "a\0b"}, "cannot write to .*: its name is none that a file can have; give another"),
        ({"out": 300 * "a"}, "cannot write to .*: File name too long; give another"),
        ({"networks": ["vgg20"]}, "--networks names 'vgg20', no zoo network and no file; did you mean vgg1"),
        ({"networks": "ResNet-50", "hold_out": "resnet50"}, "every network is held out"),
    ],
)
def test_a_program_that_asks_for_no_training_is_told_so(given: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=told):
        layerlift.train(**{"planner": "dil", "out": tmp_path / "new", "rounds": 1} | given)
    if given.keys() <= {"minutes", "rounds", "workers", "seed", "resume", "force"}:
        with pytest.raises(RunError, match=told):
            layerlift.train("crowd", out=tmp_path / "new", **given)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("planner", ["dil", "crowd"])
def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_learned(
    planner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workers, "all", lambda *_: pytest.fail("something was learned"))
    monkeypatch.setattr(study, "_trials", lambda *_: {})
    monkeypatch.setattr(study, "version", lambda package: "0")
    monkeypatch.setattr(Method, "begun", lambda *_: Untrained())
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot write to .*; give another folder with --out"):
        layerlift.train(planner, out=tmp_path / "file" / "new")


class Untrained:
    """A training that has learned nothing."""

    rounds = 0

    def policy(self, notes: dict[str, str]) -> Weights:
        return policy_file.parsed(policy_file.shipped("dil"), (STEPS,))

    def state(self) -> dict[str, Any]:
        return {}


def test_a_folder_of_a_name_that_none_can_have_is_refused_by_every_command(tmp_path: Path) -> None:
    asked = CliRunner().invoke(main, ["train", "crowd", "--rounds", "1", "--out", str(tmp_path / (300 * "a"))])
    assert asked.exit_code == 2
    assert "cannot be looked at (File name too long)" in asked.output


def test_a_planner_that_cannot_be_trained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="dil"):
        study.train("dill", out=tmp_path)
