"""`compare`, `sweep` and `fairness` as a program calls them: what they take, give, write and refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from run_world import PHONES, phones, phones_file

from layerlift import RunResult, Scenario, compare, fairness, run, sweep
from layerlift.emulator.cli.main import main
from layerlift.emulator.scenario.schema.document import parse
from layerlift.emulator.studies.compare import jobs
from layerlift.emulator.studies.compare.comparison import Comparison
from layerlift.emulator.studies.compare.sweep import Sweep
from layerlift.models.errors import LayerliftError, RunError, ScenarioError

USERS = [
    {
        "kind": "phone", "count": 2, "model": "squeezenet", "planner": "ionn", "queries": 3,
        "arrival": {"per_s": 4}, "device": {"ghz": [1, 2], "spread": "random"},
    }
]  # fmt: skip


SMALL: dict[str, Any] = {
    "nodes": [node for node in PHONES["nodes"] if node["tier"] != "client"], "users": USERS, "execution": "none"
}  # fmt: skip


def small(**changes: Any) -> Scenario:
    return phones(**SMALL | changes)


def labels(found: Comparison) -> list[str]:
    return [variant.label for variant in found.variants]


def told(found: Comparison) -> str:
    return json.dumps(found.as_dict(), sort_keys=True)


@pytest.fixture
def ran(tmp_path: Path) -> list[RunResult]:
    """The same users under two planners."""
    return [
        run(small(), out=tmp_path / "ionn", local=True),
        run(small(users=_stay()), out=tmp_path / "stay", local=True),
    ]


def _stay() -> list[dict[str, Any]]:
    return [USERS[0] | {"planner": "local"}]


# compare


@pytest.mark.long
def test_a_scenario_its_path_and_the_command_line_are_compared_alike(tmp_path: Path) -> None:
    path = phones_file(tmp_path, **SMALL)
    planners = ("ionn", "local")
    found = compare(Scenario.load(path), planners=planners, seeds=2, local=True)
    assert found.complete
    assert labels(found) == ["ionn", "local"]
    assert found.seeds == [1, 2]
    assert found.slow
    assert told(found) == told(compare(path, planners=planners, seeds=2, local=True))
    assert told(found) == told(compare(str(path), planners=list(planners), seeds=[1, 2], local=True))
    arguments = ["compare", str(path), "--local", "--planner", "ionn", "--planner", "local", "--seeds", "2", "--json"]
    printed = json.loads(CliRunner().invoke(main, arguments, catch_exceptions=False).stdout)
    assert printed == json.loads(told(found))


@pytest.mark.long
def test_policies_overrides_and_latencies(tmp_path: Path) -> None:
    ended: list[tuple[int, int]] = []
    found = compare(
        small(), policies=["greedy", "drf"], planners="local", seeds=[7], alone=False, overrides=["users.0.queries=5"],
        local=True, out=tmp_path / "made", progress=lambda *counts: ended.append(counts),
    )  # fmt: skip
    assert labels(found) == ["greedy", "drf"]
    assert not found.slow
    assert found.mean("answered", 0).mean == 10
    assert ended == [(0, 2), (1, 2), (2, 2)]
    written = {path.name for path in (tmp_path / "made").iterdir()}
    assert written == {"compare.json", "compare.parquet", "compare.html"}
    with pytest.raises(RunError, match="already holds a comparison"):
        compare(small(), seeds=1, local=True, out=tmp_path / "made")


@pytest.mark.long
def test_finished_runs_are_compared_from_memory_and_from_disk(ran: list[RunResult], tmp_path: Path) -> None:
    found = compare(ran)
    assert labels(found) == ["ionn", "stay"]
    assert told(found) == told(compare([tmp_path / "ionn", str(tmp_path / "stay")]))
    kept = [RunResult(None, one.run, {table: one.table(table) for table in one.run["tables"]}) for one in ran]
    named = compare([kept[0], ran[1]], out=tmp_path / "made")
    assert labels(named) == ["run 1", "stay"]
    assert told(named).replace("run 1", "ionn") == told(found)
    assert (tmp_path / "made" / "compare.html").is_file()
    assert labels(compare(str(tmp_path / "stay"), alone=False)) == ["stay"]
    assert labels(compare(ran[0], alone=False)) == ["ionn"]


def test_what_had_ended_when_the_user_stopped_it_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    perform, begun = jobs.perform, []

    def stopped(job: jobs.Job) -> jobs.Trial:
        begun.append(job)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return perform(job)

    monkeypatch.setattr(jobs, "perform", stopped)
    found = compare(small(), planners=["ionn", "local"], seeds=1, local=True)
    assert not found.complete
    assert [trial.variant for trial in found.trials] == [0]
    assert any("1 of 2 runs had ended" in note for note in found.notes)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"planners": ["ionm"]}, "did you mean ionn"),
        ({"planners": [1]}, r"planners is \[1\], expected a list of texts"),
        ({"policies": ["dfr"]}, "did you mean drf"),
        ({"overrides": ["users.0.queris=2"]}, "did you mean queries"),
        ({"seeds": 0}, "seeds is 0, expected how many, from 1 to 1000"),
        ({"seeds": True}, "seeds is True"),
        ({"seeds": []}, "expected how many, or a list of whole numbers"),
        ({"seeds": [1, -1]}, "expected how many, or a list of whole numbers"),
        ({"alone": False, "each": True}, "expected one of them"),
        ({"execution": "some"}, "execution is 'some', expected every, once, none"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence_before_anything_is_written(
    tmp_path: Path, given: dict[str, Any], why: str
) -> None:
    with pytest.raises(LayerliftError, match=why):
        compare(small(), local=True, out=tmp_path / "made", **given)
    assert not list(tmp_path.iterdir())


def test_runs_and_scenarios_are_told_apart(ran: list[RunResult]) -> None:
    with pytest.raises(RunError, match="planners was given with runs that have ended"):
        compare(ran, planners=["ionn"])
    with pytest.raises(RunError, match="seeds was given with runs"):
        compare(ran, seeds=[4])
    for wrong in ([], 5, [small()], {"a": 1}):
        with pytest.raises(RunError, match="expected a scenario, or a list of runs"):
            compare(wrong)  # type: ignore[arg-type]
    with pytest.raises(RunError, match="nowhere does not exist"):
        compare(["nowhere"])
    with pytest.raises(ScenarioError, match="no scenario 'nowhere'"):
        compare("nowhere")


# sweep


@pytest.mark.long
def test_a_sweep_takes_plain_values_and_holds_each_against_the_first_planner() -> None:
    found = sweep(small(), "users", [1, 3], planners=["ionn", "local"], seeds=1, alone=False, local=True)
    assert found.swept == "users"
    assert labels(found) == ["ionn, 1", "local, 1", "ionn, 3", "local, 3"]
    assert [found.mean("answered", number).mean for number in range(4)] == [3, 3, 9, 9]
    assert [found.baseline(number) for number in range(4)] == [None, 0, None, 2]
    bandwidths = sweep(small(), "links.client-edge.bandwidth_mb_s", (0.5, 8), seeds=1, alone=False, local=True)
    slow, fast = (bandwidths.mean("latency_mean_users_s", number).mean for number in range(2))
    assert slow > fast


def test_values_of_a_sweep_are_written_as_yaml_that_reads_the_same() -> None:
    values = ["ionn", "5", 5, 1e-5, True, None, [4, 8], {"per_s": 2}, "", "a: b", "x\n", np.int64(7), np.float32(0.5)]
    texts = Sweep.of("anything", values).values
    assert texts[:4] == ("ionn", '"5"', "5", "1e-05")
    assert [parse(text, "value") for text in texts] == values
    with pytest.raises(ScenarioError, match="expected two different values or more"):
        Sweep.of("users", [5, 5])
    with pytest.raises(ScenarioError, match="expected a field and a list of values"):
        Sweep.of("users", "5,6")
    with pytest.raises(ScenarioError, match="expected a number, text, list or dict"):
        Sweep.of("users", [object(), 5])


def test_a_value_that_the_scenario_cannot_have_is_refused_before_the_first_run() -> None:
    with pytest.raises(ScenarioError, match=r"users.0.queries=0: users.0.queries is 0"):
        sweep(small(), "users.0.queries", [1, 0], local=True)
    with pytest.raises(RunError, match="5 was given, expected a Scenario"):
        sweep(5, "users", [1, 2])  # type: ignore[arg-type]


# fairness


@pytest.mark.long
def test_fairness_is_that_of_the_command_line(ran: list[RunResult], tmp_path: Path) -> None:
    for flags, how in (
        ([], {}),
        (["--alone"], {"alone": True}),
        (["--alone", "--each"], {"alone": True, "each": True}),
    ):
        arguments = ["fairness", str(tmp_path / "ionn"), "--json", *flags]
        printed = json.loads(CliRunner().invoke(main, arguments, catch_exceptions=False).stdout)
        found = fairness(ran[0], **how)
        assert printed == found == fairness(tmp_path / "ionn", **how)
        assert found["cost"] == ("slowdown" if flags else "latency_s")
    assert len(fairness(ran[0], most_windows=1)["windows"]) == 1
    total = sum(1 / user["latency_s"] for user in found["users"])
    assert fairness(ran[0], best_total=2 * total)["all"]["price"] == pytest.approx(0.5)


def test_fairness_refuses_in_one_sentence(ran: list[RunResult], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected alone with it"):
        fairness(ran[0], each=True)
    with pytest.raises(RunError, match="most_windows is 0"):
        fairness(ran[0], most_windows=0)
    with pytest.raises(RunError, match="does not exist"):
        fairness(tmp_path / "nowhere")
    nameless = RunResult(ran[0].directory, {key: value for key, value in ran[0].run.items() if key != "scenario"})
    assert fairness(nameless)["cost"] == "latency_s"
    with pytest.raises(RunError, match=r"run\.json has no scenario"):
        fairness(nameless, alone=True)
