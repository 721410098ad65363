"""Sensitivity: closed forms at half and double, every assumption varied or listed with its reason, rankings turned."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from layerlift import sensitivity
from layerlift.emulator import Scenario
from layerlift.emulator.cli.main import main
from layerlift.emulator.run import run
from layerlift.emulator.scenario import bundled
from layerlift.emulator.studies.sensitivity import screening, study
from layerlift.emulator.studies.sensitivity.bounds import Bounds, bounds
from layerlift.emulator.studies.sensitivity.charts import bars
from layerlift.emulator.studies.sensitivity.factors import Moved, factors
from layerlift.emulator.studies.sensitivity.findings import Sensitivity
from layerlift.emulator.studies.sensitivity.levels import BASE, Levels, Step
from layerlift.emulator.studies.sensitivity.measures import measures
from layerlift.emulator.studies.sensitivity.screening import Screening, elementary
from layerlift.emulator.studies.size import jobs
from layerlift.models import load
from layerlift.models.errors import LayerliftError, RunError

MB = 1 << 20
LONE: dict[str, Any] = {
    "name": "lone",
    "nodes": [{"tier": "edge", "name": "edge", "ghz": 24}],
    "links": {"client-edge": {"bandwidth_mb_s": 10, "latency_ms": 2}},
    # It asks long after everything has been uploaded, so that a query is sent, computed and answered.
    "users": [
        {"model": "squeezenet", "planner": "all_remote+direct", "queries": 1, "asks": {"at_s": 100},
         "device": {"ghz": 1}}
    ],
    "execution": "none",
    "reference_ghz": 48.6,
    "sources": {"links.*.bandwidth_mb_s": "assumed", "links.*.latency_ms": "assumed", "nodes.*.ghz": "assumed",
                "reference_ghz": "assumed"},
}  # fmt: skip
FIELDS = ("links.*.bandwidth_mb_s", "links.*.latency_ms", "nodes.*.ghz")


def lone(**changes: Any) -> Scenario:
    return Scenario.from_dict(LONE | changes)


@pytest.fixture(scope="module")
def found() -> Sensitivity:
    return sensitivity(lone(), "mean_ms", seeds=1, workers=1)


def change(found: Sensitivity, name: str, level: str) -> float:
    """What a level of a factor adds to the mean latency, in seconds."""
    [measure], [planner] = found.measures, found.planners
    [swing] = [s for s in found.levels.swings(measure, planner) if found.levels.factors[s.factor].name == name]
    return swing.changes[level].mean


@pytest.mark.long
def test_half_and_double_change_what_the_closed_form_says(found: Sensitivity) -> None:
    graph = load("squeezenet").graph
    carried = math.fsum(graph.tensors[name].bytes for name in (*graph.inputs, *graph.outputs))
    transfer_s, way_s = carried / (10 * MB), 2 * 0.002
    base_s = found.levels.base(found.measures[0], found.planners[0]).mean
    assert change(found, FIELDS[0], "half") == pytest.approx(transfer_s, rel=1e-9)
    assert change(found, FIELDS[0], "double") == pytest.approx(-transfer_s / 2, rel=1e-9)
    assert change(found, FIELDS[1], "double") == pytest.approx(way_s, rel=1e-9)
    assert change(found, "links.*.efficiency", "half") == pytest.approx(transfer_s, rel=1e-9)
    compute_s = base_s - transfer_s - way_s
    assert compute_s > 0
    assert change(found, FIELDS[2], "half") == pytest.approx(compute_s, rel=1e-9)
    assert change(found, FIELDS[2], "double") == pytest.approx(-compute_s / 2, rel=1e-9)
    # Twice the reference seconds' speed is twice the work: half the clock.
    assert change(found, "reference_ghz", "double") == pytest.approx(compute_s, rel=1e-9)
    # A query has one core: of two each has half the clock.
    assert change(found, "nodes.*.cores", "double") == pytest.approx(compute_s, rel=1e-9)


def test_the_sentence_names_what_matters_most_and_the_table_has_what_moves(found: Sensitivity) -> None:
    [text] = found.sentences()
    most = max(FIELDS, key=lambda name: change(found, name, "half") - change(found, name, "double"))
    assert f"rests most on {most}: " in text or "rests most on reference_ghz: " in text
    lines = found.table(found.measures[0])[1]
    assert {line[0] for line in lines} == {*FIELDS, "reference_ghz", "nodes.*.cores", "links.*.efficiency"}
    assert any("is the same at half and double of" in text and "retries" in text for text in found.remarks())
    drawn = dict(bars(found, found.measures[0], found.planners[0]))
    left, right = drawn[FIELDS[0]].split("|")
    assert set(left.strip()) == {"D"}
    assert set(right.strip()) == {"h"}
    assert len(right.strip()) == pytest.approx(2 * len(left.strip()), abs=1)


def test_a_table_for_programs_has_every_level(found: Sensitivity) -> None:
    table = found.to_arrow()
    rows = table.to_pylist()
    [base] = [row for row in rows if row["level"] == BASE]
    [half] = [row for row in rows if row["assumption"] == FIELDS[0] and row["level"] == "half"]
    assert half["mean"] - base["mean"] == pytest.approx(half["change"])
    assert base["change"] is None
    assert table.num_rows == 1 + sum(len(s.levels) for s in found.levels.swings(found.measures[0], found.planners[0]))
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["levels"] == rows
    assert "<table>" in found._repr_html_()
    assert repr(found).startswith("<Sensitivity of lone: With all_remote+direct latency")


def test_a_line_moves_its_fields_together_or_each_by_itself() -> None:
    together = lone(sources={"nodes": "assumed", "links": "assumed"})
    made = {factor.name: factor for factor in factors(together)[0]}
    assert made["links"].settings(0.5) == ["links.client-edge.bandwidth_mb_s=5.0", "links.client-edge.latency_ms=1.0"]
    apart = {factor.name: factor for factor in factors(together, each=True)[0]}
    assert apart["links.client-edge.latency_ms"].settings(2.0) == ["links.client-edge.latency_ms=4.0"]
    assert apart["links.client-edge.latency_ms"].source == "assumed"
    assert "links" not in apart


def test_more_fields_are_named_and_fewer_factors_wanted() -> None:
    names = [factor.name for factor in factors(lone(), also=["users.*.device.ghz"], only=["users*", FIELDS[0]])[0]]
    assert "users.*.device.ghz" in names
    assert FIELDS[0] in names
    assert FIELDS[1] not in names
    below = [factor.name for factor in factors(lone(), only=["links", "nodes.0"], each=True)[0]]
    assert below
    assert all(name.startswith(("links.", "nodes.0.")) for name in below)
    assert {name.partition(".")[0] for name in below} == {"links", "nodes"}
    for wrong in ({"also": ["users.*.gzh"]}, {"only": ["gzh"]}):
        with pytest.raises(RunError, match="names no"):
            factors(lone(), **wrong)  # type: ignore[arg-type]


def check_all_are_told(name: str) -> None:
    """Each assumption that a run lists is a factor's or is fixed, with its reason, and no level breaks a bound."""
    scenario = Scenario.load(name, ["execution=none"])
    made, fixed = factors(scenario)
    moved = [moved for factor in made for moved in factor.moved]
    inputs = scenario.new_inputs()
    world = scenario.resolve(inputs=inputs)
    wanted = [entry["path"] for entry in [*scenario.assumptions(world), *inputs.assumptions()]]
    assert sorted([*(each.path for each in moved), *(each.path for each in fixed)]) == sorted(wanted)
    assert all(each.why for each in fixed)
    assert all(factor.settings(0.5) or factor.settings(2.0) for factor in made)


