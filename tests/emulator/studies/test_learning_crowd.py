"""Training for crowds: whole runs that are those of the planner, the same bits whoever plays them and after a break."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from click.testing import CliRunner

import layerlift
from layerlift.emulator.cli.main import main
from layerlift.emulator.run import run
from layerlift.emulator.scenario.families import HELD_OUT_FROM
from layerlift.emulator.studies.learning import kept
from layerlift.emulator.studies.learning.crowd import course, rollouts, search
from layerlift.emulator.studies.learning.crowd.course import CrowdTrained
from layerlift.emulator.studies.learning.crowd.curve import REMARK, chart, table
from layerlift.emulator.studies.learning.crowd.points import CrowdPoint
from layerlift.emulator.studies.learning.crowd.rollouts import (
    CROWDS,
    PLANNER,
    Episodes,
    Played,
    Worth,
    family,
    played,
    times,
    worth,
)
from layerlift.emulator.studies.learning.crowd.search import COUNT, Search, parameters_of
from layerlift.emulator.studies.learning.crowd.study import train_crowd
from layerlift.emulator.studies.learning.page import page
from layerlift.emulator.studies.learning.worlds import TRIAL_FROM
from layerlift.emulator.studies.many import Workers
from layerlift.emulator.studies.processes import Processes
from layerlift.models.errors import LayerliftError, RunError, ScenarioError
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.crowd.careful import LATE
from layerlift.planners.learned.crowd.features import SERVER
from layerlift.planners.learned.crowd.mixtures import MIXTURE, weights_of
from layerlift.planners.learned.crowd.policy import BY_HAND, Mixture
from layerlift.planners.learned.policy_file import written

SMALL = """
about: A few users of one network before two edge servers.
catches: a planner that never leaves home
world:
  nodes: [{tier: edge, count: 2, ghz: [{draw: {uniform: [10, 20]}}, 30], memory_mb: 2048}]
  links: {client-edge: {bandwidth_mb_s: 20, latency_ms: 2}, edge-edge: {bandwidth_mb_s: 10, latency_ms: 1}}
  users:
    - {count: 3, device: {ghz: [1, 2], spread: random}, model: squeezenet, planner: crowd, queries: 3, think_s: 0.1}
  models: {squeezenet: {input_bytes: 40000}}
  reference_ghz: 72.5
  execution: none
  sample_s: null
