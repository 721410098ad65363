"""What each bundled scenario of a crowd claims in its `about`, on small versions of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache
from statistics import fmean
from typing import Any

import pytest

from layerlift.emulator import RunResult, Scenario, run
from layerlift.emulator.scenario import bundled
from layerlift.emulator.studies.fairness.measure import fairness

pytestmark = pytest.mark.long

CROWDS = ("commuters", "contention", "flaky", "late-arrival", "rush-hour")


@cache
def small(name: str, *settings: str) -> RunResult:
    """A run of a bundled scenario with fields changed; in this process, without execution."""
    return run(Scenario.load(name, [*settings, "execution=none"]), local=True)


def latency_s(result: RunResult, kind: str, since_s: float = 0.0) -> float:
    """Mean latency of a kind's answered queries that were asked from an instant on."""
    return fmean(
        row["latency_s"]
        for row in result.queries.to_pylist()
        if row["user"].startswith(f"{kind}-") and row["asked_s"] >= since_s and row["status"] == "answered"
    )


def count(rows: Iterable[dict[str, Any]], *fields: str) -> Counter[Any]:
    return Counter(tuple(row[field] for field in fields) for row in rows)


def every_question_is_accounted_for(result: RunResult) -> None:
    """Law 5: whoever asked has one row for each question, answered or failed with a reason."""
    rows = result.queries.to_pylist()
    assert max(count(rows, "user", "query").values()) == 1
    assert all(row["status"] == "answered" or (row["status"] == "failed" and row["reason"]) for row in rows)
    for user in {row["user"] for row in rows}:
        numbers = sorted(row["query"] for row in rows if row["user"] == user)
        assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize("name", [*CROWDS, "gpu-edge", "elastic"])
def test_every_number_of_the_file_has_a_source(name: str) -> None:
    scenario = Scenario.load(name)
    stated = {entry["path"]: entry["source"] for entry in scenario.assumptions()}
    assert all(stated.values())
    numbers = list(_numbers(scenario.model_dump(exclude_unset=True, exclude={"sources", "seed"}), ""))
    unsaid = [path for path in numbers if not any(path == key or path.startswith(f"{key}.") for key in stated)]
    assert not unsaid


