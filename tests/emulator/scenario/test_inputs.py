"""What drives a run is in the run: another cache, folder or machine changes no digest, and what is gone is told."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from made_profile import made_profile
from rich.console import Console
from small_nets import model, node, normal, saved, tensor

from layerlift.emulator.report.report import show
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.run import run
from layerlift.emulator.scenario import Scenario, inputs
from layerlift.emulator.scenario.from_run import scenario_of
from layerlift.emulator.studies.fairness.study import fairness
from layerlift.models.errors import LayerliftError, RunError
from layerlift.models.running.network import Network
from layerlift.models.timing import profiles
from layerlift.models.timing.profile import Profile

COVERAGE = 3.14


@pytest.fixture(autouse=True)
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Own networks are measured in no time, on a machine that is busy; into a cache of the test."""
    monkeypatch.setenv("LAYERLIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(profiles, "measure", lambda network, *more, **options: made_profile(network, coverage=COVERAGE))


def net(folder: Path, scale: float = 1.0) -> Path:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Relu", ["a"], ["y"])]
    made = model(nodes, [tensor("x", 1, 64)], ["y"], {"w": normal(64, 32) * scale})
    return saved(made, folder / "own.onnx")


def scenario(folder: Path) -> Scenario:
    users = [
        {"kind": "own", "model": "own.onnx", "planner": "ionn", "queries": 2, "asks": {"trace": "t.csv"}},
        {"kind": "zoo", "model": "squeezenet", "planner": "local", "queries": 1, "device": {"ghz": 2.0}},
    ]
    data: dict[str, Any] = {
        "nodes": [{"tier": "client", "ghz": 1.0}, {"tier": "edge", "ghz": 4.0}],
        "links": {"client-edge": {"bandwidth_mb_s": 10, "latency_ms": 2}},
        "users": users,
        "faults": [
            {"trace": "client-edge", "file": "link.csv"},
            {"journey": "bus.csv", "handover": "forward"},
        ],
        "execution": "none",
        "folder": str(folder),
    }
    return Scenario.from_dict(data)


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A folder with a scenario's files."""
    folder = tmp_path / "world"
    folder.mkdir()
    net(folder)
    (folder / "t.csv").write_text("time_s\n0\n0.5\n")
    (folder / "link.csv").write_text("time_s,latency_ms\n0,3\n1,4\n")
    return folder


@pytest.fixture
def made(world: Path, tmp_path: Path) -> RunResult:
    described = scenario(world)
    (world / "bus.csv").write_text("time_s,client,edge\n0,client1,edge1\n")
    run(described, out=tmp_path / "run", local=True)
    return RunResult.load(tmp_path / "run")


def again(result: RunResult) -> str:
    return run(scenario_of(result), local=True).digest


def never(network: Network, *args: object) -> Profile:
    raise AssertionError("measured again")


def test_another_cache_and_another_folder_change_nothing(
    made: RunResult, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAYERLIFT_CACHE", str(tmp_path / "another"))
    monkeypatch.setattr(profiles, "measure", never)
    for name in ("t.csv", "link.csv", "bus.csv"):
        (world / name).unlink()
    assert made.verify() == again(made) == made.digest
    assert fairness(made, alone=True)["cost"] == "slowdown"


def test_a_directory_that_was_moved_is_replayed(made: RunResult, world: Path, tmp_path: Path) -> None:
    assert made.directory is not None
    moved = tmp_path / "elsewhere"
    shutil.move(made.directory, moved)
    (world / "t.csv").write_text("time_s\n0\n9\n")
    assert again(RunResult.load(moved)) == made.digest


def test_the_profile_is_told_and_doubted(made: RunResult) -> None:
    assert made.directory is not None
    told = json.loads((made.directory / "run.json").read_text())
    own, zoo = told["prices"]
    assert own["classes"]["reference"]["seconds"] == [0.001, 0.001]
    assert own["classes"]["reference"]["host"] == "a machine that is not"
    assert zoo["classes"]["reference"]["origin"] == "shipped"
    assumed = [entry for entry in told["assumptions"] if entry["path"].startswith("profile (")]
    assert [entry["value"] for entry in assumed] == [0.002]
    assert "2026-01-31, coverage 3.14: not to be trusted" in assumed[0]["source"]
    page = io.StringIO()
    show(made, Console(file=page, width=80))
    assert "The profile of own.onnx is not to be trusted" in " ".join(page.getvalue().split())


def test_a_model_that_is_another_or_gone_is_told(made: RunResult, world: Path) -> None:
    net(world, 2.0)
    with pytest.raises(LayerliftError, match=r"the model file own\.onnx is another than the run had") as caught:
        again(made)
    assert len(str(caught.value)) <= 300
    (world / "own.onnx").unlink()
    with pytest.raises(LayerliftError, match=r"the run's model own\.onnx is gone"):
        again(made)


def test_a_file_too_large_to_keep_must_be_what_it_was(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "KEPT_BYTES", 20)
    (world / "bus.csv").write_text("time_s,client,edge\n0,client1,edge1\n")
    run(scenario(world), out=tmp_path / "run", local=True)
    made = RunResult.load(tmp_path / "run")
    assert {each["name"]: each["kept"] for each in made.run["inputs"]} == {
        "t.csv": True,
        "link.csv": False,
        "bus.csv": False,
    }
    assert again(made) == made.digest
    (world / "link.csv").write_text("time_s,latency_ms\n0,3\n1,5\n")
    with pytest.raises(RunError, match=r"link\.csv is another than the run had"):
        again(made)
    (world / "link.csv").unlink()
    with pytest.raises(LayerliftError, match=r"link\.csv cannot be read"):
        again(made)


def test_a_kept_file_that_was_changed_is_told(made: RunResult) -> None:
    assert made.directory is not None
    kept = made.directory / "inputs" / made.run["inputs"][0]["digest"]
    kept.write_bytes(kept.read_bytes() + b"7\n")
    for ask in (made.verify, lambda: again(made)):
        with pytest.raises(RunError, match="is not what the run wrote"):
            ask()


def test_force_leaves_no_old_inputs(made: RunResult, world: Path) -> None:
    assert made.directory is not None
    (world / "t.csv").write_text("time_s\n0\n0.25\n")
    run(scenario(world), out=made.directory, force=True, local=True)
    there = {path.name for path in (made.directory / "inputs").iterdir()}
    assert there == {each["digest"] for each in RunResult.load(made.directory).run["inputs"]}
