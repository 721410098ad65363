"""The conductor and its single-clock twin: windows, planning, sampling, the end of a run, and interruptions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import InlinePlans, chain_graph, examples, fixed, run_world, small_world, worlds

from layerlift.emulator.protocol.messages import PlanRequest
from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.runtime.conductor import Conductor, LocalHosts, Progress, homes
from layerlift.emulator.runtime.host import pack
from layerlift.emulator.runtime.one_clock import OneClock
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.world import World
from layerlift.models.errors import RunError

NET = chain_graph([1000, 1000, 1000], [100_000, 100_000])
Rows = dict[str, list[tuple[Any, ...]]]


class Stage:
    """A world about to be run by either engine, its rows, and what its watcher saw."""

    def __init__(self, world: World, engine: str, watch: Callable[[Progress], None] | None = None) -> None:
        self.rows: Rows = {table: [] for table in TABLES}
        self.plans = InlinePlans(world)
        self.seen: list[tuple[float, int, int]] = []
        self._watch = watch
        write = lambda table, more: self.rows[table].extend(more)  # noqa: E731
        self.runner: Any
        if engine == "together":
            self.runner = OneClock(world, self.plans, write, None, self._look)
        else:
            self.runner = Conductor(world, LocalHosts(world, pack(world, 3)), self.plans, write, None, self._look)

    def _look(self, progress: Progress) -> None:
        self.seen.append((progress.now_s, progress.queries, progress.left))
        if self._watch is not None:
            self._watch(progress)


both = pytest.mark.parametrize("engine", ["lockstep", "together"])


def two_users(planner: str, **changes: Any) -> World:
    return small_world(NET, [0.1, 0.2], planner, clients=2, servers=2, server_ghz=10.0, share_links=True, **changes)


@both
def test_a_planner_that_fails_leaves_its_user_local_and_the_others_alone(engine: str) -> None:
    world = two_users("worlds:Raising", user={"queries": 3})
    world = replace(world, users=(world.users[0], replace(world.users[1], planner=fixed((1, 2)))))
    stage = Stage(world, engine)
    stage.runner.run()
    failed, accepted = sorted(stage.rows["plans"], key=lambda row: row[2])
    assert failed[5:7] == ("failed", "worlds:Raising raised ZeroDivisionError: a bug of mine")
    assert (accepted[5], accepted[14]) == ("accepted", "s1:0-0 s2:1-1")
    assert [row[3] for row in stage.rows["queries"] if row[2] == "u0" and row[4] == "answered"] == [0, 1, 2]
    assert {row[2] for row in stage.rows["uploads"]} == {"u1"}
    assert all(row[13] == 0 for row in stage.rows["queries"] if row[2] == "u0")


def test_an_illegal_plan_fails_with_the_reason() -> None:
    (plan,) = run_world(small_world(NET, [0.1, 0.2], "worlds:Illegal")).tables["plans"]
    assert plan["status"] == "failed"
    assert plan["reason"].startswith("layer 0 is placed on a server but in no upload")
    assert (plan["p1_layers"], plan["parts"], plan["predicted_s"]) == (0, 0, plan["local_s"])


@pytest.mark.parametrize(
    ("planner", "told"),
    [
        ("worlds:Strange:what=nothing", "the planner returned NoneType, expected layerlift.planners.Plan"),
        ("worlds:Strange:what=floats", ""),
        ("worlds:Strange:what=text", ""),
        ("worlds:Strange:what=pairs", ""),
        ("worlds:Unmakeable", "cannot be made: its constructor raised KeyError: 'missing' (worlds.py:"),
    ],
)
@pytest.mark.parametrize("gather_s", [None, 0.05])
def test_whatever_a_planner_answers_the_run_goes_on(planner: str, told: str, gather_s: float | None) -> None:
    world = small_world(NET, [0.1, 0.2], planner)
    run = run_world(replace(world, planning=replace(world.planning, gather_s=gather_s)))
    (plan,) = run.tables["plans"]
    assert (plan["status"], plan["p1_layers"]) == ("failed", 0)
    assert told in plan["reason"] != ""
    assert [row["status"] for row in run.tables["queries"]] == ["answered"] * 3


@both
def test_users_of_a_joint_planner_are_planned_together_if_they_ask_soon_enough(engine: str) -> None:
    """Requests come at 0.021, 0.061 and 0.121 s: with 0.05 s of patience the first two are one planning."""
    world = small_world(NET, [0.1, 0.2], "worlds:RandomCrowd", clients=3, servers=2, user={"queries": 5})
    users = tuple(replace(user, arrival_s=at) for user, at in zip(world.users, (0.04, 0.0, 0.1), strict=True))
    world = replace(world, users=users, planning=replace(world.planning, gather_s=0.05))
    stage = Stage(world, engine)
    stage.runner.run()
    jobs = [(len(job.together), job.place, job.problem.digest) for job in stage.plans.jobs]
    assert [job[:2] for job in jobs] == [(2, 0), (2, 1), (0, 0)]
    rows = sorted(stage.rows["plans"], key=lambda row: row[2])
    asked, told = [row[7] for row in rows], [row[0] for row in rows]
    assert asked == pytest.approx([0.061, 0.021, 0.121], abs=1e-4)
    assert told == pytest.approx([0.072, 0.072, 0.172], abs=1e-4)


def test_equal_problems_get_equal_plans_whoever_asks() -> None:
    run = run_world(two_users("worlds:RandomPlanner"))
    first, second = run.tables["plans"]
    assert first["user"] != second["user"]
    assert (first["placement"], first["parts"]) == (second["placement"], second["parts"])
    assert len({job.problem.digest for job in run.plans.jobs}) == 1


@both
@pytest.mark.parametrize(("declared_s", "expected_s"), [(0.0, 0.001), (0.25, 0.25)])
def test_planning_takes_its_declared_time_and_never_less_than_the_lookahead(
    engine: str, declared_s: float, expected_s: float
) -> None:
    plain = two_users(fixed((1, 1)))
    stage = Stage(replace(plain, planning=replace(plain.planning, plan_s=declared_s)), engine)
    stage.runner.run()
    assert [row[0] - row[7] for row in stage.rows["plans"]] == pytest.approx([expected_s] * 2)


@both
def test_the_run_ends_at_the_moment_the_last_user_leaves(engine: str) -> None:
    world = two_users("local", user={"queries": 2, "think_s": 0.5}, sample_s=0.4)
    world = replace(world, users=(world.users[0], replace(world.users[1], arrival_s=1.0)))
    stage = Stage(world, engine)
    ending = stage.runner.run()
    assert ending.at_s == pytest.approx(1.0 + 2 * (0.3 + 0.5))
    assert ending.progress.left == 2
    last = [row for row in stage.rows["usage"] if row[0] == ending.at_s]
    assert len(last) == len(world.nodes)
    assert [row[2] for row in last] == pytest.approx([1.4, 0.2, 1.4, 1.4, ending.at_s])  # servers: since hellos


@both
def test_the_run_is_cut_at_until(engine: str) -> None:
    stage = Stage(two_users("local", user={"queries": None}, until_s=1.0, sample_s=0.4), engine)
    ending = stage.runner.run()
    assert ending.at_s == 1.0
    ended = [row for row in stage.rows["queries"] if row[5] == "run ended"]
    assert [(row[2], row[3], row[8]) for row in ended] == [("u0", 3, 1.0), ("u1", 3, 1.0)]
    assert [row[9] for row in ended] == pytest.approx([0.1, 0.1])
    assert {row[0] for row in stage.rows["usage"]} == {0.4, 0.8, 1.0}


@both
def test_a_run_may_be_cut_before_anything_happens(engine: str) -> None:
    world = two_users("local", until_s=0.5)
    world = replace(world, users=tuple(replace(user, arrival_s=3.0) for user in world.users))
    stage = Stage(world, engine)
    assert stage.runner.run().at_s == 0.5
    assert stage.rows["queries"] == []
    assert [row[3] for row in stage.rows["usage"]] == [0.0] * len(world.nodes)


@both
def test_rows_of_every_node_follow_each_other_from_the_start_to_the_end(engine: str) -> None:
    world = two_users("direct", user={"queries": 4, "think_s": 0.3}, sample_s=0.25)
    stage = Stage(world, engine)
    end = stage.runner.run().at_s
    for node in world.nodes:
        mine = [row for row in stage.rows["usage"] if row[1] == node.name]
        assert [row[0] - row[2] for row in mine] == pytest.approx([0.0, *(row[0] for row in mine[:-1])])
        assert mine[-1][0] == end
        assert all((row[0] / 0.25).is_integer() for row in mine[:-1])


@both
def test_energy_and_money_follow_from_the_other_columns(engine: str) -> None:
    world = two_users(
        fixed((1, 2)), user={"queries": 6, "think_s": 0.1}, sample_s=0.25,
        link=LinkSpec(0.01, 1e6, price_per_byte=1e-6),
        client={"idle_w": 2.0, "compute_w": 3.0, "radio_w": 5.0},
        server={"compute_w": 50.0, "price_per_s": 0.5, "price_per_byte_s": 1e-7},
    )  # fmt: skip
    stage = Stage(world, engine)
    stage.runner.run()
    assert sum(row[8] for row in stage.rows["usage"]) > 0.1
    for _, name, period_s, busy_s, _, held_byte_s, sent, _, radio_s, energy_j, money in stage.rows["usage"]:
        if name.startswith("c"):
            assert energy_j == pytest.approx(2.0 * period_s + 3.0 * busy_s + 5.0 * radio_s)
            assert money == pytest.approx(1e-6 * sent)
        elif name.startswith("s"):
            assert energy_j == pytest.approx(50.0 * busy_s)
            assert money == pytest.approx(0.5 * busy_s + 1e-7 * held_byte_s + 1e-6 * sent)


@both
@given(world=worlds())
@examples(25)
def test_rows_are_in_order_of_time_and_node(engine: str, world: World) -> None:
    stage = Stage(world, engine)
    stage.runner.run()
    index = {node.name: node.index for node in world.nodes}
    for table, rows in stage.rows.items():
        order = [(row[0], index[row[1]]) for row in rows]
        assert order == sorted(order), table
        assert all(len(row) == len(TABLES[table]) for row in rows)


@both
@given(world=worlds())
@examples(25)
def test_progress_only_grows_and_ends_complete(engine: str, world: World) -> None:
    stage = Stage(world, engine)
    ending = stage.runner.run()
    for earlier, later in zip(stage.seen, stage.seen[1:], strict=False):
        assert all(a <= b for a, b in zip(earlier, later, strict=True))
    assert all(now < world.until_s for now, _, _ in stage.seen)
    assert ending.progress.windows == len(stage.seen)
    assert (ending.progress.left == len(world.users)) == (ending.at_s < world.until_s)


@pytest.mark.long
@given(worlds())
@examples(40)
def test_windows_are_no_wider_than_the_smallest_latency_and_stop_at_samples(world: World) -> None:
    starts: list[float] = []
    world = replace(world, sample_s=0.0371)
    run = run_world(world, [[node.index] for node in world.nodes])
    Stage(world, "lockstep", lambda progress: starts.append(progress.now_s)).runner.run()
    horizons = sorted({horizon for _, horizon, _ in run.hosts.calls})
    for horizon in horizons:
        begun = max(start for start in starts if start < horizon)
        assert horizon - begun <= world.lookahead_s * (1 + 1e-9)
        assert int(begun / world.sample_s + 1e-9) >= int(horizon / world.sample_s - 1e-9)
        assert horizon <= world.until_s


def check_usage_so_far(part: list[Any], whole: list[Any], cut: float) -> None:
    """Each node has the rows that it has in the whole run; but if it was idle at the cut, its last row ends there."""
    for name in {row.node for row in part}:
        mine, all_ = ([row for row in rows if row.node == name] for rows in (part, whole))
        assert mine[:-1] == all_[: len(mine) - 1]
        last, known = mine[-1], all_[len(mine) - 1]
        if last != known:
            assert last.at_s < known.at_s
            assert last.at_s - last.period_s == pytest.approx(known.at_s - known.period_s, abs=1e-9)
            assert last.busy_s == last.sent_bytes == last.received_bytes == 0
        assert all(row.at_s >= cut for row in all_[len(mine) :])


@both
@given(world=worlds(cut=False), data=st.data())
@examples(25)
def test_an_interrupted_run_leaves_the_beginning_of_the_whole_one(
    engine: str, world: World, data: st.DataObject
) -> None:
    whole = Stage(world, engine)
    steps = whole.runner.run().progress.windows
    stop = data.draw(st.integers(1, max(1, steps)))
    count = [0]

    def interrupt(_: Progress) -> None:
        count[0] += 1
        if count[0] == stop:
            raise KeyboardInterrupt

    part = Stage(world, engine, interrupt)
    try:
        part.runner.run()
    except KeyboardInterrupt:
        assert stop <= steps
        part.runner.break_off()
    else:
        assert steps < stop
    cut = max((now for now, _, _ in part.seen), default=0.0)
    check_usage_so_far(part.rows.pop("usage"), whole.rows["usage"], cut)
    for table, rows in part.rows.items():
        assert rows == whole.rows[table][: len(rows)]
        missing = whole.rows[table][len(rows) :]
        assert all(row[0] >= cut for row in missing) or not steps


def test_measured_costs_need_windows() -> None:
    world = replace(two_users("local"), compute="measured")
    with pytest.raises(RunError, match="lockstep"):
        OneClock(world, InlinePlans(world), lambda table, rows: None)


def test_homes_name_the_host_of_every_node() -> None:
    assert homes(two_users("local"), [[4, 0], [1], [2, 3]]) == [0, 1, 2, 2, 0]


@pytest.mark.parametrize("place", [0, 2])
def test_a_planner_somewhere_is_reached_over_its_links(place: int) -> None:
    """At a client (0) the other user's request crosses the client-client link; at a server (2) both cross theirs."""
    world = two_users(fixed((1, 1)), header_bytes=100)
    links = {**world.links, ("client", "client"): LinkSpec(0.05, 1e6)}
    world = replace(world, links=links, planning=replace(world.planning, at=place, loopback_s=0.0005))
    run = run_world(world)
    messages = {"PlanRequest": {}, "PlanReply": {}}
    left = {(d.source, d.sequence): d for d in run.hosts.departures}
    for arrived in run.hosts.deliveries:
        kind = type(arrived.message).__name__
        if kind in messages:
            sent = left[arrived.source, arrived.sequence]
            messages[kind][arrived.message.user] = (sent.bytes, arrived.at - sent.at)
    request, reply = 100 + 3 * 2 * 12, 100 + 2 * 8
    for kind, size in (("PlanRequest", request), ("PlanReply", reply)):
        (first, first_s), (second, second_s) = messages[kind][0], messages[kind][1]
        assert first == second == size
        apart = 0.05 if place == 0 else 0.01
        assert second_s == pytest.approx(apart + size / 1e6, rel=0.5)
        assert first_s == pytest.approx(0.0005 if place == 0 else 0.01 + size / 1e6, rel=0.5)


