"""`run`: one call from a scenario to tables, in memory or on disk, whole or interrupted, executed or replayed."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from run_world import phones

from layerlift.emulator import LayerliftError, RunResult, Scenario, run
from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.runtime.conductor import Progress
from layerlift.emulator.runtime.measured import Measured, measured_costs
from layerlift.emulator.runtime.pacing import Pacer
from layerlift.emulator.world.world import World
from layerlift.models import load
from layerlift.models.errors import RunError, ScenarioError


@pytest.fixture(scope="module")
def whole() -> RunResult:
    return run(phones(), local=True)


def test_a_run_in_memory_has_tables_and_a_summary(whole: RunResult) -> None:
    assert whole.complete
    assert whole.directory is None
    for table in TABLES:
        assert isinstance(getattr(whole, table), pa.Table)
    assert whole.queries.column("status").to_pylist() == ["answered"] * 24
    assert set(whole.plans.column("status").to_pylist()) == {"accepted"}
    assert whole.verify() == whole.digest


@pytest.mark.long
def test_a_run_whose_queries_may_hold_more_than_there_is_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []

    def told(*overrides: str) -> bool:
        heard.clear()
        run(phones("nodes.0.count=4", "users.0.queries=1", *overrides), local=True, warn=heard.append)
        return any("of 4 users may hold 0.0 GB of tensors at once, more than 0.01 GB" in said for said in heard)

    assert not told()
    monkeypatch.setenv("LAYERLIFT_LIVE_MEMORY_GB", "0.01")
    assert told()
    assert not told("execution=once")
    assert not told("execution=none")


def test_every_query_was_really_run_and_is_exact(whole: RunResult) -> None:
    assert whole.run["executed_pieces"] == len(whole.segments)
    kinds = whole.measured.column("kind").to_pylist()
    assert kinds.count("execution_s") == len(whole.segments)
    errors = whole.measured.filter(pc.equal(whole.measured["kind"], "output_error"))
    assert errors.column("value").to_pylist() == [0.0] * 24
    assert max(whole.segments.column("step").to_pylist()) > 0, "queries were cut"
    assert {"Conv", "Concat"} <= set(whole.run["operators"])


def test_run_json_says_what_was_run(whole: RunResult) -> None:
    told = whole.run
    assert told["scenario"]["name"] == "phones"
    assert told["status"] == "complete"
    assert (told["seed"], told["execution"], told["options"]["local"]) == (1, "every", True)
    assert {"layerlift", "onnxruntime", "python", "ray"} <= set(told["versions"])
    assert any(entry["path"] == "share_links" for entry in told["assumptions"])
    assert told["virtual_s"] == max(whole.queries.column("ended_s").to_pylist())
    assert told["wall_s"] > told["setup_s"] > 0.0
    books = told["books"]
    assert books["sent_bytes"] == books["delivered_bytes"] + books["cancelled_bytes"] > 9_000_000
    assert told["fidelity"]["trusted"] is True


@pytest.mark.long
def test_the_same_on_disk_and_readable_by_any_reader(whole: RunResult, tmp_path: Path) -> None:
    written = run(phones(), out=tmp_path / "made", local=True)
    assert written.digest == whole.digest
    found = RunResult.load(tmp_path / "made")
    assert found.verify() == whole.digest
    assert pq.read_table(tmp_path / "made" / "queries").equals(whole.queries)
    assert json.loads((tmp_path / "made" / "run.json").read_text())["digest"] == whole.digest


@pytest.mark.long
def test_what_is_executed_changes_no_digest(whole: RunResult) -> None:
    once, none = (run(phones(execution=how), local=True) for how in ("once", "none"))
    assert once.digest == none.digest == whole.digest
    assert 0 == none.run["executed_pieces"] < once.run["executed_pieces"] < whole.run["executed_pieces"]
    assert none.measured.filter(pc.equal(none.measured["kind"], "output_error")).num_rows == 0


def test_another_seed_or_number_is_another_run(whole: RunResult) -> None:
    changed = run(phones("users.0.queries=11", execution="none"), local=True)
    assert changed.digest != whole.digest


def test_a_scenario_is_taken_by_name_or_path_too() -> None:
    loaded = Scenario.load("quickstart", ["execution=none", "users.0.queries=2"])
    assert run(loaded, local=True).queries.num_rows == 10
    with pytest.raises(ScenarioError, match="did you mean quickstart"):
        run("quickstar")


def test_planning_is_timed_outside_the_digest(whole: RunResult) -> None:
    rows = whole.measured.filter(pc.equal(whole.measured["kind"], "planning_s")).to_pylist()
    assert len(rows) == 2, "two clients of different speed ask two different questions"
    assert all(row["name"] == "ionn" and 0.0 < row["value"] < 5.0 for row in rows)


@pytest.mark.long
def test_measured_costs_drive_the_clock_and_replay_to_the_same_digest(whole: RunResult, tmp_path: Path) -> None:
    scenario = phones(compute="measured")
    made = run(scenario, out=tmp_path / "made", local=True)
    assert made.digest != whole.digest, "this machine is not the profile's"
    work = {(r["user"], r["query"], r["step"]): r["work_s"] for r in made.segments.to_pylist()}
    costs = measured_costs(tmp_path / "made")
    assert len(costs.pieces) == len(work) == made.run["executed_pieces"]
    assert sorted(costs.pieces.values()) == pytest.approx(sorted(work.values()), rel=1e-9)
    again = run(scenario, replay=costs, local=True)
    assert again.digest == made.digest
    assert (again.run["executed_pieces"], again.run["execution"]) == (0, "replay")


def test_costs_of_another_run_are_refused(tmp_path: Path) -> None:
    profiles = {"squeezenet": (0.001,) * len(load("squeezenet").graph)}
    with pytest.raises(RunError, match="holds no profile of squeezenet"):
        run(phones(compute="measured"), replay=Measured(), local=True)
    with pytest.raises(RunError, match=r"measured no cost for user [01], query 0, step 0"):
        run(phones(compute="measured"), replay=Measured({}, profiles), local=True)
    run(phones(execution="none"), out=tmp_path / "made", local=True)
    with pytest.raises(RunError, match="expected the costs of a run with compute: measured"):
        measured_costs(tmp_path / "made")


def _after(seconds: float, error: BaseException):
    def look(state: Progress, world: World) -> None:
        if state.now_s > seconds:
            raise error

    return look


@pytest.mark.long
@pytest.mark.parametrize("on_disk", [True, False])
def test_an_interrupted_run_leaves_what_it_had(whole: RunResult, tmp_path: Path, on_disk: bool) -> None:
    out = tmp_path / "made" if on_disk else None
    half = whole.run["virtual_s"] / 2
    left = run(phones(), out=out, local=True, progress=_after(half, KeyboardInterrupt()))
    assert not left.complete
    assert (left.run["status"], left.run["reason"]) == ("interrupted", "interrupted by the user")
    assert half < left.run["virtual_s"] < half + 0.5
    found = left if out is None else RunResult.load(out)
    assert found.verify() == left.digest != whole.digest
    for table in ("queries", "segments", "uploads", "plans"):
        rows = found.table(table).num_rows
        assert found.table(table).equals(whole.table(table).slice(0, rows)), "the first rows of the whole run"
    assert 0 < found.queries.num_rows < 24
    assert found.summary["totals"]


@pytest.mark.long
def test_a_run_that_fails_says_so_in_its_directory(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="the disk is on fire"):
        run(phones(), out=tmp_path / "made", local=True, progress=_after(1.0, OSError("the disk is on fire")))
    left = RunResult.load(tmp_path / "made")
    assert (left.run["status"], left.run["reason"]) == ("interrupted", "OSError: the disk is on fire")
    assert left.verify() == left.digest


def test_progress_is_told_before_each_window() -> None:
    seen: list[tuple[float, int]] = []
    made = run(
        phones(execution="none"), local=True, progress=lambda state, _: seen.append((state.now_s, state.queries))
    )
    assert len(seen) == made.run["windows"]
    assert seen == sorted(seen)
    assert seen[-1][1] > 8


def test_a_paced_run_keeps_step_with_a_clock(whole: RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    where = sys.modules["layerlift.emulator.run"]  # the package's own `run` is the function
    monkeypatch.setattr(where, "Pacer", lambda pace: Pacer(pace, lambda: sum(slept), slept.append))
    made = run(phones(execution="none"), local=True, pace=20)
    assert made.digest == whole.digest
    late = made.measured.filter(pc.equal(made.measured["kind"], "lateness_s"))
    assert 20 * sum(slept) == pytest.approx(max(late["at_s"].to_pylist()))
    fidelity = made.run["fidelity"]
    assert fidelity["worst_s"] == pytest.approx(0.0, abs=1e-9)
    assert (fidelity["pace"], fidelity["windows"]) == (20, made.run["windows"])


@pytest.mark.long
def test_strict_refuses_a_paced_run_that_was_late_and_keeps_it(tmp_path: Path) -> None:
    def slow(state: Progress, world: World) -> None:
        time.sleep(0.002)

    options = {"local": True, "pace": 1e6, "progress": slow}
    late = run(phones(execution="none"), **options)
    assert late.run["fidelity"]["trusted"] is False
    with pytest.raises(RunError, match=r"not to be trusted: p99 of lateness .* use a slower --pace"):
        run(phones(execution="none"), out=tmp_path / "made", strict=True, **options)
    assert RunResult.load(tmp_path / "made").verify() == late.digest


@pytest.mark.long
@pytest.mark.parametrize(
    ("planner", "why"),
    [
        ("worlds:Raising", "worlds:Raising raised ZeroDivisionError: a bug of mine"),
        ("worlds:Illegal", "layer 0 is placed on a server but in no upload"),
        ("worlds:Fixed:placement=0/1", "the placement has 2 layers, squeezenet has"),
    ],
)
def test_a_failed_plan_leaves_its_users_local_unless_strict(tmp_path: Path, planner: str, why: str) -> None:
    scenario = phones(f"users.0.planner='{planner}'", execution="none")
    made = run(scenario, local=True)
    assert made.complete
    assert set(made.plans.column("status").to_pylist()) == {"failed"}
    assert all(why in reason for reason in made.plans.column("reason").to_pylist())
    assert pc.sum(made.queries["remote_layers"]).as_py() == 0
    assert made.queries.num_rows == 24
    with pytest.raises(RunError) as error:
        run(scenario, out=tmp_path / "made", local=True, strict=True)
    assert why in str(error.value)
    assert "failed for user-" in str(error.value)
    assert RunResult.load(tmp_path / "made").verify() == made.digest


def test_strict_has_nothing_against_a_good_run(whole: RunResult) -> None:
    assert run(phones(execution="none"), local=True, strict=True).digest == whole.digest


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"actors": "lots"}, "expected auto or a whole number"),
        ({"time_plane": "moon"}, "expected auto, actors or local"),
        ({"pace": 0.0, "local": True}, "expected a positive number"),
        ({"address": "127.0.0.1:1"}, "cannot join Ray at 127.0.0.1:1"),
    ],
)
def test_a_choice_that_cannot_be_leaves_nothing_behind(tmp_path: Path, options: dict, why: str) -> None:
    with pytest.raises(RunError, match=why):
        run(phones(execution="none"), out=tmp_path / "made", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_taken_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(phones(execution="none"), out=tmp_path, local=True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with monkeypatch.context() as patched:
        patched.setattr(
            sys.modules["layerlift.emulator.run"], "assemble", lambda *_: pytest.fail("Ray was started for nothing")
        )
        with pytest.raises(LayerliftError, match="already holds a run"):
            run(phones(execution="none"), out=tmp_path)
    with pytest.raises(RunError, match="expected auto"):
        run(phones(execution="none"), out=tmp_path, force=True, actors="lots")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    again = run(phones("users.0.queries=2", execution="none"), out=tmp_path, force=True, local=True)
    assert RunResult.load(tmp_path).verify() == again.digest != first.digest


def test_a_paced_run_tells_how_late_each_window_began(whole: RunResult) -> None:
    paced = run(phones(execution="none"), local=True, pace=500.0)
    assert paced.digest == whole.digest
    late = paced.measured.filter(pc.equal(paced.measured["kind"], "lateness_s"))
    fidelity = paced.run["fidelity"]
    assert late.num_rows == fidelity["windows"] > 0
    assert max(late["value"].to_pylist()) == fidelity["worst_s"]
    assert late["at_s"].to_pylist() == sorted(late["at_s"].to_pylist())
