"""Semantics, "A query": small cases worked out by hand, compared with the segments that ran."""

from __future__ import annotations

from typing import Any

import pytest
from worlds import Run, fixed, run_world, small_world

from layerlift.emulator.world.links import LinkSpec
from layerlift.models.graph.graph import Layer, LayerGraph, Tensor

DELAY, RATE = 0.01, 1000.0
LINK = LinkSpec(DELAY, RATE)


def graph_of(tensors: dict[str, int], layers: dict[str, tuple[list[str], list[str]]], outputs: set[str]) -> LayerGraph:
    """Layers by name: (what they read, what they make); tensors by name: bytes. Nothing has parameters."""
    names = list(tensors)
    index = {name: position for position, name in enumerate(names)}
    maker = {out: number for number, (_, outs) in enumerate(layers.values()) for out in outs}
    readers = {name: [n for n, (ins, _) in enumerate(layers.values()) if name in ins] for name in names}
    return LayerGraph(
        "by hand",
        tuple(
            Layer(n, name, "Op", tuple(index[i] for i in ins), tuple(index[o] for o in outs), ())
            for n, (name, (ins, outs)) in enumerate(layers.items())
        ),
        tuple(
            Tensor(name, tensors[name], maker.get(name, -1), tuple(readers[name]), name in outputs) for name in names
        ),
        (),
        tuple(index[name] for name in names if name not in maker),
        tuple(index[name] for name in names if name in outputs),
    )


FORK = graph_of(
    {"in": 0, "a": 100, "b": 200, "c": 300, "out": 50},
    {
        "split": (["in"], ["a"]),
        "left": (["a"], ["b"]),
        "right": (["a"], ["c"]),
        "join": (["b", "c"], ["out"]),
    },
    {"out"},
)
"""in -> split -> a -> (left -> b, right -> c) -> join -> out; node seconds 0.1, 0.2, 0.4, 0.05."""
SECONDS = (0.1, 0.2, 0.4, 0.05)