def test_every_assumption_is_varied_or_listed() -> None:
    check_all_are_told("quickstart")


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(set(bundled()) - {"quickstart"}))
def test_every_assumption_of_what_ships_is_varied_or_listed(name: str) -> None:
    check_all_are_told(name)


def test_bounds_are_those_of_the_fields() -> None:
    scenario = lone(faults=[{"loss": "client-edge", "share": 0.3}])
    assert bounds(scenario, "users.0.retries") == Bounds(0, 10**12)
    assert bounds(scenario, "nodes.0.cores").low == 1
    assert bounds(scenario, "nodes.0.ghz").low == 1e-9
    kept = bounds(scenario, "faults.0.share")
    assert (kept.low, kept.high <= 1) == (0, True)
    wide = scenario.changed([f"faults.0.share={kept.high * 0.75}"])
    [share] = factors(wide, also=["faults.0.share"], only=["faults*"])[0]
    assert share.settings(2.0) == [f"faults.0.share={kept.high}"]


@settings(max_examples=60)
@given(st.integers(0, 10**6) | st.floats(0, 1e6), st.floats(0.5, 2), st.floats(0, 10), st.floats(10, 1e6))
def test_what_is_moved_keeps_its_bounds_and_counts_stay_whole(
    value: float, times: float, low: float, high: float
) -> None:
    low = float(math.ceil(low)) if isinstance(value, int) else low
    high = float(math.floor(high)) if isinstance(value, int) else high
    made = Moved("x", value, Bounds(low, high)).at(times)
    assert type(made) is type(value)
    assert isinstance(made, int | float)
    assert low <= made <= high
    if low < value * times < high:
        assert made == pytest.approx(value * times, rel=1e-9, abs=0.5 if isinstance(value, int) else 0)


