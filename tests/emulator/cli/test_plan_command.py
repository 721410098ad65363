"""`layerlift plan` tells beforehand what the emulation will do."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from rich.console import Console
from run_world import phones, phones_file
from worlds import examples, run_world, worlds

from layerlift.emulator import Scenario, run
from layerlift.emulator.cli.main import main
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.local import LocalPlans
from layerlift.emulator.planning.problems import planned_with, problem_of
from layerlift.emulator.protocol.messages import PlanOutcome
from layerlift.emulator.report.formatting import seconds
from layerlift.emulator.report.front_report import show_front
from layerlift.emulator.runtime.one_clock import OneClock
from layerlift.emulator.world.world import World
from layerlift.planners.problem.problem import Problem

# The problem


@pytest.mark.long
@given(worlds(max_clients=1, cut=False))
@examples(60)
def test_the_problem_is_the_one_that_a_run_makes(world: World) -> None:
    world = replace(world, users=(replace(world.users[0], queries=3, arrival_s=0.0),))
    jobs = run_world(world).plans.jobs
    for job in jobs:
        assert job.problem.digest == problem_of(world, 0).digest
        assert job.problem.nodes == problem_of(world, 0).nodes


class Recorded(LocalPlans):
    """Keeps every job."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.jobs: list[PlanJob] = []

    def result(self, job: PlanJob) -> PlanOutcome:
        self.jobs.append(job)
        return super().result(job)


def lonely(problem: Problem) -> str:
    """A problem's digest but for the crowd, of whom nobody is there before a run, and one after the other within."""
    return replace(problem, crowd=None).digest


@pytest.mark.long
@pytest.mark.parametrize("planner", ["gibbs:sweeps=5+ionn", "ionn"])
@pytest.mark.parametrize("gather_s", ["null", "0", "0.02", "0.2", "1"])
@pytest.mark.parametrize("profile_runs", [0, 1])
def test_users_are_planned_together_as_in_a_run(planner: str, gather_s: str, profile_runs: int) -> None:
    """With their own profiling (180 and 90 ms) the two requests come apart."""
    world = phones(
        f"users.0.planner={planner}", f"planner.gather_s={gather_s}", f"users.0.profile_runs={profile_runs}",
        share_links=False, execution="none",
    ).resolve()  # fmt: skip
    plans = Recorded(world)
    OneClock(world, plans, lambda table, rows: None).run()
    digests = [lonely(problem_of(world, user.index)) for user in world.users]
    assert len(plans.jobs) == 2
    for job in plans.jobs:
        user = digests.index(lonely(job.problem))
        made = [lonely(problem) for problem in job.together or (job.problem,)]
        assert made == [digests[other] for other in planned_with(world, user)]
    if planner != "ionn":
        joint = gather_s != "null" and (not profile_runs or float(gather_s) >= 0.2)
        assert all(bool(job.together) == joint for job in plans.jobs)


def test_users_with_another_planner_are_not_planned_with() -> None:
    world = phones("users.0.planner=gibbs", "planner.gather_s=5").resolve()
    users = (world.users[0], replace(world.users[1], planner="gibbs:sweeps=10"))
    assert planned_with(replace(world, users=users), 0) == (0,)


# The command