def _numbers(value: object, path: str) -> Iterable[str]:
    """Paths of the numbers in a section."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, item in items:
        yield from _numbers(item, f"{path}.{key}" if path else str(key))
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield path


@pytest.mark.parametrize("name", CROWDS)
def test_seeds_differ(name: str) -> None:
    one, two = (Scenario.load(name, [f"seed={seed}"]).resolve() for seed in (1, 2))
    for field in ("arrival_s", "model"):
        assert [getattr(user, field) for user in one.users] != [getattr(user, field) for user in two.users]
    assert [node.ghz for node in one.nodes] != [node.ghz for node in two.nodes]
    assert len({node.ghz for node in one.nodes if node.tier == "client"}) == len(one.users)


def test_they_are_listed() -> None:
    assert set(CROWDS) < set(bundled())
    assert Scenario.load("contention").user_count == 300
    assert len(Scenario.load("contention").users) == 1


# contention

FEW = ("nodes.0.count=2", "nodes.1.count=1", "nodes.*.memory_mb=600", "users.0.count=120", "users.0.queries=30")


def test_who_plans_alone_against_idle_servers_would_have_been_better_off_at_home() -> None:
    crowd, home = small("contention", *FEW), small("contention", *FEW, "users.0.planner=local")
    assert latency_s(crowd, "phone") > 1.1 * latency_s(home, "phone")
    refused = [row for row in crowd.uploads.to_pylist() if row["status"] == "refused"]
    assert refused
    assert all(row["reason"].startswith("memory") for row in refused)
    assert ("refused", "accepted") in count(crowd.plans.to_pylist(), "cause", "status")
    assert len(crowd.queries) == len(home.queries) == 120 * 30


@pytest.mark.parametrize(
    "mending", [("nodes.*.policy=equal",), ("users.0.planner=best_response+ionn", "planner.gather_s=4")]
)
def test_knowing_of_each_other_mends_contention(mending: tuple[str, ...]) -> None:
    mended, crowd = small("contention", *FEW, *mending), small("contention", *FEW)
    assert latency_s(mended, "phone") < 0.8 * latency_s(crowd, "phone")


# late-arrival: a server and four users of each half for each core of it

HALVES = (
    "nodes.0.count=2",
    "nodes.0.memory_mb=560",
    "users.*.count=8",
    "users.*.arrival.per_s=2",
    "users.1.arrival.start_s=60",
    "until_s=140",
)


def late(policy: str) -> RunResult:
    return small("late-arrival", *HALVES, f"nodes.0.policy={policy}")


def test_under_greedy_the_late_find_nothing() -> None:
    result = late("greedy")
    assert {row["user"].split("-")[0] for row in result.uploads.to_pylist()} == {"early"}
    assert latency_s(result, "late", 80) > 2.5 * latency_s(result, "early", 80)
    assert fairness(result)["all"]["arrival_bias"] > 0.5


@pytest.mark.parametrize("policy", ["equal", "drf"])
def test_a_policy_that_takes_back_closes_the_gap_at_a_price_for_the_early(policy: str) -> None:
    result, greedy = late(policy), late("greedy")
    assert latency_s(result, "late", 80) < 1.6 * latency_s(result, "early", 80)
    assert latency_s(result, "late", 80) < 0.7 * latency_s(greedy, "late", 80)
    assert latency_s(result, "early", 80) > latency_s(greedy, "early", 80)
    found, before = fairness(result), fairness(greedy)
    assert found["all"]["jain"] > before["all"]["jain"] + 0.1
    assert abs(found["all"]["arrival_bias"]) < before["all"]["arrival_bias"]
    evicted = [row for row in result.allocations.to_pylist() if row["event"] == "evicted"]
    assert evicted
    assert ("evicted", "accepted") in count(result.plans.to_pylist(), "cause", "status")
    assert found["disruptions"]["all"] == len(evicted)


# flaky


def test_flaky_links_cost_no_question_and_resuming_saves_bytes() -> None:
    result = small("flaky", "users.*.count=6", "until_s=125")
    every_question_is_accounted_for(result)
    rows = result.queries.to_pylist()
    assert {row["reason"] for row in rows if row["status"] == "failed"} <= {"run ended"}
    fallen = [row for row in rows if row["fallback"]]
    assert len(fallen) > 5
    assert all(row["status"] == "answered" or row["reason"] == "run ended" for row in fallen)
    changes = count(result.changes.to_pylist(), "kind")
    assert changes[("crash",)] == changes[("restart",)] == 1
    assert changes[("link down",)] > 10
    wasted: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    for row in result.uploads.to_pylist():
        wasted[row["user"].split("-")[0]] += row["wasted_bytes"]
        broken[row["user"].split("-")[0]] += row["status"] == "failed"
    assert broken["resuming"] > 0
    assert wasted["restarting"] > 20 * max(wasted["resuming"], 1)


# commuters


def test_commuters_are_handed_over_with_copies_and_some_batteries_end() -> None:
    result = small("commuters", "users.*.count=6", "until_s=200", "users.0.device.battery_j=[300, 1500]")
    every_question_is_accounted_for(result)
    changes = count(result.changes.to_pylist(), "kind")
    assert changes[("hand-over",)] > 20
    assert changes[("battery empty",)] >= 1
    copies = [row for row in result.uploads.to_pylist() if row["source"] != row["client"]]
    done = [row for row in copies if row["status"] == "confirmed"]
    assert len(done) > 0.8 * len(copies) > 10
    assert all(row["source"].startswith("edge") and row["source"] != row["server"] for row in copies)
    walkers = [row for row in result.changes.to_pylist() if row["kind"] == "hand-over" and "walker" in row["user"]]
    assert len(walkers) < changes[("hand-over",)] / 2


# rush-hour


def test_a_burst_fills_queues_and_some_frames_are_dropped() -> None:
    result = small("rush-hour", "until_s=70")
    every_question_is_accounted_for(result)
    why = count(
        ({"kind": row["user"].split("-")[0], "reason": row["reason"]} for row in result.queries.to_pylist()),
        "kind",
        "reason",
    )
    assert why["camera", "late"] > 10
    assert why["caller", "queue full"] > 100
    assert not why["caller", "late"]
    assert not why["camera", "queue full"]
    found = {entry["kind"]: entry["deadline"]["queries"] for entry in fairness(result)["kinds"]}
    assert found["caller"] < 0.7 < found["walker"]


def test_without_shares_a_burst_of_some_hurts_the_others() -> None:
    equal, free = small("rush-hour", "until_s=70"), small("rush-hour", "until_s=70", "nodes.0.policy=first_come")
    dropped = [count(result.queries.to_pylist(), "reason")[("late",)] for result in (equal, free)]
    assert dropped[1] > 2 * dropped[0]


# gpu-edge


def settled_s(result: RunResult) -> float:
    """Mean latency of frames asked once all have uploaded their network."""
    return latency_s(result, "camera", since_s=14.0)


def test_batches_keep_up_where_one_by_one_does_not() -> None:
    together, alone = small("gpu-edge", "until_s=18"), small("gpu-edge", "until_s=18", "nodes.0.max_batch=1")
    assert settled_s(alone) > 5 * settled_s(together)
    assert together.summary["servers"][0]["batches"]["mean_size"] > 1.5
    assert alone.summary["servers"][0]["batches"]["largest"] == 1
    every_question_is_accounted_for(together)


def test_few_cameras_wait_for_company_in_vain() -> None:
    waits = small("gpu-edge", "until_s=20", "users.0.count=3", "nodes.0.batch_wait_ms=20")
    at_once = small("gpu-edge", "until_s=20", "users.0.count=3", "nodes.0.batch_wait_ms=0")
    told = waits.summary["servers"][0]["batches"]
    assert told["company_mean_s"] > 0.015
    assert settled_s(waits) - settled_s(at_once) > 0.01


# elastic


def test_servers_come_with_the_crowd_and_slow_plans_move_to_them() -> None:
    moved, kept = small("elastic"), small("elastic", "users.0.replan=never")
    [scaled] = moved.summary["scaling"]
    assert (scaled["least"], scaled["most"]) == (1, 4)
    assert 1.5 < scaled["mean"] < 3.0
    asked = moved.summary["troubles"]["replans"]
    assert asked["slow"] > asked["worse"] > 0
    assert latency_s(moved, "visitor", since_s=60.0) < 0.95 * latency_s(kept, "visitor", since_s=60.0)
    sent = sum(row["sent_bytes"] for row in moved.usage.to_pylist() if row["node"].startswith("visitor-"))
    assert moved.run["media"]["cell"]["up_bytes"] == sent > 0, "all of it crosses the cell"
    every_question_is_accounted_for(moved)