def outcome(value: float, **more: float) -> dict[str, Any]:
    numbers = {"latency_mean_queries_s": value, **more}
    return {"numbers": numbers, "kinds": {}, "binds": "", "note": "", "digest": ""}


def levels(values: dict[str, dict[str, list[float]]], key: str = "latency_mean_queries_s") -> Levels:
    """Of one factor: by planner, by level, a value for each seed."""
    outcomes = {
        (planner, Step(-1 if level == BASE else 0, level)): {
            seed: {"numbers": {key: value}, "kinds": {}} for seed, value in enumerate(seen)
        }
        for planner, steps in values.items()
        for level, seen in steps.items()
    }
    return Levels(tuple(factors(lone(), only=[FIELDS[0]])[0]), tuple(values), outcomes)


def test_the_ranking_turns_where_both_intervals_say_so() -> None:
    [latency] = measures("mean_ms", [])
    seen = levels({
        "a": {BASE: [1.0, 1.1, 1.2], "half": [3.0, 3.1, 3.2], "double": [1.0, 1.1, 1.2]},
        "b": {BASE: [2.0, 2.1, 2.21], "half": [2.0, 2.1, 2.21], "double": [0.5, 2.1, 1.0]},
    })  # fmt: skip
    told = [(turn.how, turn.step.level, turn.ahead, turn.behind, turn.told()) for turn in seen.turns(latency)]
    assert told == [
        ("turns", "half", "b", "a", "b overtakes a"),
        ("lost", "double", "a", "b", "a no longer leads b"),
    ]
    assert seen.ranking(latency) == [["a"], ["b"]]


def test_more_may_be_better_and_a_lead_may_be_new() -> None:
    [jain] = measures("jain", [])
    same = {BASE: [0.5], "double": [0.5]}
    seen = levels({"a": same | {"half": [0.9]}, "b": same | {"half": [0.8]}}, "jain")
    assert [(turn.how, turn.step.level, turn.ahead) for turn in seen.turns(jain)] == [("new", "half", "a")]
    assert seen.ranking(jain) == [["a", "b"]]
    [busy] = measures("busy_share", [])
    assert (
        levels({"a": {BASE: [1.0], "half": [2.0]}, "b": {BASE: [2.0], "half": [1.0]}}, "busy_share").turns(busy) == []
    )