"""
POINT = CrowdPoint(5, 1.5, 0.9, 0.7, 0.8, 0.5, 0.75, 0.85)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("worlds") / "few.yaml"
    path.write_text(SMALL)
    return str(path)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "POLICIES", 2)
    monkeypatch.setattr(search, "ELITE", 1)
    monkeypatch.setattr(search, "WORLDS", 1)
    monkeypatch.setattr(course, "TRIALS", 1)


# What a run is worth.


def test_worth_is_a_mean_over_users_of_ratios_and_a_ratio_of_means() -> None:
    home = {"a": (1.0, 2.0), "b": (2.0, 2.0)}
    found = worth({"a": (0.5, 1.0), "b": (6.0, 8.0)}, home, 0.25)
    assert (found.ratio, found.latency, found.tail, found.away) == (1.75, 6.5 / 3.0, 4.0, 0.25)
    assert found.cost("ratio") == 1.75 + rollouts.TAIL * (4.0 - LATE)
    assert worth(home, home).cost("latency") == 1.0
    # Who is never answered had ten times what there is at home.
    silent = worth({"a": (0.5, 1.0)}, home)
    assert (silent.ratio, silent.latency, silent.tail) == (5.25, 20.5 / 3.0, 10.0)


@pytest.mark.long
def test_a_run_that_was_interrupted_is_not_learned_from(
    small: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, short: None
) -> None:
    # A run that is interrupted ends like any other, with what there is of it.
    true = rollouts.run

    def broken_off(*given: Any, **more: Any) -> Any:
        def interrupted(progress: Any, world: Any) -> None:
            os.kill(os.getpid(), signal.SIGINT)

        return true(*given, progress=interrupted, **more)

    monkeypatch.setattr(rollouts, "run", broken_off)
    with pytest.raises(KeyboardInterrupt):
        played(Episodes(small, 3, (tuple(BY_HAND.numbers.tolist()),)))
    stopped = train_crowd("ratio", worlds=[small], rounds=2, out=tmp_path / "new")
    assert (stopped.rounds, stopped.signal) == (0, 2)
    assert np.array_equal(Mixture(**stopped.policy.tables).numbers, BY_HAND.numbers)


def test_what_is_played_is_what_the_planner_does(small: str, tmp_path: Path) -> None:
    keen = Mixture.of(np.concatenate([BY_HAND.numbers[:-1], [0]]))
    path = tmp_path / "keen.onnx"
    path.write_bytes(policy_file.written(weights_of(keen, {})))
    found = played(Episodes(small, 3, (tuple(BY_HAND.numbers.tolist()), tuple(keen.numbers.tolist()))))
    scenario = family(small).draw(3)
    home = times(run(scenario.changed(["users.*.planner=local"]), local=True))
    for planner, said in ((PLANNER, found.worths[0]), (f"crowd:policy={path}+ionn", found.worths[1])):
        result = run(scenario.changed([f"users.*.planner={json.dumps(planner)}"]), local=True)
        assert worth(times(result), home).ratio == said.ratio
    assert found.worths[1].away == 1.0
    assert found.worths[1].ratio < 1.0
    assert found.cpu_s > 0.0


def test_the_crowds_that_are_trained_on_are_many_and_none_is_judged_on() -> None:
    made = [family(CROWDS).document(seed) for seed in range(12)]
    assert len({json.dumps(each["nodes"]) for each in made}) > 6
    assert len({each["users"][0]["count"] for each in made}) > 3
    seeds = [each.seed for number in (0, 1, 19_999) for each in at_round(40, number).asked([CROWDS])]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < TRIAL_FROM < HELD_OUT_FROM for seed in seeds)


def at_round(seed: int, rounds: int) -> Search:
    made = Search(seed)
    made.resume(made.state() | {"rounds": np.array(rounds)})
    return made


# The search.


def test_a_search_begins_with_the_numbers_set_by_hand_and_draws_in_pairs_around_them() -> None:
    begun = Search(1)
    assert np.array_equal(begun.policy().numbers, BY_HAND.numbers)
    assert parameters_of(BY_HAND).shape == (COUNT,)
    jobs = begun.asked(["a", "b"])
    assert [job.family for job in jobs[:3]] == [("a", "b")[job.seed % 2] for job in jobs[:3]]
    assert len({job.policies for job in jobs}) == 1
    drawn = np.array(jobs[0].policies)
    assert drawn.shape == (search.POLICIES, COUNT)
    half = search.POLICIES // 2
    around = drawn[:half, :-1] + drawn[half:, :-1] - 2 * BY_HAND.numbers[:-1]
    assert np.abs(around).max() <= 1
    for each in drawn:
        Mixture.of(each).check("mine")
    assert Search(2).asked(["a"])[0].policies != jobs[0].policies


def answered(policies: Sequence[tuple[int, ...]], worlds: int) -> list[Played]:
    """Users like a policy the better, the more its server's first number weighs."""
    worths = tuple(Worth(-float(policy[0]), float(policy[0]), 1.0, 0.0) for policy in policies)
    return [Played(worths, 1.0)] * worlds


@pytest.mark.parametrize(("goal", "grows"), [("ratio", True), ("latency", False)])
def test_a_search_moves_towards_what_did_well_by_its_goal(goal: str, grows: bool) -> None:
    made = Search(1)
    for _ in range(8):
        jobs = made.asked(["a"])
        made.told(answered(jobs[0].policies, len(jobs)), goal)
    moved = made.policy().numbers[0] - BY_HAND.numbers[0]
    assert moved > 20 if grows else moved < -20
    assert made.rounds == 8
    assert SERVER[0] == "gain"


def test_the_cost_of_a_round_is_the_mean_of_what_was_tried() -> None:
    made = Search(1)
    jobs = made.asked(["a"])
    first = np.mean([policy[0] for policy in jobs[0].policies])
    assert made.told(answered(jobs[0].policies, len(jobs)), "latency") == pytest.approx(first)


