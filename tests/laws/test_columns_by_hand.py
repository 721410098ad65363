"""What columns mean where a name could mislead: worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import Run, chain_graph, fixed, run_world, small_world

from layerlift.emulator.results.incidents import incidents
from layerlift.emulator.world.faults import Crash, Outage, Pairs
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.world import World

RATE, DELAY = 1e6, 0.01


def test_under_fifo_a_segment_begins_when_the_cpu_turns_to_it() -> None:
    """Two clients ask at the same instant; the server takes 0.3 s for each, one after the other."""
    graph = chain_graph((0, 0, 0), (0, 0))
    world = small_world(
        graph, (0.1, 0.3), fixed((0, 1)), clients=2, link=LinkSpec(DELAY, RATE), server={"discipline": "fifo"},
        user={"queries": 3, "think_s": 5.0},
    )  # fmt: skip
    run = run_world(world)
    rows = [row for row in run.tables["segments"] if row["node"] == "s1" and row["query"] == 1]
    first, second = sorted(rows, key=lambda row: row["ended_s"])
    assert first["ready_s"] == second["ready_s"] == first["begun_s"]
    assert second["begun_s"] == first["ended_s"] == pytest.approx(first["begun_s"] + 0.3)
    assert second["ended_s"] - second["begun_s"] == pytest.approx(second["work_s"])


def broken(header_bytes: int, resume: bool) -> Run:
    """A part of 4 MB and its header; 0.5 s after the first byte the link is down."""
    graph = chain_graph((0, 0), (4_000_000,))
    world = small_world(
        graph, (0.1,), fixed((1,)), link=LinkSpec(DELAY, RATE), header_bytes=header_bytes,
        user={"queries": None, "resume": resume}, until_s=12.0,
    )  # fmt: skip
    [sent] = [row["sent_s"] for row in run_world(world).tables["uploads"]]
    return run_world(replace(world, faults=(Outage(Pairs("client", "edge"), sent + DELAY + 0.5, 1.0),)))


@pytest.mark.parametrize("header_bytes", [0, 100_000])
def test_wasted_bytes_are_without_the_header_as_bytes_are(header_bytes: int) -> None:
    failed, confirmed = broken(header_bytes, resume=False).tables["uploads"]
    assert (failed["status"], failed["bytes"], confirmed["bytes"]) == ("failed", 4_000_000, 4_000_000)
    assert failed["wasted_bytes"] == pytest.approx(500_000 - header_bytes, abs=1)
    kept, rest = broken(header_bytes, resume=True).tables["uploads"]
    assert kept["wasted_bytes"] == 0
    assert rest["bytes"] == pytest.approx(3_500_000 + header_bytes, abs=1)


def crashing(name: str) -> World:
    """One server of this name, which crashes in the middle of the run."""
    graph = chain_graph((0, 0), (1000,))
    world = small_world(
        graph, (1.0,), fixed((1,)), link=LinkSpec(DELAY, RATE), user={"queries": None}, until_s=20.0, server_ghz=2.0
    )
    named = tuple(replace(node, name=name) if node.tier == "edge" else node for node in world.nodes)
    return replace(world, nodes=named, faults=(Crash((world.servers[0],), 10.2, 3.0),))


@pytest.mark.parametrize("name", ["s1", "link1", "refused", "lost on link"])
def test_a_server_that_is_down_is_a_server_whatever_it_is_called(name: str) -> None:
    run = run_world(crashing(name))
    [fallen] = [row for row in run.tables["queries"] if row["fallback"]]
    assert (fallen["fallback"], fallen["fallback_cause"]) == (f"{name} is down", "server")
    assert counted(run)["fallbacks"] == {"server": 1}


def counted(run: Run) -> dict[str, object]:
    """What run.json calls `troubles`."""
    import pyarrow as pa

    from layerlift.emulator.results.columns import batch

    return incidents(lambda table: pa.Table.from_batches([batch(table, run.rows[table])]))