def test_changes_are_paired_by_seed() -> None:
    [latency] = measures("mean_ms", [])
    seen = levels({"a": {BASE: [1.0, 5.0, 9.0], "half": [1.1, 5.1, 9.1]}})
    [swing] = seen.swings(latency, "a")
    assert swing.changes["half"].mean == pytest.approx(0.1)
    assert swing.changes["half"].half == pytest.approx(0.0, abs=1e-9)
    assert swing.sure
    assert not levels({"a": {BASE: [1.0, 5.0, 9.0], "half": [5.1, 1.0, 9.5]}}).swings(latency, "a")[0].sure


@pytest.mark.long
def test_an_assumption_that_turns_the_ranking_is_named() -> None:
    """Where all is sent, staying at home is better until the link is twice as fast."""
    home_s = sensitivity(lone(), seeds=1, planners=["local"], only=["resend_ms"], workers=1)
    local_s = home_s.levels.base(home_s.measures[0], "local").mean
    graph = load("squeezenet").graph
    carried = math.fsum(graph.tensors[name].bytes for name in (*graph.inputs, *graph.outputs))
    bandwidth = carried / MB / local_s
    slow = lone(links={"client-edge": {"bandwidth_mb_s": bandwidth, "latency_ms": 2}})
    found = sensitivity(slow, seeds=1, planners=["local", "all_remote+direct"], only=[FIELDS[0]], workers=1)
    assert [turn.told() for turn in found.levels.turns(found.measures[0])] == ["all_remote+direct overtakes local"]
    assert f"it turns with {FIELDS[0]} at double (all_remote+direct overtakes local)" in found.sentences()[-1]


@pytest.mark.long
def test_results_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"planners": ["ionn", "local"], "seeds": 2, "only": [FIELDS[0], "users*"]}
    users = [LONE["users"][0] | {"count": 2, "queries": 4, "asks": {"per_s": 3}}]
    one, two = (sensitivity(lone(users=users), workers=number, **asked) for number in (1, 2))
    assert json.dumps(one.as_dict()) == json.dumps(two.as_dict())


@pytest.mark.long
def test_a_study_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {"seeds": [1, 2], "only": [FIELDS[0]], "workers": 1, "out": tmp_path}
    made: list[int] = []

    def stopping(job: jobs.Job) -> Any:
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(job.step)
        return jobs.perform(job)

    monkeypatch.setattr(study, "perform", stopping)
    half = sensitivity(lone(), **asked)
    assert not half.complete
    assert "3 of 6 runs had ended" in half.remarks()[-2]
    assert [step.level for step in half.levels.steps()] == [BASE]
    assert half.sentences()[0].endswith("; of no level there is a number to hold it against.")
    assert not list(tmp_path.glob("sensitivity.*"))
    monkeypatch.setattr(study, "perform", lambda job: made.append(job.step) or jobs.perform(job))
    whole = sensitivity(lone(), **asked)
    assert len(made) == 6
    assert json.loads((tmp_path / "sensitivity.json").read_text()) == whole.as_dict()
    with pytest.raises(RunError, match="already holds a sensitivity"):
        sensitivity(lone(), **asked)


def test_what_fails_and_what_cannot_be_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def perform(job: jobs.Job) -> Any:
        return {"failed": "no luck"} if "bandwidth_mb_s': 20" in str(job.scenario) else outcome(job.seed)

    monkeypatch.setattr(study, "perform", perform)
    found = sensitivity(lone(), seeds=[1, 2], workers=1, only=[FIELDS[0]])
    assert f"failed: no luck ({FIELDS[0]} at double with all_remote+direct)" in found.remarks()
    assert found.levels.swings(found.measures[0], found.planners[0])[0].changes["double"].n == 0