def test_the_planner_of_a_machine_does_not_cost_it_its_uplink() -> None:
    world = two_users(fixed((1, 1)), header_bytes=100, client={"uplink_bytes_s": 50_000.0}, user={"queries": 9})
    links = {**world.links, ("client", "client"): LinkSpec(0.05, 1e6)}
    world = replace(world, links=links, planning=replace(world.planning, at=0, loopback_s=0.0005))
    run = run_world(world)
    left = {(d.source, d.sequence): d for d in run.hosts.departures}
    took = {
        arrived.message.user: arrived.at - left[arrived.source, arrived.sequence].at
        for arrived in run.hosts.deliveries
        if type(arrived.message) is PlanRequest
    }
    assert took == pytest.approx({0: 0.0005, 1: 0.05 + (100 + 3 * 2 * 12) / 50_000.0})


@both
def test_users_without_questions_leave_at_once(engine: str) -> None:
    ending = Stage(two_users("local", user={"queries": 0}), engine).runner.run()
    assert (ending.at_s, ending.progress.left) == (0.0, 2)


def exact(**changes: Any) -> World:
    """One layer of 1.375 s here and 0.5 s there; links of 0.25 s that carry any bytes at once: all times are exact.

    Predictions are back at 0.5, the plan at 0.875 (three times 0.125 s), the confirm result at 1.375 s.
    """
    world = small_world(
        chain_graph([0, 0], [1]), [1.375], fixed((1,)), server_ghz=2.75, link=LinkSpec(0.25, inf), **changes
    )
    return replace(world, planning=replace(world.planning, loopback_s=0.125))


