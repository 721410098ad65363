"""Two equal edge servers and a question every 8 ms with 10.6 ms of work: the example of docs/planners.md, run."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from worlds import Run, chain_graph, run_world, small_world

from layerlift.emulator.report.judgements import above_promised
from layerlift.emulator.report.report import show
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.results.writer import ResultWriter
from layerlift.emulator.world.describe import describe_world
from layerlift.emulator.world.laws import Regular
from layerlift.emulator.world.links import LinkSpec
from layerlift.planners import Objective

LAYERS = (2.4, 1.9, 2.0, 1.5, 2.8)
"""Milliseconds at an edge server: 10.6 in all, and 4.3 and 6.3 before and after the second cut."""


def asked(planner: str, in_flight: int, until_s: float = 60.0, **user: Any) -> Run:
    """A camera that asks from the tenth second on, when all is uploaded."""
    graph = chain_graph([100_000, 80_000, 40_000, 40_000, 20_000, 1_000], [10_000] * 5)
    link = LinkSpec(0.0008, 2e8)
    world = small_world(
        graph,
        [each / 1000.0 * 20.0 for each in LAYERS],
        planner,
        servers=2,
        server_ghz=20.0,
        link=link,
        share_links=True,
        user={"asks": Regular(8.0, 10.0), "queries": None, "in_flight": in_flight, **user},
        until_s=until_s + 10.0,
    )
    return run_world(world)


def told(run: Run) -> RunResult:
    writer = ResultWriter(None)
    for table, rows in run.rows.items():
        writer.add(table, rows)
    writer.close({"world": describe_world(run.world), "virtual_s": run.ending.at_s})
    return writer.result()


def busy(run: Run) -> list[float]:
    spent = {row["node"]: row["busy_s"] for row in run.tables["usage"]}
    return [spent[name] / 60.0 for name in ("s1", "s2")]


def answered(run: Run) -> list[float]:
    return [row["latency_s"] for row in run.tables["queries"] if row["status"] == "answered"]


@pytest.mark.long
def test_a_pipeline_keeps_up_where_one_server_does_not() -> None:
    alone, crowded = asked("units", 1), asked("units", 8)
    assert busy(alone)[0] == pytest.approx(0.83, abs=0.01)
    assert busy(crowded)[0] == pytest.approx(1.0, abs=0.01)
    for run in (alone, crowded):
        assert busy(run)[1] == 0.0
        assert answered(run)[-1] > 10.0
    both = asked("pipeline", 8)
    assert busy(both) == pytest.approx([0.0043 / 0.008, 0.0063 / 0.008], abs=0.01)
    assert [len(answered(run)) for run in (alone, crowded, both)] == [4_722, 5_657, 7_499]
    assert max(answered(both)) == pytest.approx(min(answered(both)), rel=1e-9)
    assert max(answered(both)) == pytest.approx(0.0137, abs=5e-5)


def test_the_report_tells_how_often_was_promised_and_seen() -> None:
    run = asked("pipeline", 8, until_s=1.0, objective=Objective(period=1.0))
    result = told(run)
    [user] = result.summary["users"]
    assert user["plan"]["period_s"] == pytest.approx(0.0063)
    assert user["plan"]["seen_period_s"] == pytest.approx(0.008)
    shown = io.StringIO()
    show(result, Console(file=shown, width=300))
    assert "; bears a query every 6.30 ms, answered every 8.00 ms" in shown.getvalue()
    quiet = asked("pipeline", 1, until_s=1.0)
    assert [row for row in quiet.tables["measured"] if row["kind"] == "period_s"]
    assert not asked("units", 1, until_s=1.0).tables["measured"]


@pytest.mark.long
def test_a_stream_that_keeps_its_rate_is_not_far_above_its_promise() -> None:
    """Of eight that follow each other back to back each takes eight periods, and none is told to be late for that."""
    [user] = told(asked("units", 8, until_s=10.0, asks=None, queries=1_000)).summary["users"]
    plan = user["plan"]
    assert (plan["period_s"], plan["stream_s"]) == pytest.approx((0.0106, 0.0848))
    median_s = user["latency_s"]["after"]["median"]
    assert plan["stream_s"] <= median_s < 1.1 * plan["stream_s"], "equals end together, and cross the link together"
    assert plan["seen_period_s"] == pytest.approx(median_s / 8.0, rel=1e-2), "eight are under way all the time"
    assert above_promised(user) == median_s / plan["stream_s"]
    [late] = told(asked("units", 8, until_s=20.0)).summary["users"]
    assert late["plan"]["stream_s"] == late["plan"]["period_s"]
    assert above_promised(late) > 1.5, "questions that come oftener than they are answered wait"