def test_a_state_that_does_not_fit_is_refused() -> None:
    state = Search(1).state()
    for strange in (
        {},
        state | {"mean": np.zeros(3)},
        state | {"slow": np.full(COUNT, np.nan)},
        state | {"spread": np.zeros(COUNT)},
        state | {"rounds": np.array(-1)},
    ):
        with pytest.raises(RunError, match="does not fit"):
            Search(1).resume(strange)
    with pytest.raises(RunError, match="is of --seed 1"):
        Search(2).resume(state)


# Training.


@pytest.mark.long
def test_training_again_resumed_or_stopped_gives_the_same_bits(short: None, small: str, tmp_path: Path) -> None:
    def stop(found: CrowdTrained, share: float) -> None:
        assert share == found.rounds / 3 - 1 / 3
        if found.rounds == 2:
            raise KeyboardInterrupt

    whole = train_crowd("ratio", worlds=[small], rounds=3, out=tmp_path / "whole")
    stopped = train_crowd("ratio", worlds=[small], rounds=3, out=tmp_path / "parts", progress=stop)
    assert (stopped.signal, stopped.rounds) == (2, 2)
    policy_file.read(tmp_path / "parts" / kept.POLICY, (MIXTURE,))
    parts = train_crowd("ratio", worlds=[small], rounds=3, out=tmp_path / "parts", resume=True)
    assert whole.policy.label == parts.policy.label != stopped.policy.label
    states = [kept.unpacked(tmp_path / folder / kept.STATE, CrowdPoint) for folder in ("whole", "parts")]
    assert all(np.array_equal(states[0].arrays[key], states[1].arrays[key]) for key in states[0].arrays)
    told = [[getattr(each.points[-1], field.name) for field in fields(CrowdPoint)[3:]] for each in states]
    assert told[0] == told[1]
    found = policy_file.parsed((tmp_path / "whole" / kept.POLICY).read_bytes(), (MIXTURE,))
    assert found.label == whole.policy.label
    assert (found.notes["rounds"], found.notes["goal"]) == ("3", "ratio")
    assert "crowd, for the least ratio, after 3 rounds" in whole.sentences()[0]
    with pytest.raises(RunError, match="has goal 'ratio', asked for is 'latency'"):
        train_crowd("latency", worlds=[small], rounds=4, out=tmp_path / "whole", resume=True)


def jobs_of(small: str) -> list[Episodes]:
    policy = tuple(BY_HAND.numbers.tolist())
    return [Episodes(small, seed, (policy,)) for seed in (4, 5)]


@pytest.mark.long
def test_processes_play_the_same_runs(small: str) -> None:
    lots = []
    for count in (1, 2):
        with Workers(count, None) as made:
            lots.append([made.all(rollouts.played, jobs_of(small)) for _ in range(2)])
    (alone, again), (together, later) = lots
    for other in (again, together, later):
        assert [each.worths for each in alone] == [each.worths for each in other]
    assert alone[0].worths != alone[1].worths


@pytest.mark.long
def test_processes_last_as_long_as_their_training() -> None:
    with Workers(2, None) as made:
        lots = [made.all(os.getpgid, [0] * 4) for _ in range(3)]
    assert len({process for lot in lots for process in lot}) <= 2
    assert os.getpgid(0) not in lots[0]
    for process in lots[0]:
        with pytest.raises(ProcessLookupError):
            os.killpg(process, 0)


@pytest.mark.long
def test_whoever_ends_first_runs_are_learned_from_in_the_order_of_their_seeds(
    short: None, small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "WORLDS", 2)
    alone = train_crowd("latency", worlds=[small], rounds=1, out=tmp_path / "one")

    def last_first(self: Processes, call: Any, jobs: Sequence[Any]) -> Any:
        return reversed([(number, call(job)) for number, job in enumerate(jobs)])

    monkeypatch.setattr(Processes, "each", last_first)
    together = train_crowd("latency", worlds=[small], rounds=1, out=tmp_path / "two", workers=3)
    assert alone.policy.label == together.policy.label
    assert [point.ratio for point in alone.points] == [point.ratio for point in together.points]
    monkeypatch.setattr(Processes, "each", lambda *_: [(0, RunError("gone")), (1, RunError("gone"))])
    with pytest.raises(RunError, match="gave no answer: gone"):
        train_crowd("latency", worlds=[small], rounds=1, out=tmp_path / "three", workers=2)