def last_query(run: Run) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The last query, and its segments by step with times from its start."""
    query = run.tables["queries"][-1]
    mine = [row for row in run.tables["segments"] if row["query"] == query["query"]]
    for row in mine:
        for column in ("ready_s", "begun_s", "ended_s"):
            row[column] -= query["begun_s"]
    return query, sorted(mine, key=lambda row: row["step"])


def ask(placement: tuple[int, ...], mode: str = "dataflow", graph: LayerGraph = FORK, **changes: Any) -> Run:
    """A user who asks slowly enough for the plan to be in force at the last query."""
    world = small_world(
        graph, changes.pop("seconds", SECONDS), fixed(placement), servers=2, link=LINK,
        user={"query": mode, "queries": 4, "think_s": 1.0, **changes.pop("user", {})}, **changes,
    )  # fmt: skip
    return run_world(world)


@pytest.mark.parametrize("share", [False, True])
def test_branches_on_different_servers_overlap(share: bool) -> None:
    query, (split, left, right, join) = last_query(ask((0, 1, 2, 0), share_links=share))
    assert split["ended_s"] == pytest.approx(0.1)
    assert left["begun_s"] == pytest.approx(0.1 + DELAY + 0.1)
    assert right["begun_s"] == pytest.approx(0.1 + DELAY + 0.1)
    assert left["ended_s"] == pytest.approx(0.41)
    assert right["ended_s"] == pytest.approx(0.61)
    assert join["ready_s"] == pytest.approx(0.61 + DELAY + 0.3)
    assert query["latency_s"] == pytest.approx(0.97)
    assert query["segments"] == 4


def test_in_serial_mode_a_segment_also_waits_for_the_one_before_it() -> None:
    """`right` has its tensor at 0.21, but waits for the token of `left`, which ends at 0.41, on its way for 0.01."""
    query, (_, left, right, join) = last_query(ask((0, 1, 2, 0), "serial"))
    assert left["ended_s"] == pytest.approx(0.41)
    assert right["begun_s"] == pytest.approx(0.42)
    assert right["ended_s"] == pytest.approx(0.82)
    assert join["begun_s"] == pytest.approx(0.82 + DELAY + 0.3)
    assert query["latency_s"] == pytest.approx(0.82 + 0.31 + 0.05)


def test_a_serial_token_rides_behind_the_tensors_of_its_pair() -> None:
    """Client to server 1: `a` (100 bytes, from 0.11 to 0.21); `left` stays here and its end at 0.3 sends nothing
    to server 1 but the token: it waits for no tensor there and arrives at 0.31."""
    query, (here, right, join) = last_query(ask((0, 0, 1, 0), "serial"))
    assert here["ended_s"] == pytest.approx(0.3)
    assert right["begun_s"] == pytest.approx(0.3 + DELAY + 0.1)
    assert join["begun_s"] == pytest.approx(0.81 + DELAY + 0.3)
    assert query["latency_s"] == pytest.approx(1.12 + 0.05)


def test_a_small_tensor_waits_behind_a_big_one_of_its_pair() -> None:
    """`c` has no bytes and leaves server 2 at 0.41, but `slow` is on its way to server 1 until 0.82."""
    graph = graph_of(
        {"in": 0, "slow": 500, "early": 0, "b": 0, "c": 0, "out": 0},
        {
            "a": (["in"], ["slow"]),
            "b": (["slow"], ["b"]),
            "c": (["in"], ["c"]),
            "d": (["c", "b"], ["out"]),
        },
        {"out"},
    )
    run = ask((2, 1, 2, 1), graph=graph, seconds=(0.3, 0.2, 0.1, 0.15))
    query, (a, b, c, d) = last_query(run)
    assert (a["begun_s"], c["begun_s"]) == pytest.approx((DELAY, DELAY + 0.3))
    assert b["begun_s"] == pytest.approx(0.31 + DELAY + 0.5)
    assert d["ready_s"] == pytest.approx(0.82)
    assert d["begun_s"] == pytest.approx(1.02)
    assert query["latency_s"] == pytest.approx(1.17 + DELAY)


def test_a_node_waits_for_its_next_segment_even_if_a_later_one_is_ready() -> None:
    """Server 1 has the input of its second segment at 0.01, that of its first at 0.82: it runs them in order."""
    graph = graph_of(
        {"in": 0, "slow": 500, "near": 0, "c": 0, "last": 0},
        {
            "a": (["in"], ["slow"]),
            "b": (["slow"], ["near"]),
            "c": (["in"], ["c"]),
            "d": (["in"], ["last"]),
        },
        {"near", "c", "last"},
    )
    run = ask((2, 1, 0, 1), graph=graph, seconds=(0.3, 0.2, 0.1, 0.15))
    query, (_, b, c, d) = last_query(run)
    assert b["begun_s"] == pytest.approx(0.31 + DELAY + 0.5)
    assert c["ended_s"] == pytest.approx(0.1)
    assert d["ready_s"] == pytest.approx(DELAY)
    assert d["begun_s"] == b["ended_s"] == pytest.approx(1.02)
    assert query["latency_s"] == pytest.approx(1.17 + DELAY)


def test_a_tensor_goes_once_to_a_server_that_reads_it_twice() -> None:
    """`a` (100 bytes) is read by both segments of server 1; the client sends it once, and `b` comes back once."""
    query, _ = last_query(ask((0, 1, 0, 1)))
    assert query["sent_bytes"] == 100 + 300
    assert query["received_bytes"] == 50
    reader_twice = graph_of(
        {"in": 100, "b": 10, "c": 10, "out": 20},
        {"one": (["in"], ["b"]), "two": (["b"], ["c"]), "three": (["in", "c"], ["out"])},
        {"out"},
    )
    query, _ = last_query(ask((1, 0, 1), graph=reader_twice, seconds=(0.1, 0.1, 0.1)))
    assert query["sent_bytes"] == 100 + 10
    assert query["received_bytes"] == 10 + 20


def test_a_tensor_goes_to_every_server_that_reads_it() -> None:
    query, _ = last_query(ask((0, 1, 2, 0)))
    assert query["sent_bytes"] == 200
    assert query["received_bytes"] == 500


def test_tensors_of_a_query_follow_each_other_on_a_pair() -> None:
    """`first` makes two tensors for server 1, 100 and 400 bytes, in that order: 0.11 to 0.21, then to 0.61."""
    graph = graph_of(
        {"in": 0, "p": 100, "q": 400, "r": 0, "out": 0},
        {"first": (["in"], ["p", "q"]), "use_p": (["p"], ["r"]), "use_q": (["q", "r"], ["out"])},
        {"out"},
    )
    for share in (False, True):
        run = ask((0, 1, 1), graph=graph, seconds=(0.1, 0.2, 0.3), share_links=share)
        query, (_, both) = last_query(run)
        assert both["begun_s"] == pytest.approx(0.1 + DELAY + 0.5)
        assert query["latency_s"] == pytest.approx(0.61 + 0.5 + DELAY)


def test_headers_travel_with_every_tensor() -> None:
    bare, _ = last_query(ask((0, 1, 2, 0)))
    headed, _ = last_query(ask((0, 1, 2, 0), header_bytes=50))
    assert headed["sent_bytes"] == bare["sent_bytes"] + 2 * 50
    assert headed["latency_s"] == pytest.approx(bare["latency_s"] + 2 * 0.05)


def test_a_query_keeps_the_placement_that_it_began_with() -> None:
    """One layer, 1 s here; its plan is confirmed at about 0.06 s: the first query stays, the second moves."""
    graph = graph_of({"in": 0, "out": 0}, {"only": (["in"], ["out"])}, {"out"})
    world = small_world(graph, (1.0,), fixed((1,)), server_ghz=10.0, link=LINK, user={"queries": 2})
    first, second = run_world(world).tables["queries"]
    assert (first["latency_s"], first["plan_version"], first["remote_layers"]) == (1.0, 0, 0)
    assert second["latency_s"] == pytest.approx(0.1 + 2 * DELAY)
    assert (second["plan_version"], second["confirmed_parts"], second["remote_layers"]) == (1, 1, 1)


def test_a_query_that_the_run_cuts_off_fails_at_its_age() -> None:
    graph = graph_of({"in": 0, "out": 0}, {"only": (["in"], ["out"])}, {"out"})
    world = small_world(graph, (1.0,), user={"queries": None, "think_s": 0.5}, until_s=2.25)
    first, second = run_world(world).tables["queries"]
    assert first["status"] == "answered"
    assert (second["status"], second["reason"]) == ("failed", "run ended")
    assert (second["ended_s"], second["latency_s"]) == (2.25, 0.75)


def test_a_query_pays_for_its_bytes_what_each_direction_costs_and_its_planner_knows() -> None:
    """100 bytes to the server at 0.5, 50 back at 0.125; nothing else costs anything."""
    prices = {(0, 1): LinkSpec(DELAY, RATE, 0.5), (1, 0): LinkSpec(DELAY, RATE, 0.125)}
    run = ask((0, 1, 1, 1), pairs=prices)
    query, _ = last_query(run)
    assert query["remote_layers"] == 3
    assert query["money"] == pytest.approx(100 * 0.5 + 50 * 0.125)
    price = run.plans.jobs[0].problem.price_per_byte
    assert (price[0, 1], price[1, 0]) == (0.5, 0.125)