# The screening

PATHS = (((0.0, 0.0), (2 / 3, 0.0), (2 / 3, 2 / 3)), ((1.0, 1.0), (1.0, 1 / 3), (1 / 3, 1 / 3)))


def test_of_a_sum_elementary_effects_are_its_factors() -> None:
    for path in PATHS:
        effects = elementary(path, [3.0 * x - 5.0 * y + 2.0 for x, y in path])
        assert dict(effects) == {0: pytest.approx(3.0), 1: pytest.approx(-5.0)}
    assert elementary(PATHS[0], [1.0, None, 2.0]) == []
    assert [factor for factor, _ in elementary(PATHS[0], [1.0, 2.0, None])] == [0]
    assert screening.times((0.0, 0.5, 1.0)) == [0.5, 1.0, 2.0]


def screened(values: dict[str, Any], paths: Any = PATHS) -> Screening:
    return Screening(paths, {
        planner: {(a, b): outcome(value(*point)) for a, path in enumerate(paths) for b, point in enumerate(path)}
        for planner, value in values.items()
    })  # fmt: skip


def test_sizes_spreads_and_who_is_best() -> None:
    [latency] = measures("mean_ms", [])
    found = screened({"sum": lambda x, y: 2 * x - y, "product": lambda x, y: 1.5 + x * y})
    sizes = [effect.size.mean for effect in found.effects(latency, "sum")]
    assert sizes == [pytest.approx(2.0), pytest.approx(1.0)]
    assert found.effects(latency, "sum")[1].mean == pytest.approx(-1.0)
    assert found.effects(latency, "sum")[0].spread == pytest.approx(0.0, abs=1e-9)
    assert found.effects(latency, "product")[0].spread > 0.1
    assert found.best(latency) == {"sum": 1.0, "product": 0.0}
    assert found.points == 6


def test_the_arithmetic_is_salibs() -> None:
    pytest.importorskip("SALib")
    import numpy as np
    from SALib.analyze import morris

    paths = screening.paths(3, 12, seed=5)
    assert paths == screening.paths(3, 12, seed=5) != screening.paths(3, 12, seed=6)
    function = lambda x, y, z: math.sin(3 * x) + x * y * 4 + 0 * z  # noqa: E731
    points = np.array([point for path in paths for point in path])
    problem = {"num_vars": 3, "names": ["x", "y", "z"], "bounds": [[0, 1]] * 3}
    told = morris.analyze(problem, points, np.array([function(*p) for p in points]), num_levels=4)
    [latency] = measures("mean_ms", [])
    ours = screened({"f": function}, paths).effects(latency, "f")
    assert [effect.size.mean for effect in ours] == pytest.approx(list(told["mu_star"]), abs=1e-9)
    assert [effect.mean for effect in ours] == pytest.approx(list(told["mu"]), abs=1e-9)
    assert [effect.spread for effect in ours] == pytest.approx(list(told["sigma"]), abs=1e-9)


def test_without_salib_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "SALib.sample", None)
    done = CliRunner().invoke(main, ["sensitivity", "quickstart", "--morris", "--workers", "1"])
    assert done.exit_code == 2
    assert done.stderr.strip().endswith("pip install 'layerlift[studies]'")
    assert done.stderr.count("\n") == 1


