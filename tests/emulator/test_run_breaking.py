"""Real layers while servers crash, links break and users move: every answer is the uncut network's, bit for bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow.compute as pc
import pytest
from breaking import breaking

from emulator import RunResult, run


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
    from emulator.ray_hosts import RayCluster

    with RayCluster(object_store_bytes=400 * 2**20):
        yield


@pytest.mark.ray
@pytest.mark.parametrize("options", [{"actors": 4}, {"actors": 2, "time_plane": "local"}])
def test_over_ray_the_same(local: RunResult, _ray: None, options: dict[str, object]) -> None:
    made = run(breaking("execution=every"), **options)
    assert made.digest == local.digest
    assert errors(made) == [0.0] * 150