@both
def test_what_arrives_at_an_instant_is_there_for_what_begins_at_it(engine: str) -> None:
    """The second query begins at 1.375 s, when the confirm result comes: it is placed on the server."""
    stage = Stage(exact(user={"queries": 2}), engine)
    stage.runner.run()
    assert [row[0] for row in stage.rows["uploads"]] == [1.375]
    assert [(row[7], row[9], row[13]) for row in stage.rows["queries"]] == [(0.0, 1.375, 0), (1.375, 1.0, 1)]


@both
def test_bytes_that_arrive_at_a_sampling_instant_belong_to_the_period_that_ends(engine: str) -> None:
    """The part (its one byte) reaches the server at 1.125 s, which is a sampling instant."""
    stage = Stage(exact(user={"queries": 2}, sample_s=1.125), engine)
    stage.runner.run()
    usage = [row for row in stage.rows["usage"] if row[1] == "s1"]
    assert [(row[0], row[7]) for row in usage] == [(1.125, 1), (2.25, 0), (2.375, 0)]
    assert [row[4] for row in usage] == [1, 1, 1]


@both
def test_what_happens_after_the_last_user_has_left_does_not_count(engine: str) -> None:
    """u0 leaves at 2.375 s, so that its memory is free at 2.625 s; u1, the last, leaves 1/32 s before that.

    The window in which it leaves goes on to 2.71875 s: the server has let go by then, but not when the run ends.
    """
    world = exact(clients=2, user={"queries": 2})
    last = replace(world.users[1], planner="local", arrival_s=2.59375 - 1.375, queries=1)
    world = replace(world, users=(world.users[0], last))
    stage = Stage(world, engine)
    assert stage.runner.run().at_s == 2.59375
    (server,) = [row for row in stage.rows["usage"] if row[1] == "s1"]
    assert (server[4], server[5]) == (1, 2.59375 - 1.125)
    assert [row[3] for row in stage.rows["allocations"]] == ["admitted"]


