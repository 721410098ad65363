"""Sizing: the answer is that of a brute scan, targets mean what they say, and a killed study goes on."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerlift.emulator import Scenario, run
from layerlift.emulator.studies.compare.statistics import Interval
from layerlift.emulator.studies.fairness.measure import fairness
from layerlift.emulator.studies.size import jobs, study, vary
from layerlift.emulator.studies.size.page import _chart
from layerlift.emulator.studies.size.sizing import Sizing, Step
from layerlift.emulator.studies.size.study import size
from layerlift.emulator.studies.size.target import parsed
from layerlift.models.errors import LayerliftError, RunError, ScenarioError

SITE = {
    "name": "site",
    "nodes": [
        {"tier": "edge", "count": 1, "ghz": 24, "cores": 1, "memory_mb": 4000, "uplink_mb_s": 40, "downlink_mb_s": 40,
         "price_per_core_hour": 0.1}
    ],
    "links": {"client-edge": {"bandwidth_mb_s": 10, "latency_ms": 2},
              "edge-edge": {"bandwidth_mb_s": 90, "latency_ms": 1}},
    "users": [
        {"kind": "camera", "count": 6, "device": {"ghz": 1.2}, "model": "squeezenet", "planner": "one_step",
         "asks": {"per_s": 2}, "queries": 12, "arrival": {"per_s": 2}},
    ],
    "execution": "none",
    "reference_ghz": 48.6,
}  # fmt: skip


def site() -> Scenario:
    return Scenario.from_dict(SITE)


@pytest.mark.long
def test_the_answer_is_that_of_a_brute_scan() -> None:
    ghz, seeds = [2, 6, 12, 24, 48], [1, 2]
    seen: dict[float, list[float]] = {}
    for value in ghz:
        results = [run(site().changed([f"nodes.0.ghz={value}", f"seed={seed}"]), local=True) for seed in seeds]
        seen[value] = [fairness(result)["all"]["latency_s"]["queries"]["p95"] for result in results]
    # Half of an interval of two values: t(1) s / sqrt(2), which is 12.7062 |a - b| / 2.
    edges = {value: (a + b) / 2 + 12.7062 * abs(a - b) / 2 for value, (a, b) in seen.items()}
    bounds = sorted(edges.values())
    assert bounds[0] < bounds[-1]
    for low, high in itertools.pairwise(bounds):
        limit_ms = (low + high) / 2 * 1e3
        found = size(site(), {"nodes.0.ghz": ghz}, f"p95_ms <= {limit_ms}", seeds=seeds, local=True)
        smallest = min(value for value in ghz if edges[value] <= limit_ms / 1e3)
        [answer] = found.answers("one_step")
        assert answer.values == (str(smallest),)
        assert {step.values[0] for step in found.steps if step.holds} == {
            str(v) for v in ghz if edges[v] <= limit_ms / 1e3
        }
        assert f"nodes.0.ghz = {smallest} is enough" in found.sentences()[0]


@pytest.mark.long
def test_of_two_fields_every_pair_that_is_not_dominated_cheapest_first() -> None:
    fields: dict[str, Any] = {"nodes.0.ghz": [2, 6, 24], "links.client-edge.bandwidth_mb_s": [1, 3, 10]}
    all_s = sorted(step.found.mean for step in size(site(), fields, "p95_s <= 9", seeds=1, local=True).steps)
    found = size(site(), fields, f"p95_s <= {all_s[4]}", seeds=1, local=True)
    holding = {step.place for step in found.steps if step.holds}
    assert 0 < len(holding) < len(found.steps)
    best = {
        one
        for one in holding
        if not any(a != one and all(x <= y for x, y in zip(a, one, strict=True)) for a in holding)
    }
    answers = found.answers("one_step")
    assert {step.place for step in answers} == best
    assert len(best) > 1
    assert [step.money.mean for step in answers] == sorted(step.money.mean for step in answers)


@pytest.mark.long
def test_outcomes_are_those_of_plain_runs_and_of_any_order_of_planners() -> None:
    planners = ["one_step", "local"]
    both = size(site(), {"nodes.0.count": [1, 2]}, "mean_ms <= 500", planners=planners, seeds=2, local=True)
    turned = size(site(), {"nodes.0.count": [1, 2]}, "mean_ms <= 500", planners=planners[::-1], seeds=2, local=True)
    assert sorted((step.planner, step.values, step.digests) for step in both.steps) == sorted(
        (step.planner, step.values, step.digests) for step in turned.steps
    )
    alone = run(site().changed(["nodes.0.count=2", "users.0.planner=local"]), local=True)
    [step] = [step for step in both.steps if step.planner == "local" and step.values == ("2",)]
    assert alone.digest in step.digests


@pytest.mark.long
def test_a_study_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = size(site(), {"nodes.0.count": [1, 2, 3]}, "p95_ms <= 250", seeds=2, local=True)
    made: list[int] = []
    perform = jobs.perform

    def stopping(job: jobs.Job) -> Any:
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(job.step)
        return perform(job)

    monkeypatch.setattr(study, "perform", stopping)
    half = size(site(), {"nodes.0.count": [1, 2, 3]}, "p95_ms <= 250", seeds=2, local=True, out=tmp_path)
    assert not half.complete
    assert len(half.steps) == 1
    assert not (tmp_path / "size.json").exists()
    with (tmp_path / "runs.jsonl").open("a") as stream:
        stream.write('{"key": "torn')
    made[:] = []
    monkeypatch.setattr(study, "perform", lambda job: made.append(job.step) or perform(job))
    rest = size(site(), {"nodes.0.count": [1, 2, 3]}, "p95_ms <= 250", seeds=2, local=True, out=tmp_path)
    assert len(made) == 3
    assert rest == whole
    assert json.loads((tmp_path / "size.json").read_text()) == whole.as_dict()
    made[:] = []
    size(site(), {"nodes.0.count": [1, 2, 3]}, "p95_ms <= 250", seeds=2, local=True, out=tmp_path, force=True)
    assert not made


@pytest.mark.long
def test_a_run_that_fails_lets_its_step_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    perform = jobs.perform
    broken = lambda job: {"failed": "no luck"} if (job.step, job.seed) == (1, 2) else perform(job)  # noqa: E731
    monkeypatch.setattr(study, "perform", broken)
    found = size(site(), {"nodes.0.count": [1, 2, 3]}, "p95_ms <= 9000", seeds=[1, 2], local=True)
    assert [step.holds for step in found.of("one_step")] == [True, False, True]
    assert found.sentences()[-1] == "Runs failed at 2, so that nothing is known there."
    assert found.of("one_step")[1].failed == ("failed: no luck",)


@pytest.mark.long
def test_of_a_kind_only_its_own_queries_count() -> None:
    users = [SITE["users"][0] | {"kind": "slow", "planner": "local"}, SITE["users"][0] | {"kind": "quick"}]  # type: ignore[index]
    mixed = Scenario.from_dict(SITE | {"users": users})
    found = {
        of: size(mixed, {"nodes.0.ghz": [12, 24]}, f"{of}mean_ms <= 1", seeds=1, local=True).steps[1].found.mean
        for of in ("", "slow.", "quick.")
    }
    assert found["quick."] < found[""] < found["slow."]


@given(st.floats(-10, 10), st.floats(0, 5), st.integers(1, 5), st.floats(-10, 10))
def test_a_target_holds_where_its_whole_interval_does(mean: float, half: float, n: int, limit: float) -> None:
    found = Interval(mean, math.nan if n == 1 else half, n)
    width = 0.0 if n == 1 else half
    assert parsed(f"energy_j <= {limit}", []).holds(found) == (mean + width <= limit)
    assert parsed(f"energy_j >= {limit}", []).holds(found) == (mean - width >= limit)
    assert parsed(f"energy_j < {limit}", []).holds(found) == (mean + width < limit)
    assert not parsed(f"energy_j <= {limit}", []).holds(Interval(math.nan, math.nan, 0))


@pytest.mark.parametrize(
    ("text", "key", "limit"),
    [
        ("p95_ms <= 300", "latency_p95_queries_s", 0.3),
        ("p95_s<=0.3", "latency_p95_queries_s", 0.3),
        ("latency_mean_users_ms < 20", "latency_mean_users_s", 0.02),
        ("latency_mean_users_s < 20 ms", "latency_mean_users_s", 0.02),
        ("deadline_queries >= 95%", "deadline_queries", 0.95),
        ("energy_kj <= 2", "energy_j", 2000.0),
        ("camera.failed <= 0", "failed", 0.0),
    ],
)
def test_targets_mean_what_they_say(text: str, key: str, limit: float) -> None:
    target = parsed(text, ["camera"])
    assert target.metric.key == key
    assert target.limit == pytest.approx(limit)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p95_ms", "METRIC <= NUMBER"),
        ("p59_ms <= 3", "no metric 'p59_ms'.*did you mean p95_ms"),
        ("p95 <= 300", "did you mean p95_s or p95_ms"),
        ("slowdown_mean_users <= 2", "against other runs"),
        ("camra.p95_ms <= 3", "did you mean camera"),
        ("camera.busy_share <= 3", "whole run only"),
        ("nobody.p95_ms <= 3", "no kind of its users; known: camera$"),
        ("jain >= 3 ms", "expected a number without its unit"),
        ("p95_ms <= 3 ms", "expected a number in ms without"),
        ("p95_s <= 1e999", "expected a number in s without"),
        ("energy_kj <= 3%", "expected a number in kJ without"),
        ("envy <= 3s", "expected a number in parts of 1, or in % without"),
        ("p95_ms <= 1e999", "expected a number"),
    ],
)
def test_what_is_no_target_is_refused(text: str, said: str) -> None:
    with pytest.raises(RunError, match=said):
        parsed(text, ["camera"])


def test_values_are_ranges_or_lists_that_grow() -> None:
    assert vary.of(*vary.parsed("nodes.0.count=1..4")).values == ("1", "2", "3", "4")
    assert vary.of(*vary.parsed("users=10..40:10")).values == ("10", "20", "30", "40")
    assert vary.of(*vary.parsed("nodes.0.ghz=1,2.5,4")).values == ("1", "2.5", "4")
    for text in (
        "nodes.0.count",
        "nodes.0.count=4..1",
        "nodes.0.count=1..4:0",
        "a=3,2",
        "a=1",
        "a=x,y",
        "a=1..99999",
        "seed=1,2",
    ):
        with pytest.raises(ScenarioError):
            vary.of(*vary.parsed(text))


def test_what_cannot_be_run_is_refused_before_anything_runs(tmp_path: Path) -> None:
    for fields, more in (
        ({"nodes.0.gzh": [1, 2]}, {}),
        ({"nodes.0.count": [1, 2]}, {"planners": ["nobody"]}),
        ({}, {}),
        ({"nodes.0.count": [1, 2]}, {"seeds": []}),
        ({"nodes.0.count": [1, 2]}, {"seeds": True}),
    ):
        with pytest.raises(LayerliftError):
            size(site(), fields, "p95_ms <= 300", local=True, out=tmp_path / "out", **more)
    assert not (tmp_path / "out").exists()


NONE = Interval(math.nan, math.nan, 0)
ONE = Interval(3.0, math.nan, 1)


def test_a_number_that_no_run_has_is_said_to_be_none() -> None:
    steps = tuple(Step("ionn", (str(n),), (n,), NONE, False, ONE, ONE, "") for n in (1, 2))
    found = Sizing("site", ("users",), parsed("deadline_queries >= 95%", []), (1,), steps)
    [text] = found.sentences()
    assert text.startswith("With ionn no run has a number for in time, over queries")


@pytest.mark.parametrize(("until", "times"), [("money <= 9", 1), ("energy_j <= 9", 1), ("camera.money <= 9", 2)])
def test_what_the_target_is_about_is_shown_once(until: str, times: int) -> None:
    target = parsed(until, ["camera"])
    steps = tuple(Step("ionn", (str(n),), (n,), ONE, True, ONE, ONE, "") for n in (1, 2))
    found = Sizing("site", ("users",), target, (1,), steps)
    heads, lines = found.table()
    assert heads.count(found.scale().title(target.metric)) == times
    assert found.sentences()[0].count(found.scale().unit) == times
    assert all(len(line) == len(heads) for line in lines)


def test_a_chart_has_its_ticks_where_something_was_run() -> None:
    steps = tuple(Step("ionn", (str(n),), (n,), ONE, True, ONE, ONE, "") for n in (1, 2))
    drawn = str(_chart(Sizing("site", ("users",), parsed("p95_ms <= 300", []), (1,), steps)))
    assert "'values': [1.0, 2.0]" in drawn
    assert "'legend': None" in drawn  # one planner needs no key


def test_a_sizing_without_an_answer_names_the_nearest() -> None:
    steps = tuple(
        Step("ionn", (str(n),), (n,), Interval(1.0 / n, 0.01, 3), False, Interval(math.nan, math.nan, 0),
             Interval(math.nan, math.nan, 0), "What binds: the CPU of edge1.")
        for n in (1, 2)
    )  # fmt: skip
    found = Sizing("site", ("nodes.0.count",), parsed("p95_ms <= 100", []), (1, 2, 3), steps)
    [text] = found.sentences()
    assert "no value of nodes.0.count (1 to 2)" in text
    assert "nodes.0.count = 2 with 0.500 ±0.010 s, where what binds is the CPU of edge1." in text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"scenario": 3}, "the scenario is 3"),
        ({"fields": "nodes.0.ghz"}, "fields is 'nodes.0.ghz'"),
        ({"fields": {"nodes.0.ghz": 3}}, "fields is"),
        ({"fields": {"nodes.0.ghz": "1,2"}}, "fields is"),
        ({"until": None}, "until is None"),
        ({"until": 300}, "until is 300"),
    ],
)
def test_what_is_of_another_kind_is_a_sentence(given: dict[str, Any], said: str) -> None:
    asked: dict[str, Any] = {"scenario": SITE["name"], "fields": {"nodes.0.ghz": [1, 2]}, "until": "p95_ms <= 300"}
    with pytest.raises(RunError, match=said):
        size(**(asked | given))
