"""A full server refuses a part: what the client does then."""

from __future__ import annotations

from typing import Any

import pytest

from layerlift.emulator import RunResult, Scenario, run


def crowded(on_refusal: str, **changes: Any) -> RunResult:
    """Two clients want the fast server, which has room for one; the slower one has room for the other."""
    world = {
        "name": "crowded",
        "nodes": [
            {"tier": "client", "count": 2, "ghz": 1.0},
            {"tier": "edge", "name": "fast", "ghz": 20, "memory_mb": 6},
            {"tier": "edge", "name": "slow", "ghz": 12, "memory_mb": 6},
        ],
        "links": {
            "client-edge": {"bandwidth_mb_s": 10, "latency_ms": 2},
            "edge-edge": {"bandwidth_mb_s": 10, "latency_ms": 1},
        },
        "users": [{"model": "squeezenet", "planner": "all_remote", "queries": 12, "on_refusal": on_refusal}],
        "reference_ghz": 72.5,
        "execution": "none",
    }
    return run(Scenario.from_dict(world | changes), local=True)


def last_plans(result: RunResult) -> dict[str, str]:
    return {row["user"]: row["placement"] for row in result.plans.to_pylist()}


def test_a_refused_client_plans_again_with_what_is_left() -> None:
    result = crowded("replan")
    statuses = [(row["user"], row["server"], row["status"]) for row in result.uploads.to_pylist()]
    loser = next(user for user, _, status in statuses if status == "refused")
    assert sorted(status for _, _, status in statuses) == ["confirmed", "confirmed", "refused"]
    assert (loser, "slow", "confirmed") in statuses
    assert last_plans(result)[loser].startswith("slow:")
    assert [row["plan_version"] for row in result.plans.to_pylist() if row["user"] == loser] == [1, 2]
    late = [row for row in result.queries.to_pylist() if row["user"] == loser][-1]
    assert late["remote_layers"] > 0
    assert late["plan_version"] == 2


def test_one_who_skips_stays_local() -> None:
    result = crowded("skip")
    loser = next(row["user"] for row in result.uploads.to_pylist() if row["status"] == "refused")
    assert all(row["remote_layers"] == 0 for row in result.queries.to_pylist() if row["user"] == loser)
    assert result.plans.num_rows == 2


def test_planning_again_has_an_end() -> None:
    """No server has room: a planner that insists is asked `retries` times more, and then its user stays local."""
    nodes = [
        {"tier": "client", "count": 1, "ghz": 1.0},
        {"tier": "edge", "name": "tiny", "ghz": 20, "memory_mb": 1},
    ]
    users = [{"model": "squeezenet", "planner": "ionn", "queries": 5, "on_refusal": "replan", "retries": 2}]
    result = crowded("replan", nodes=nodes, users=users)
    assert result.plans.num_rows <= 3
    assert result.queries["status"].to_pylist() == ["answered"] * 5


@pytest.mark.parametrize("on_refusal", ["replan", "wait", "skip"])
def test_what_was_held_is_freed(on_refusal: str) -> None:
    result = crowded(on_refusal, until_s=60)
    freed = [row for row in result.allocations.to_pylist() if row["event"] == "released"]
    assert all(row["held_bytes"] >= 0 for row in freed)
    books = result.run["books"]
    arrived = books["delivered_bytes"] + books["lost_bytes"] + books["cancelled_bytes"] + books["in_flight_bytes"]
    assert books["sent_bytes"] == arrived