@both
def test_what_leaves_a_node_after_the_last_user_has_left_was_never_sent(engine: str) -> None:
    """u0 comes at 2.375 s and leaves at once: the prediction (12 bytes) that it asked for leaves the server at 2.625 s,
    1/32 s after u1, whose own prediction is all that the network has seen."""
    world = exact(clients=2, user={"queries": 0})
    first = replace(world.users[0], arrival_s=2.375)
    last = replace(world.users[1], planner="local", arrival_s=2.59375 - 1.375, queries=1)
    ending = Stage(replace(world, users=(first, last)), engine).runner.run()
    assert (ending.at_s, ending.sent_bytes, ending.delivered_bytes) == (2.59375, 12, 12)


@both
def test_what_happens_as_the_last_user_leaves_still_counts(engine: str) -> None:
    """u0's memory is freed at 2.625 s, the very instant at which u1 leaves."""
    world = exact(clients=2, user={"queries": 2})
    last = replace(world.users[1], planner="local", arrival_s=2.625 - 1.375, queries=1)
    stage = Stage(replace(world, users=(world.users[0], last)), engine)
    assert stage.runner.run().at_s == 2.625
    assert [(row[0], row[3]) for row in stage.rows["allocations"]] == [(1.125, "admitted"), (2.625, "released")]
    (server,) = [row for row in stage.rows["usage"] if row[1] == "s1"]
    assert server[4] == 0


@pytest.mark.parametrize("order", [(0.0, 1 / 32), (1 / 32, 0.0)])
def test_users_who_leave_in_one_window_leave_at_their_own_moments(order: tuple[float, float]) -> None:
    world = exact(clients=2, user={"queries": 1, "planner": "local"})
    users = tuple(replace(user, arrival_s=at) for user, at in zip(world.users, order, strict=True))
    run = run_world(replace(world, users=users), [[node.index] for node in world.nodes])
    assert run.ending.at_s == 1.375 + 1 / 32


@pytest.mark.parametrize(("place", "lookahead_s"), [(-1, 0.0005), (0, 0.0005), (2, 0.01)])
def test_a_planner_that_lives_with_a_user_narrows_the_windows(place: int, lookahead_s: float) -> None:
    """On a server nobody talks to the planner of the same machine, so its loopback does not matter."""
    world = two_users(fixed((1, 1)))
    world = replace(world, planning=replace(world.planning, at=place, loopback_s=0.0005))
    assert world.lookahead_s == lookahead_s