def told(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(main, ["plan", *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    made: dict[str, Any] = json.loads(result.stdout)
    return made


@pytest.mark.long
@pytest.mark.parametrize("planner", ["local", "direct", "recursive", "random+efficiency", "greedy"])
def test_a_run_does_what_was_told(planner: str, tmp_path: Path) -> None:
    """One user on independent links: parts, bytes, confirm results and latencies."""
    changes = {"share_links": False, "execution": "none", "sample_s": None}
    path = str(phones_file(tmp_path, **changes))
    one = ["--set", "users.0.count=1", "--set", "users.0.queries=60"]
    plan = told(path, "--planner", planner, "--user", "user-1", *one)
    overrides = ["users.0.count=1", "users.0.queries=60", f"users.0.planner={planner}"]
    result = run(Scenario.load(path, overrides), local=True)
    [row] = result.plans.to_pylist()
    assert [plan[key] for key in ("p1_layers", "p2_layers", "upload_bytes", "local_s", "predicted_s")] == [
        row[key] for key in ("p1_layers", "p2_layers", "upload_bytes", "local_s", "predicted_s")
    ]
    uploads = result.uploads.to_pylist()
    assert len(plan["uploads"]) == len(uploads) == row["parts"]
    for part, seen in zip(plan["uploads"], uploads, strict=True):
        assert (part["server"], part["bytes"], len(part["layers"])) == (seen["server"], seen["bytes"], seen["layers"])
        assert part["confirmed_s"] == pytest.approx(seen["ended_s"] - uploads[0]["sent_s"], rel=1e-9)
    latencies = [plan["local_s"], *(part["latency_s"] for part in plan["uploads"])]
    for query in result.queries.to_pylist():
        assert query["latency_s"] == pytest.approx(latencies[query["confirmed_parts"]], rel=1e-9)
    placed = [layer for segment in plan["segments"] for layer in segment["layers"]]
    assert placed == [layer.name for layer in Scenario.load(path).resolve().models[0].graph.layers]


def test_wrong_predictions_are_told_apart_from_the_truth() -> None:
    exact = told("paper", "--planner", "direct")
    assert exact["true_s"] == exact["predicted_s"]
    wrong = told("paper", "--planner", "direct", "--set", "planner.predictions={bias: 0.5}")
    assert wrong["predicted_s"] > wrong["true_s"] >= exact["true_s"]


@pytest.mark.long
def test_a_stream_is_promised_its_period() -> None:
    assert told("paper", "--planner", "units")["period_s"] is None
    one, many = (
        told("paper", "--planner", "units", "--set", "users.0.in_flight=4"),
        told("paper", "--planner", "pipeline"),
    )
    assert many["period_s"] < one["period_s"] < one["predicted_s"]
    words = ["plan", "paper", "--planner", "units", "--set", "users.0.in_flight=4"]
    result = CliRunner().invoke(main, words, catch_exceptions=False, env={"COLUMNS": "200"})
    assert f"one is answered every {seconds(one['period_s'])}, with enough in flight" in result.stdout


def test_the_plan_in_words() -> None:
    words = ["plan", "paper", "--planner", "gibbs+recursive"]
    result = CliRunner().invoke(main, words, catch_exceptions=False, env={"COLUMNS": "80"})
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    words = " ".join(result.stdout.split())
    for expected in (
        "user-1 on r1 asks alexnet; planned by gibbs+recursive",
        "Source: Yan, Bi, Zhang, Tao,",  # of both halves
        "Source: Shin",
        "A query takes 1.49 s with all 24 layers here and 152 ms with the plan, 9.85 times less.",
        "P1 on r7 (edge): n0..n23 (24 layers: 5 Conv, Reshape, 3 Gemm)",
        "none yet - - - 1.49 s",
        "1 r7 n",
        "all confirmed after 23.3 s",
    ):
        assert expected in words


def test_a_deadline_that_the_plan_misses_is_told() -> None:
    asked = ["plan", "quickstart", "--planner", "labels", "--set"]
    missed = CliRunner().invoke(main, [*asked, "users.0.objective={latency: 0, money: 1, deadline_s: 0.01}"])
    assert "no plan keeps deadline_s 0.01; the nearest takes" in " ".join(missed.output.split())
    kept = CliRunner().invoke(main, [*asked, "users.0.objective={latency: 0, money: 1, deadline_s: 10}"])
    assert kept.exit_code == 0
    assert "deadline" not in kept.output


def test_a_plan_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "plan.svg"
    words = ["plan", "paper", "--planner", "shortest_path", "--user", "user-2", "--graph", str(path)]
    plan = told(*words[1:])
    drawn = path.read_text()
    assert "<title>" in drawn
    for segment in plan["segments"]:
        assert f"on {segment['node']}</text>" in drawn
    assert drawn.count("stroke-dasharray") >= len(plan["segments"])
    assert f"Drawn: {path}" in " ".join(CliRunner().invoke(main, words, env={"COLUMNS": "400"}).stdout.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--graph", "plan.png"], "expected a file that ends in .svg"),
        (["--graph", "plan.svg", "--front", "latency,money"], "--graph draws one plan"),
    ],
)
def test_a_picture_of_a_plan_that_cannot_be(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(main, ["plan", "paper", *arguments])
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


def test_a_local_plan_in_words() -> None:
    result = CliRunner().invoke(main, ["plan", "paper", "--planner", "local", "--user", "user-2"])
    assert "P2 here: n0..n23 (24 layers" in result.stdout
    assert "P3" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "no scenario"),
        (["paper", "--user", "usr-2"], "it has user-1, user-2; did you mean user-2"),
        (["paper", "--planner", "recusive"], "did you mean recursive"),
        (["paper", "--set", "users.0.modell=vgg19"], "did you mean model"),
        (["paper", "--planner", "worlds:Raising"], "raised ZeroDivisionError: a bug of mine"),
        (["paper", "--planner", "worlds:Illegal"], "planner worlds:Illegal failed for user-1"),
    ],
)
def test_mistakes_are_answered_in_a_sentence(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(main, ["plan", *arguments], catch_exceptions=False)
    assert result.exit_code == 2
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert words in line


# The front


def front_of(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["plan", "paper", "--set", "execution=none", *arguments])
    return done.exit_code, done.output


@pytest.mark.long
def test_a_front_is_told_with_its_knee_and_todays_plan(tmp_path: Path) -> None:
    code, output = front_of(
        "--user", "user-1", "--front", "money,latency", "--json", "--chart", str(tmp_path / "f.svg")
    )
    told = json.loads(output[: output.rindex("}") + 1])
    assert code == 0
    assert told["terms"] == ["latency", "money"]
    points = [(point["latency"], point["money"]) for point in told["points"]]
    assert points == sorted(points)
    assert [money for _, money in points] == sorted((money for _, money in points), reverse=True)
    assert sum(point["knee"] for point in told["points"]) == 1
    now = told["today"]
    assert not any(late < now["latency"] and money < now["money"] for late, money in points) or not any(
        point["today"] for point in told["points"]
    )
    assert (tmp_path / "f.svg").read_text().startswith("<svg")


@pytest.mark.long
def test_a_front_in_words() -> None:
    code, output = front_of("--front", "latency,energy,money")
    assert code == 0
    assert "knee" in output
    assert "10 % more delay than" in output


@pytest.mark.long
def test_a_front_by_a_planner_is_told_beside(tmp_path: Path) -> None:
    chart = tmp_path / "f.svg"
    code, output = front_of("--front", "latency,money", "--by", "dil", "--json", "--chart", str(chart))
    told = json.loads(output[: output.rindex("}") + 1])
    assert code == 0
    by = told["by"]
    assert (by["planner"], by["weightings"]) == ("dil", 33)
    # A front that bends in: weighted sums, which see its hull alone, draw 71 % of it at most.
    assert 0.9 < by["hypervolume_share"] < 1.0
    best = {(point["latency"], point["money"]) for point in told["points"]}
    assert any((point["latency"], point["money"]) in best for point in by["points"])
    assert "drawn by dil" in chart.read_text()
    code, output = front_of("--front", "latency,money", "--by", "dil")
    said = " ".join(output.split())
    assert f"looks at {by['candidates']:,} placements and draws {len(by['points'])}: " in said
    assert f"{100 * by['hypervolume_share']:.2f} % of the hypervolume" in said


def test_of_a_long_front_the_least_of_each_term_is_shown_and_what_is_left_out_is_counted() -> None:
    run_of = [{"node": "client", "first_layer": 0, "last_layer": 1, "first": "a", "last": "b"}]
    point = {"energy": 1.0, "money": 1.0, "period": 5.0, "runs": run_of, "today": False}
    points = [{"latency": 1.0 + at, "knee": at == 7, **point} for at in range(100)]
    points[13] |= {"money": 0.0, "period": 4.0}
    told = {
        "user": "user-1", "model": "alexnet", "terms": ["latency", "money", "period"], "complete": False, "by": None,
        "points": points, "today": points[0], "more_delay": 0.1, "bought": {}, "bought_of_today": {},
    }  # fmt: skip
    console = Console(file=StringIO(), width=120)
    show_front(told, console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert [line.split()[0] for line in said.splitlines() if "knee" in line] == ["8.00"]
    assert " 14.0 s " in said
    # Every seventh of the hundred, the last one, and the thirteenth, which costs nothing.
    assert "83 more lie between these; --json has them all." in said
    told["points"] = points[:5]
    console = Console(file=StringIO(), width=120)
    show_front(told, console)
    assert "more lie" not in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--front", "latency,speed"), "expected two or three of latency, energy, money, period"),
        (("--front", "latency,money", "--user", "nobody"), "no user 'nobody'"),
        (("--chart", "front.svg"), "give --front latency,energy,money as well"),
        (("--by", "dil"), "give --front latency,energy,money as well"),
        (("--front", "latency,money", "--by", "dill"), "'dill'"),
    ],
)
def test_a_front_that_cannot_be(arguments: tuple[str, ...], said: str) -> None:
    code, output = front_of(*arguments)
    assert code != 0
    assert said in " ".join(output.split())


@pytest.mark.parametrize(
    ("chart", "why"), [("front.txt", "expected a name that ends in"), ("nowhere/front.svg", "there is no folder")]
)
def test_a_chart_that_cannot_be_drawn_is_refused_before_anything_is_reckoned(
    chart: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scenario, "load", None)
    made = CliRunner().invoke(main, ["plan", "paper", "--front", "latency,energy", "--chart", str(tmp_path / chart)])
    assert made.exit_code == 2
    assert why in made.output
