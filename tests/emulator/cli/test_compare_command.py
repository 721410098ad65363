"""`layerlift compare`: real runs of a small world, paired, swept, failing, refused; and as Ray tasks."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from run_world import PHONES, phones_file

from layerlift.emulator.cli.main import main
from layerlift.emulator.cluster.session import RayCluster
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.studies.compare import jobs
from layerlift.emulator.studies.compare.jobs import Asked, perform, work
from layerlift.emulator.studies.compare.metrics import METRICS
from layerlift.emulator.studies.compare.sweep import Sweep
from layerlift.models.errors import RunError, ScenarioError

DRAWN = {
    "nodes": [node for node in PHONES["nodes"] if node["tier"] != "client"],
    "users": [
        {
            "kind": "phone", "count": 3, "model": "squeezenet", "planner": "ionn", "queries": 4,
            "arrival": {"per_s": 4}, "device": {"ghz": [1, 2], "spread": "random"},
        }
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    return str(phones_file(tmp_path, **DRAWN))


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["compare", *arguments], catch_exceptions=False)


def refused(*arguments: str) -> str:
    """The one sentence on stderr; nothing on stdout, and nothing written."""
    before = sorted(Path().rglob("*"))
    result = call(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert sorted(Path().rglob("*")) == before
    [line] = result.stderr.splitlines()
    return line.removeprefix("layerlift: ")


# One scenario


@pytest.mark.long
def test_pairs_of_planners_and_policies_have_the_same_users_at_the_same_seed(scenario: str) -> None:
    made = call(
        scenario, "--local", "--planner", "ionn", "--planner", "local", "--policy", "greedy", "--policy", "drf",
        "--seed", "3,8", "--out", "made", "--chart", "made.svg",
    )  # fmt: skip
    assert made.exit_code == 0
    told = json.loads(Path("made/compare.json").read_text())
    assert told["seeds"] == [3, 8]
    labels = [variant["label"] for variant in told["variants"]]
    assert labels == ["ionn, greedy", "ionn, drf", "local, greedy", "local, drf"]
    for label in labels:
        assert label in made.stdout
    rows = pq.read_table("made/compare.parquet").to_pylist()
    assert len(rows) == 4 * 2 * len(METRICS)
    assert {(row["planner"], row["policy"]) for row in rows} == {
        (p, q) for p in ("ionn", "local") for q in ("greedy", "drf")
    }
    assert Path("made.svg").read_text().startswith("<svg")
    assert "Written to made" in made.stderr


def test_a_job_carries_its_seed_its_policy_and_the_firsts_scenario(scenario: str) -> None:
    todo = work(Asked(scenario, planners=("ionn", "local"), policies=("greedy", "drf"), count=2))
    assert [(job.variant, job.seed) for job in todo.jobs] == [(n, seed) for seed in (1, 2) for n in range(4)]
    job = todo.jobs[-1]
    assert {node["policy"] for node in job.scenario["nodes"] if node["tier"] != "client"} == {"drf"}
    assert job.baseline is not None
    assert (job.baseline["users"][0]["planner"], job.scenario["users"][0]["planner"]) == ("ionn", "local")
    worlds = [Scenario.from_dict(job.scenario).resolve() for job in todo.jobs]
    drawn = [([user.arrival_s for user in w.users], [w.nodes[user.client].ghz for user in w.users]) for w in worlds]
    assert drawn[0] == drawn[1] == drawn[2] == drawn[3]
    assert drawn[4] == drawn[7] != drawn[0]


@pytest.mark.long
def test_what_users_wait_alone_is_the_yardstick_of_totals_under_every_planner(scenario: str) -> None:
    jobs = work(Asked(scenario, planners=("local", "ionn"), seeds=(5,), settings=("execution=none",))).jobs
    local, ionn = (perform(job).seen for job in jobs)
    assert local is not None
    assert ionn is not None
    assert local.numbers["slowdown_worst_user"] > 1.0, "another device than the one that ran alone"
    shares = [one.latency_s / user.latency_s for user, one in zip(ionn.users, local.users, strict=True)]
    gains = [share / user.slowdown for share, user in zip(shares, local.users, strict=True)]
    assert ionn.numbers["total"] == pytest.approx(sum(gains))
    assert local.numbers["total"] == pytest.approx(sum(1 / user.slowdown for user in local.users))


@pytest.mark.long
def test_a_sweep_is_a_curve_with_a_row_for_every_value(scenario: str) -> None:
    made = call(
        scenario, "--local", "--planner", "ionn", "--planner", "local", "--sweep", "users=1,3", "--seeds", "1", "--json"
    )
    told = json.loads(made.stdout)
    assert [(v["label"], v["baseline"]) for v in told["variants"]] == [
        ("ionn, 1", None), ("local, 1", "ionn, 1"), ("ionn, 3", None), ("local, 3", "ionn, 3")
    ]  # fmt: skip
    assert [v["metrics"]["answered"]["mean"] for v in told["variants"]] == [4, 4, 12, 12]
    assert told["swept"] == "users"


def test_users_of_several_kinds_are_scaled_in_proportion(scenario: str) -> None:
    kinds = [
        {"kind": kind, "count": n, "model": "squeezenet", "queries": 1, "device": {"ghz": 1}}
        for kind, n in (("a", 4), ("b", 2))
    ]
    loaded = Scenario.load(scenario, [f"users={json.dumps(kinds)}"])
    sweep = Sweep.parse("users=6,30")
    assert sweep.settings("30", loaded) == ["users.0.count=20", "users.1.count=10"]
    assert sweep.told(loaded) == "--sweep users keeps the proportions of the 2 kinds, 4:2"
    assert Sweep.parse("nodes.1.ghz=[4, 8],[8,16],7").values == ("[4, 8]", "[8,16]", "7")
    with pytest.raises(ScenarioError, match="at least 2, one of each kind"):
        sweep.settings("1", loaded)


@pytest.mark.long
def test_a_planner_that_raises_is_told_and_a_run_that_fails_is_a_row(
    scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = call(scenario, "--local", "--planner", "ionn", "--planner", "worlds:Raising", "--seeds", "1")
    assert made.exit_code == 0
    assert "3 plans failed and left their users local: worlds:Raising raised ZeroDivisionError" in " ".join(
        made.stdout.split()
    )
    run = jobs.run

    def broken(scenario: Scenario, **rest: object) -> object:
        if scenario.users[0].planner == "local":
            raise RunError("out of luck")
        return run(scenario, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "run", broken)
    made = call(scenario, "--local", "--planner", "ionn", "--planner", "local", "--seeds", "2", "--out", "made")
    assert made.exit_code == 0
    assert "- local failed: out of luck (seeds 1, 2)" in made.stdout
    rows = pq.read_table("made/compare.parquet").to_pylist()
    assert [(row["seed"], row["reason"]) for row in rows if row["status"] == "failed"] == [
        (1, "out of luck"), (2, "out of luck")
    ]  # fmt: skip


@pytest.mark.long
def test_what_had_ended_before_the_user_stopped_it_is_written_and_said(
    scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def stopped(job: jobs.Job) -> jobs.Trial:
        begun.append(job)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return perform(job)

    monkeypatch.setattr(jobs, "perform", stopped)
    made = call(scenario, "--local", "--planner", "ionn", "--planner", "local", "--seeds", "2", "--out", "made")
    assert made.exit_code == 130
    assert "interrupted by the user: 2 of 4 runs had ended" in made.stdout
    told = json.loads(Path("made/compare.json").read_text())
    assert [len(variant["seeds"]) for variant in told["variants"]] == [1, 1]


def test_without_running_alone_costs_are_latencies(scenario: str) -> None:
    told = json.loads(call(scenario, "--local", "--seeds", "1", "--no-alone", "--json").stdout)
    assert told["cost"] == "latency_s"
    assert "slowdown_mean_users" not in told["variants"][0]["metrics"]


@pytest.mark.long
def test_seeds_that_change_nothing_are_said_to(tmp_path: Path) -> None:
    made = call(str(phones_file(tmp_path)), "--local", "--seeds", "2")
    assert "all seeds gave the same: nothing in this scenario is drawn" in made.stdout


# Runs


def _run(scenario: str, out: str, *more: str) -> str:
    arguments = ["run", scenario, "--local", "--execution", "none", "--quiet", "--out", out, *more]
    assert CliRunner().invoke(main, arguments, catch_exceptions=False).exit_code == 0
    return out


@pytest.mark.long
def test_runs_that_differ_in_their_seed_are_one_variant_and_equal_a_comparison_made_at_once(scenario: str) -> None:
    runs = [_run(scenario, f"a{seed}", "--seed", str(seed)) for seed in (1, 2)]
    runs += [_run(scenario, f"b{seed}", "--seed", str(seed), "--planner", "local") for seed in (1, 2)]
    told = json.loads(call(*runs, "--json").stdout)
    assert [variant["label"] for variant in told["variants"]] == ["a1 and other seeds", "b1 and other seeds"]
    once = json.loads(
        call(scenario, "--local", "--planner", "ionn", "--planner", "local", "--seeds", "2", "--json").stdout
    )
    for together, apart in zip(once["variants"], told["variants"], strict=True):
        assert together["metrics"] == apart["metrics"]


@pytest.mark.long
def test_an_interrupted_run_is_shown_and_has_no_price(scenario: str) -> None:
    a, b = _run(scenario, "a"), _run(scenario, "b", "--planner", "local")
    told = json.loads(Path("b/run.json").read_text())
    Path("b/run.json").write_text(json.dumps(told | {"status": "interrupted"}))
    made = call(a, b, "--out", "made")
    assert made.exit_code == 0
    assert "the run is interrupted: its numbers are those so far" in made.stdout
    found = json.loads(Path("made/compare.json").read_text())["variants"]
    assert [variant["seeds"][0]["status"] for variant in found] == ["done", "interrupted"]
    assert "price" not in found[1]["metrics"]


@pytest.mark.long
def test_runs_whose_users_cannot_run_alone_are_compared_by_latency(scenario: str) -> None:
    a, b = _run(scenario, "a"), _run(scenario, "b", "--planner", "local")
    told = json.loads(Path("b/run.json").read_text())
    told["scenario"] |= {"compute": "measured", "execution": "every"}
    Path("b/run.json").write_text(json.dumps(told))
    found = json.loads(call(a, b, "--json").stdout)
    assert found["cost"] == "latency_s"
    assert any("compute: measured" in note for note in found["notes"])


# What is refused


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (
            ["--planner", "ionm"],
            "--planner ionm: users.0.planner is 'ionm': there is no planner 'ionm'; did you mean ionn?",
        ),
        (["--set", "users.0.queris=2"], "users.0.queris is not a known field; did you mean queries"),
        (["--seed", "1,x"], "--seed is '1,x', expected whole numbers"),
        (["--seed", "1", "--seeds", "2"], "both say which seeds"),
        (["--each", "--no-alone"], "expected one of them"),
        (["--sweep", "users=5"], "two values or more"),
        (["--sweep", "users=5,x"], "users is to be 'x', expected a whole number of at least 1"),
        (["--sweep", "users.0.queries=1,0"], "--sweep users.0.queries=0: users.0.queries is 0"),
        (["--set", "compute=measured"], "try --no-alone"),
        (["--chart", "made.pdf"], "cannot draw 'made.pdf'"),
        (["--chart", "no/where.png"], "there is no folder no"),
        (["--out", "/proc/no/such"], "give another with --out"),
        (["--out", "phones.yaml"], "is a file"),
        (["--address", "127.0.0.1:1"], "without --address it is done on this machine"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence_and_nothing_is_written(
    scenario: str, arguments: list[str], why: str
) -> None:
    local = [] if "--address" in arguments else ["--local"]
    assert why in refused(scenario, *local, *arguments)


@pytest.mark.long
def test_targets_and_options_that_do_not_fit(scenario: str) -> None:
    assert "no scenario 'nowhere'" in refused("nowhere")
    made = _run(scenario, "a")
    assert "--planner is for one scenario, not for runs" in refused(made, "--planner", "ionn")
    assert "nowhere does not exist" in refused(made, "nowhere")
    assert call(made, "--no-alone", "--out", "made").exit_code == 0
    assert "already holds a comparison" in refused(made, "--no-alone", "--out", "made")
    assert call(made, "--no-alone", "--out", "made", "--force").exit_code == 0


# Over Ray


@pytest.mark.ray
def test_processes_and_ray_tasks_find_what_one_process_finds(scenario: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])  # where tasks find the same modules
    asked = [scenario, "--planner", "ionn", "--planner", "local", "--seeds", "2", "--json"]
    here, beside = call(*asked, "--local"), call(*asked)
    with RayCluster():
        over = call(*asked, "--address", "auto")
    assert here.exit_code == beside.exit_code == over.exit_code == 0
    assert json.loads(here.stdout) == json.loads(beside.stdout) == json.loads(over.stdout)