@pytest.mark.long
def test_all_are_moved_together_on_the_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(screening, "paths", lambda factors, count, seed: PATHS)
    monkeypatch.setattr(screening, "check", lambda trajectories: None)
    made: dict[int, set[int]] = {}

    def perform(job: jobs.Job) -> Any:
        made.setdefault(job.step, set()).add(job.seed)
        return jobs.perform(job)

    monkeypatch.setattr(study, "perform", perform)
    asked: dict[str, Any] = {"seeds": [1, 2], "only": list(FIELDS[::2]), "workers": 1, "out": tmp_path}
    found = sensitivity(lone(), morris=True, trajectories=2, **asked)
    # The scenario, four levels with both seeds; then two paths of three points, each with a seed of its own.
    assert [made[step] for step in sorted(made)] == [{1, 2}] * 5 + [{1}] * 3 + [{2}] * 3
    assert found.screening is not None
    [measure], [planner] = found.measures, found.planners
    graph = load("squeezenet").graph
    carried = math.fsum(graph.tensors[name].bytes for name in (*graph.inputs, *graph.outputs))
    # On the first path the link goes from half to 2 ** (1/3) of what it is.
    effect = (carried / (10 * 2 ** (1 / 3) * MB) - carried / (5 * MB)) / (2 / 3)
    assert found.screening.effects(measure, planner)[0].mean < 0
    first = elementary(PATHS[0], [measure.of(found.screening.outcomes[planner][0, b]) for b in range(3)])
    assert first[0][1] == pytest.approx(effect, rel=1e-9)
    assert "With all moved together (2 paths)" in found.sentences()[-1]
    assert found.as_dict()["screening"]["worlds"] == 6
    assert 'id="effects0"' in (tmp_path / "sensitivity.html").read_text()


# The command and the page


def told(folder: Path, line: str, **changes: Any) -> Any:
    path = folder / "world.json.yaml"
    path.write_text(json.dumps(LONE | changes))
    return CliRunner().invoke(main, ["sensitivity", str(path), *line.split()])


@pytest.mark.long
def test_the_command_tells_first_and_shows_then(tmp_path: Path) -> None:
    line = (
        f"--seeds 1 --workers 1 --only {FIELDS[0]} --planner local --planner all_remote+direct --out {tmp_path / 'out'}"
    )
    done = told(tmp_path, line, name="<script>x</script>")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("With local latency, mean over queries is ")
    assert "whichever of 1 assumption is halved or doubled" in lines[0]
    assert lines[1].startswith("With all_remote+direct latency, mean over queries is ")
    assert any(line.startswith(FIELDS[0]) and "|h" in line for line in lines)
    page = (tmp_path / "out" / "sensitivity.html").read_text()
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in page
    assert "<script src" not in page
    assert 'id="tornado0"' in page
    assert done.stderr.strip().endswith("sensitivity.json, sensitivity.html")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--metric p59_ms", "--metric p59_ms has no metric 'p59_ms'"),
        ("--metric slowdown_mean_users", "against other runs"),
        ("--metric nobody.mean_ms", "is of 'nobody'"),
        ("--metric mean_ms<=3", "expected [KIND.]METRIC"),
        ("--only nothing", "--only nothing names no assumption"),
        ("--also nothing", "--also nothing names no field"),
        ("--planner nobody", "nobody"),
        ("--set compute=measured --set execution=every", "compute: measured"),
        ("--seed 1 --seeds 2", "--seed and --seeds"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(tmp_path: Path, line: str, said: str) -> None:
    done = told(tmp_path, f"{line} --workers 1 --out {tmp_path / 'out'}")
    assert done.exit_code != 0
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 330
    assert not (tmp_path / "out").exists()


def test_a_level_is_a_plain_run_of_those_overrides() -> None:
    found = sensitivity(lone(), seeds=[3], workers=1, only=[FIELDS[0]])
    result = run(lone().changed(["links.client-edge.bandwidth_mb_s=5.0", "seed=3"]), local=True)
    [seen] = found.levels.outcomes[found.planners[0], Step(0, "half")].values()
    assert seen["digest"] == result.digest


def test_errors_are_of_the_root_class() -> None:
    for wrong in ({"metrics": 3}, {"workers": 0}, {"workers": True}, {"seeds": 0}, {"trajectories": 1, "morris": True}):
        with pytest.raises(LayerliftError):
            sensitivity(lone(), **wrong)  # type: ignore[arg-type]
