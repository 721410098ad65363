"""Every law, in worlds where links break, servers crash, users move, policies evict and batteries run out.

A part of the sweep runs with the other tests. `pytest -m slow tests/laws/test_law_wild.py` checks every law in 1,000
random worlds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from math import inf
from typing import Any

import pytest
from batching import meeting
from charge_books import charge_is_kept
from held_parts import nothing_held_is_sent
from hypothesis import given
from hypothesis import strategies as st
from wild import everything, looping_worlds, wild_streams, wild_worlds, with_media
from worlds import InlinePlans, Run, examples, groupings, run_world

from layerlift.emulator.nodes.events import Answered, Piece, Stored, Together
from layerlift.emulator.protocol.messages import Cancel, PlanReady, ReadMeter, SwitchOff, Weigh
from layerlift.emulator.protocol.routes import Routes
from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.runtime.conductor import Conductor, LocalHosts
from layerlift.emulator.runtime.host import Host
from layerlift.emulator.runtime.one_clock import OneClock
from layerlift.emulator.world.world import World

ORDERS = (Cancel, Weigh, ReadMeter, SwitchOff)


def check_every_law(world: World, groups: list[list[int]]) -> None:
    """Run a world in four packings, and count everything again from the outside."""
    run = run_world(world)
    packing_never_matters(world, groups, run)
    replay_is_exact(world, run)
    bytes_are_kept(run)
    media_carry_what_crosses_them(run)
    queries_end_once(run)
    layers_run(run)
    busy_time_fits(run)
    memory_fits(run)
    use_is_told_without_gaps(run)
    charge_is_kept(run)
    nothing_held_is_sent(run)


def _told(rows: dict[str, list[Any]], ending: Any) -> tuple[object, ...]:
    books = (ending.sent_bytes, ending.delivered_bytes, ending.lost_bytes, ending.cancelled_bytes)
    return repr(rows), ending.at_s, *books, ending.crossed


def packing_never_matters(world: World, groups: list[list[int]], run: Run) -> None:
    expected = _told(run.rows, run.ending)
    for grouping in ([[node.index] for node in world.nodes], groups):
        other = run_world(world, grouping)
        assert _told(other.rows, other.ending) == expected
    rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
    ending = OneClock(world, InlinePlans(world), lambda table, more: rows[table].extend(more)).run()
    assert _told(rows, ending) == expected


def replay_is_exact(world: World, run: Run) -> None:
    """A new host that is fed all deliveries at once has done what the old one did in many windows."""
    fresh, arrived, reached = Host(world, run.hosts.groups[0]), [], 0.0
    for number, horizon, deliveries in run.hosts.calls:
        if number == 0:
            arrived += deliveries
            reached = horizon
    if not run.hosts.calls:
        return
    again = fresh.advance(reached, arrived)
    answers = [answer for (n, _, _), answer in zip(run.hosts.calls, run.hosts.answers, strict=True) if n == 0]
    assert again.departures == [each for answer in answers for each in answer.departures]
    for table in TABLES:
        assert again.rows.get(table, []) == [row for answer in answers for row in answer.rows.get(table, [])]


def bytes_are_kept(run: Run) -> None:
    ending, world = run.ending, run.world
    assert min(ending.lost_bytes, ending.cancelled_bytes, ending.in_flight_bytes) >= 0
    total = ending.delivered_bytes + ending.lost_bytes + ending.cancelled_bytes + ending.in_flight_bytes
    assert ending.sent_bytes == total
    left = {(d.source, d.sequence): d for d in run.hosts.departures if d.at <= ending.at_s}
    network = len(world.nodes)
    arrived = [
        d for d in run.hosts.deliveries
        if d.at <= ending.at_s and d.source != network and type(d.message) is not PlanReady
    ]  # fmt: skip
    keys = [(d.source, d.sequence) for d in arrived]
    assert len(set(keys)) == len(keys), "delivered twice"
    assert set(keys) <= set(left), "delivered and never sent"
    whole = sum(left[key].bytes for key in keys)
    parts = ending.delivered_bytes - whole
    assert parts >= 0
    assert parts == 0 or any(user.resume for user in world.users)
    first = sum(d.bytes for d in left.values() if type(d.message) not in ORDERS)
    assert ending.sent_bytes >= first
    assert ending.sent_bytes == first or world.faults or world.mobility
    usage = run.tables["usage"]
    received = sum(row["received_bytes"] for row in usage)
    assert sum(row["sent_bytes"] for row in usage) == received == ending.delivered_bytes
    if not world.faults and not world.mobility:
        assert ending.lost_bytes == 0


def media_carry_what_crosses_them(run: Run) -> None:
    """What arrived crossed the media on its way: counted from deliveries, where nobody moves and nothing resumes."""
    world, end = run.world, run.ending.at_s
    if world.mobility or any(user.resume for user in world.users):
        return
    left = {(d.source, d.sequence): d for d in run.hosts.departures}
    carried = dict.fromkeys(run.ending.crossed, 0)
    for each in run.hosts.deliveries:
        departure = left.get((each.source, each.sequence))
        if departure is None or each.at > end or type(each.message) is PlanReady:
            continue
        for crossing in world.path(departure.source, departure.to):
            carried[crossing] += departure.bytes
    assert carried == run.ending.crossed


def queries_end_once(run: Run) -> None:
    world = run.world
    by_user: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in run.tables["queries"]:
        by_user[row["user"]].append(row)
    reasons = {"", "run ended", "queue full", "late", "user left", "battery empty"}
    for user in world.users:
        rows = by_user[user.name]
        numbers = [row["query"] for row in rows]
        assert sorted(numbers) == list(range(len(rows))), "each question ends exactly once"
        assert user.queries is None or len(rows) <= user.queries
        for row in rows:
            assert (row["status"] == "answered") == (row["reason"] == "")
            assert row["reason"] in reasons or row["reason"].startswith("client memory")
            assert row["reason"] != "run ended" or world.until_s < inf, "a query that hangs"
            assert row["asked_s"] <= row["begun_s"] <= row["ended_s"]
            assert row["latency_s"] == row["ended_s"] - row["asked_s"]
        under_way = sorted((row["begun_s"], 1) for row in rows if row["begun_s"] < row["ended_s"])
        under_way += sorted((row["ended_s"], -1) for row in rows if row["begun_s"] < row["ended_s"])
        count = 0
        for _, step in sorted(under_way):
            count += step
            assert count <= user.in_flight
        ends = world.until_s == inf and user.asks is None and user.stay is None
        if ends and world.nodes[user.client].battery_j is None and user.queries is not None:
            assert len(rows) == user.queries
    assert all(row["at_s"] <= run.ending.at_s for rows in run.tables.values() for row in rows)


def layers_run(run: Run) -> None:
    """An answered query ran every layer: once where it was begun, or at least once where it was finished at home."""
    by_query: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in run.tables["segments"]:
        by_query[row["user"], row["query"]].append(row)
        assert row["ready_s"] <= row["begun_s"] <= row["ended_s"] == row["at_s"]
    models = {user.name: run.world.models[user.model].graph for user in run.world.users}
    for query in run.tables["queries"]:
        rows = by_query.pop((query["user"], query["query"]), [])
        ran = Counter(layer for row in rows for layer in range(row["first_layer"], row["last_layer"] + 1))
        steps = [row["step"] for row in rows if row["ended_s"] <= query["ended_s"]]
        assert len(set(steps)) == len(steps), "no piece runs twice"
        if query["status"] != "answered":
            continue
        every = range(len(models[query["user"]]))
        if query["fallback"]:
            base = [row for row in rows if row["node"] == query["client"] or row["ended_s"] <= query["ended_s"]]
            done = {layer for row in base for layer in range(row["first_layer"], row["last_layer"] + 1)}
            outputs = {models[query["user"]].tensors[t].producer for t in models[query["user"]].outputs} - {-1}
            assert outputs <= done
        else:
            assert ran == Counter(every)
            assert [row["step"] for row in sorted(rows, key=lambda row: row["step"])] == list(range(query["segments"]))
            here = sum(row["work_s"] for row in rows if row["node"] == query["client"])
            assert here == pytest.approx(query["client_work_s"], rel=1e-12)
        if query["client_work_s"] > 0:
            assert query["latency_s"] > 0


def busy_time_fits(run: Run) -> None:
    machines = {node.name: node for node in run.world.nodes}
    ended: dict[str, float] = defaultdict(float)
    busy: dict[str, float] = defaultdict(float)
    for row in run.tables["segments"]:
        ended[row["node"]] += row["work_s"]
    for row in run.tables["usage"]:
        machine = machines[row["node"]]
        assert 0.0 <= row["busy_s"] <= machine.cores * row["period_s"] + 1e-9
        assert 0.0 <= row["radio_s"] <= row["period_s"] + 1e-9
        assert 0 <= row["held_bytes"] <= machine.memory_bytes
        assert 0.0 <= row["held_byte_s"] <= machine.memory_bytes * row["period_s"] * (1.0 + 1e-9)
        busy[row["node"]] += row["busy_s"]
    assert all(busy[name] >= work - 1e-9 for name, work in ended.items()), "work that no core did"


def memory_fits(run: Run) -> None:
    held: dict[str, int] = defaultdict(int)
    of_user: dict[tuple[str, str], int] = defaultdict(int)
    nodes = {node.name: node for node in run.world.nodes}
    sign = {"admitted": 1, "refused": 0, "released": -1, "evicted": -1, "lost": -1}
    for row in run.tables["allocations"]:
        change = sign[row["event"]] * row["bytes"]
        held[row["server"]] += change
        of_user[row["server"], row["user"]] += change
        assert 0 <= row["held_bytes"] == held[row["server"]] <= nodes[row["server"]].memory_bytes
        if not nodes[row["server"]].share_models:
            assert of_user[row["server"], row["user"]] >= 0
            assert row["event"] not in ("lost",) or of_user[row["server"], row["user"]] == 0
        if row["event"] == "evicted":
            assert run.world.scaling or nodes[row["server"]].policy not in ("first_come", "greedy")
    last = {row["node"]: row["held_bytes"] for row in run.tables["usage"]}
    assert all(last.get(name, 0) == held[name] for name in nodes if run.ending.at_s > 0)


def use_is_told_without_gaps(run: Run) -> None:
    """Each row of a node begins where the one before ended; one that is longer than a period says that it was idle."""
    ended: dict[str, float] = defaultdict(float)
    order = {node.name: node.index for node in run.world.nodes}
    usage = run.tables["usage"]
    assert [(row["at_s"], order[row["node"]]) for row in usage] == sorted((r["at_s"], order[r["node"]]) for r in usage)
    for row in usage:
        assert row["at_s"] - row["period_s"] == pytest.approx(ended[row["node"]], abs=1e-9)
        ended[row["node"]] = row["at_s"]
        if row["period_s"] > run.world.sample_s * (1.0 + 1e-9):
            assert row["busy_s"] == row["sent_bytes"] == row["received_bytes"] == row["radio_s"] == 0
            assert row["held_byte_s"] == pytest.approx(row["held_bytes"] * row["period_s"])
    assert all(ended[name] == run.ending.at_s for name in order if run.ending.at_s > 0)


@given(wild_worlds(), st.data())
@examples(60)
def test_every_law_in_wild_worlds(world: World, data: st.DataObject) -> None:
    check_every_law(world, data.draw(groupings(world)))


def groups_keep_their_bounds(run: Run) -> None:
    """Never fewer than the least are switched on, never more than the most; no server takes a part that is not on."""
    names = {node.index: node.name for node in run.world.nodes}
    for group in run.world.scaling:
        mine = [names[server] for server in group.servers]
        states = dict(zip(mine, ["on"] * group.least + ["off"] * (len(mine) - group.least), strict=True))
        events = [(row["at_s"], 0, row["node"], row["kind"]) for row in run.tables["changes"] if row["node"] in states]
        after = {"off": "starting", "starting": "on", "on": "closing", "closing": "off"}
        for _, _, node, kind in events:
            if kind in after:
                assert after[states[node]] == kind
                states[node] = kind
            powered = [state for state in states.values() if state != "off"]
            assert group.least <= len(powered) <= group.most
        spans = {node: _taking(node, node in mine[: group.least], events) for node in mine}
        for row in run.tables["allocations"]:
            if row["server"] in spans and row["event"] == "admitted":
                assert any(since <= row["at_s"] <= until for since, until in spans[row["server"]])


def _taking(node: str, on: bool, events: list[tuple[float, int, str, str]]) -> list[tuple[float, float]]:
    """When a server takes parts."""
    spans = [(0.0, inf)] if on else []
    for at_s, _, name, kind in events:
        if name == node and kind == "on":
            spans.append((at_s, inf))
        elif name == node and kind == "closing":
            spans[-1] = spans[-1][0], at_s
    return spans


@given(looping_worlds(), st.data())
@examples(40)
def test_every_law_in_worlds_that_close_the_loop(world: World, data: st.DataObject) -> None:
    run = run_world(world)
    groups_keep_their_bounds(run)
    check_every_law(world, data.draw(groupings(world)))


@pytest.mark.long
@given(wild_worlds().flatmap(with_media), st.data())
@examples(25)
def test_every_law_in_wild_worlds_with_shared_media(world: World, data: st.DataObject) -> None:
    check_every_law(world, data.draw(groupings(world)))


@pytest.mark.slow
@given(wild_worlds().flatmap(with_media), st.data())
@examples(400)
def test_every_law_in_hundreds_of_wild_worlds_with_shared_media(world: World, data: st.DataObject) -> None:
    check_every_law(world, data.draw(groupings(world)))


@pytest.mark.slow
@given(wild_worlds(), st.data())
@examples(1000)
def test_every_law_in_a_thousand_wild_worlds(world: World, data: st.DataObject) -> None:
    check_every_law(world, data.draw(groupings(world)))


@pytest.mark.long
@given(wild_streams(), st.data())
@examples(10)
def test_every_law_where_the_period_is_weighed(world: World, data: st.DataObject) -> None:
    check_every_law(world, data.draw(groupings(world)))


@pytest.mark.slow
@given(wild_streams(), st.data())
@examples(500)
def test_every_law_in_many_worlds_where_the_period_is_weighed(world: World, data: st.DataObject) -> None:
    check_every_law(world, data.draw(groupings(world)))


@pytest.mark.long
@given(wild_worlds().flatmap(meeting), st.data())
@examples(20)
def test_every_law_in_wild_worlds_whose_servers_batch(world: World, data: st.DataObject) -> None:
    check_every_law(world, data.draw(groupings(world)))


@pytest.mark.long
@given(everything(), st.data())
@examples(12)
def test_every_law_where_all_features_meet(world: World, data: st.DataObject) -> None:
    run = run_world(world)
    groups_keep_their_bounds(run)
    check_every_law(world, data.draw(groupings(world)))


@pytest.mark.slow
@given(everything(), st.data())
@examples(400)
def test_every_law_in_hundreds_of_worlds_where_all_features_meet(world: World, data: st.DataObject) -> None:
    run = run_world(world)
    groups_keep_their_bounds(run)
    check_every_law(world, data.draw(groupings(world)))


class Executing:
    """A data plane that checks that each piece has its inputs and its parameters when it runs."""

    def __init__(self, world: World) -> None:
        self.world, self.routes = world, Routes([model.graph for model in world.models])
        self.made: dict[tuple[int, int], set[int]] = {}
        self.held: dict[tuple[int, int], set[int]] = defaultdict(set)
        self.over: set[tuple[int, int]] = set()
        self.answers = self.batches = 0

    def store(self, stored: Stored) -> None:
        mine = self.held[stored.node, stored.user]
        mine.update(stored.parameters)
        if not stored.parameters:
            mine.clear()

    def execute(self, piece: Piece) -> None:
        itinerary = self.routes[piece.route]
        graph, key = self.world.models[itinerary.model].graph, (piece.user, piece.query)
        segment = itinerary.route.steps[piece.step].segment
        inputs, outputs = graph.boundary(segment.first, segment.last)
        made = self.made.setdefault(key, set(graph.inputs))
        if key not in self.over:
            assert made.issuperset(inputs), "a piece ran before its inputs were made"
        made.update(outputs)
        client = self.world.users[piece.user].client
        if piece.node != client:
            wanted = graph.parameters_of(range(segment.first, segment.last + 1))
            assert wanted <= self.held[piece.node, piece.user], "a piece ran without its parameters"

    def execute_together(self, together: Together) -> None:
        kinds = {(self.world.users[piece.user].model, *self._layers(piece)) for piece in together.pieces}
        assert len(kinds) == 1, "pieces that are not alike ran together"
        assert len({(piece.user, piece.query) for piece in together.pieces}) == len(together.pieces) > 1
        self.batches += 1
        for piece in together.pieces:
            self.execute(piece)

    def _layers(self, piece: Piece) -> tuple[int, int]:
        segment = self.routes[piece.route].route.steps[piece.step].segment
        return segment.first, segment.last

    def measure(self, piece: Piece) -> float:
        raise AssertionError("nothing is measured here")

    def answered(self, answered: Answered) -> None:
        graph = self.world.models[self.world.users[answered.user].model].graph
        assert self.made.pop((answered.user, answered.query), set(graph.inputs)).issuperset(graph.outputs)
        self.over.add((answered.user, answered.query))
        self.answers += 1

    def forget(self, user: int, query: int) -> None:
        self.made.pop((user, query), None)
        self.over.add((user, query))


@pytest.mark.long
@given(wild_worlds(), st.data())
@examples(40)
def test_what_would_be_executed_can_be(world: World, data: st.DataObject) -> None:
    plane = Executing(world)
    rows: dict[str, list[Any]] = {table: [] for table in TABLES}
    hosts = LocalHosts(world, data.draw(groupings(world)), execution=True)
    Conductor(world, hosts, InlinePlans(world), lambda table, more: rows[table].extend(more), plane).run()
    assert plane.answers >= sum(row[4] == "answered" for row in rows["queries"])


@pytest.mark.long
@given(wild_worlds().flatmap(meeting), st.data())
@examples(15)
def test_what_would_be_executed_in_batches_can_be(world: World, data: st.DataObject) -> None:
    plane = Executing(world)
    rows: dict[str, list[Any]] = {table: [] for table in TABLES}
    hosts = LocalHosts(world, data.draw(groupings(world)), execution=True)
    Conductor(world, hosts, InlinePlans(world), lambda table, more: rows[table].extend(more), plane).run()
    # One more may have ended in the window in which the run did.
    assert plane.batches >= sum(row[5] - row[6] > 1 for row in rows["batches"])
