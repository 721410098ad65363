"""Real layers while servers crash, links break and users move: every answer is the uncut network's, bit for bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow.compute as pc
import pytest
from breaking import breaking

from layerlift.emulator import RunResult, run

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def local() -> RunResult:
    return run(breaking("execution=every"), local=True)


def errors(result: RunResult) -> list[float]:
    rows = result.measured.filter(pc.equal(result.measured["kind"], "output_error"))
    found: list[float] = rows.column("value").to_pylist()
    return found


def test_answers_are_exact_whatever_breaks(local: RunResult) -> None:
    assert errors(local) == [0.0] * 150
    fallbacks = [reason for reason in local.queries["fallback"].to_pylist() if reason]
    assert len(fallbacks) >= 5
    assert any("is down" in reason and "link" not in reason for reason in fallbacks)
    assert any(reason.startswith("link ") for reason in fallbacks)
    kinds = Counter(local.changes["kind"].to_pylist())
    assert {"crash", "restart", "link down", "link up", "hand-over"} <= kinds.keys()
    copied = [row for row in local.uploads.to_pylist() if row["source"].startswith("edge")]
    assert any(row["status"] == "confirmed" for row in copied)


def test_a_query_that_falls_back_takes_longer_than_its_client_alone(local: RunResult) -> None:
    """Its delay says so: the time in vain, and then the layers that were left."""
    for row in local.queries.to_pylist():
        if row["fallback"] and row["server_work_s"] == 0.0:
            assert row["latency_s"] > row["client_work_s"] > 0.0


def test_execution_changes_no_number(local: RunResult) -> None:
    assert run(breaking("execution=none"), local=True).digest == local.digest
    once = run(breaking("execution=once"), local=True)
    assert once.digest == local.digest
    assert 0 < once.run["executed_pieces"] < local.run["executed_pieces"]
    assert set(errors(once)) == {0.0}


@pytest.fixture(scope="module")
def _ray() -> Iterator[None]:
    from layerlift.emulator.cluster.session import RayCluster

    with RayCluster(object_store_bytes=400 * 2**20):
        yield


@pytest.mark.ray
@pytest.mark.usefixtures("_ray")
@pytest.mark.parametrize(
    "options", [{"actors": 4}, pytest.param({"actors": 2, "time_plane": "local"}, marks=pytest.mark.slow)]
)
def test_over_ray_the_same(local: RunResult, options: dict[str, object]) -> None:
    made = run(breaking("execution=every"), **options)
    assert made.digest == local.digest
    assert errors(made) == [0.0] * 150


def test_the_summary_counts_what_broke(local: RunResult) -> None:
    found = local.summary["troubles"]
    fallbacks = [text for text in local.queries["fallback"].to_pylist() if text]
    assert sum(found["fallbacks"].values()) == len(fallbacks)
    assert found["fallbacks"]["link"] == sum(text.startswith("link") for text in fallbacks)
    assert found["wasted_bytes"] == sum(local.uploads["wasted_bytes"].to_pylist())
    assert found["lost"] == local.allocations["event"].to_pylist().count("lost")
    assert sum(user["fallbacks"] for user in local.summary["users"]) == len(fallbacks)
    assert all(user["queries_per_j"] == user["answered"] / user["energy_j"] for user in local.summary["users"])


def test_an_empty_battery_is_a_lifetime() -> None:
    made = run(breaking("execution=none", "users.0.device.battery_j=6", "users.0.queries=200"), local=True)
    died = {row["user"]: row["at_s"] for row in made.changes.to_pylist() if row["kind"] == "battery empty"}
    assert set(died) == {"phone-1", "phone-2", "phone-3"}
    arrived = {user["name"]: user["arrival_s"] for user in made.run["world"]["users"]}
    lifetimes = {user["user"]: user["lifetime_s"] for user in made.summary["users"]}
    assert lifetimes == {user: (died[user] - arrived[user] if user in died else None) for user in lifetimes}
    reasons = {row["reason"] for row in made.queries.to_pylist() if row["user"] in died and row["status"] == "failed"}
    assert reasons <= {"battery empty"}