@pytest.mark.long
def test_points_are_measured_now_and_then(
    short: None, small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "MEASURED", 1)
    found = layerlift.train("crowd", worlds=small, rounds=2, out=tmp_path / "new")
    assert [point.round for point in found.points] == [1, 2]
    assert found.to_arrow().column("ratio").to_pylist() == [point.ratio for point in found.points]
    assert len(found.table()[1]) == 2
    assert found.policy_path.read_bytes() == written(found.policy)
    first, last = found.points
    assert first.cpu_s < last.cpu_s == found.cpu_s
    assert first.hand_ratio == last.hand_ratio
    assert f"ratio to home {last.ratio:.3f}" in found.standing()
    rows = pyarrow.parquet.read_table(tmp_path / "new" / kept.CURVE).to_pylist()
    assert [row["ratio"] for row in rows] == [first.ratio, last.ratio]
    again = course.CrowdCourse("ratio", (small,), 1, tmp_path / "new")
    again.resume()
    assert again.found.points == found.points


def test_a_strange_training_is_refused(tmp_path: Path) -> None:
    record = kept.Record({"planner": "crowd"}, {"mean": np.zeros(COUNT)}, (POINT,), 1.0)
    kept.put(tmp_path, kept.STATE, kept.packed(record))
    back = kept.unpacked(tmp_path / kept.STATE, CrowdPoint)
    assert back.points == (POINT,)
    assert np.array_equal(back.arrays["mean"], np.zeros(COUNT))
    with pytest.raises(RunError, match="begin anew with --force"):
        kept.unpacked(tmp_path / kept.STATE)
    with pytest.raises(RunError, match="has planner 'crowd', asked for is 'dil'"):
        kept.unpacked(tmp_path / kept.STATE, asked={"planner": "dil"})


def test_the_page_shows_what_was_asked_for_and_every_point() -> None:
    asked = {"worlds": ["a<b", "c"]}
    made = page("Training of <crowd>", ["One & two."], asked, chart([POINT]), REMARK, table([POINT]))
    assert "Training of &lt;crowd&gt;" in made
    assert "One &amp; two." in made
    assert "<td>a&lt;b, c</td>" in made
    assert "<td>0.75</td>" in made
    assert "set by hand" in made or "by hand" in made


# The command.


def said(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["train", *arguments])
    assert "Traceback" not in result.output
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["crowd", "--networks", "alexnet"], "crowd knows no networks"),
        (["crowd", "--hold-out", "vgg19"], "crowd knows no networks"),
        (["crowd", "--literal"], "crowd knows no networks"),
        (["crowd", "--goal", "joy"], "joy"),
        (["crowd", "--worlds", "crowdz"], "crowd"),
        (["crowd", "--worlds", "new_networks"], "held out"),
        (["crowd", "--worlds", ","], "no family"),
        (["crowd", "--resume"], "holds no training"),
        (["dil", "--goal", "ratio"], "goal is of crowd alone"),
    ],
)
def test_the_command_refuses_what_makes_no_sense(arguments: list[str], told: str, tmp_path: Path) -> None:
    code, output = said(*arguments, "--out", str(tmp_path / "new"))
    assert code != 0
    assert told in output
    assert not (tmp_path / "new").exists()


@pytest.mark.long
def test_the_command_trains_a_policy_that_plans(short: None, small: str, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    code, output = said("crowd", "--rounds", "1", "--worlds", small, "--goal", "latency", "--out", str(out))
    assert code == 0, output
    assert "crowd, for the least latency, after 1 round," in output
    assert {path.name for path in out.iterdir()} == set(kept.FILES)
    made = CliRunner().invoke(main, ["plan", "--planner", f"crowd:policy={out / kept.POLICY}", "quickstart"])
    assert made.exit_code == 0, made.output


def test_a_training_refuses_a_goal_and_worlds_that_there_are_not(tmp_path: Path) -> None:
    given: dict[str, Any] = {"goal": "joy", "out": tmp_path / "new"}
    with pytest.raises(RunError, match="ratio or latency"):
        train_crowd(**given)
    with pytest.raises(ScenarioError, match="no family"):
        train_crowd("ratio", worlds=["crowdz"], out=tmp_path / "new")
    with pytest.raises(LayerliftError, match="no family"):
        train_crowd("ratio", worlds=[], out=tmp_path / "new")
