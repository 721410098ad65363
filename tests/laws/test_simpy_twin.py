"""The same small world written a second time, in SimPy: a closed network of users, one server and its links."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st
from worlds import chain_graph, examples, fixed, run_world, small_world

from layerlift.emulator.nodes.server.server import FILE_ENTRY_BYTES
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.machines import NodeSpec
from layerlift.emulator.world.users import UserSpec
from layerlift.emulator.world.world import World

LATENCY_S, BANDWIDTH, LOOPBACK_S = 0.004, 1e6, 0.001
INPUT, CUT, ANSWER, WEIGHTS = 400_000, 90_000, 20_000, 700_000
PREDICTION = 2 * FILE_ENTRY_BYTES
FIRST_S, SECOND_S = 0.03, 0.25


class Station:
    """Processor sharing: `capacity` divided evenly, no job faster than `fastest`."""

    def __init__(self, env: simpy.Environment, capacity: float, fastest: float) -> None:
        self.env, self.capacity, self.fastest = env, capacity, fastest
        self.left: dict[simpy.Event, float] = {}
        self.since = 0.0
        self.version = 0

    def serve(self, work: float) -> simpy.Event:
        """An event that happens when `work` is done."""
        done = self.env.event()
        self._advance()
        self.left[done] = work
        self._plan()
        return done

    def cancel(self, done: simpy.Event) -> None:
        """Take a job out."""
        if done in self.left:
            self._advance()
            del self.left[done]
            self._plan()

    @property
    def rate(self) -> float:
        return min(self.fastest, self.capacity / len(self.left)) if self.left else 0.0

    def _advance(self) -> None:
        for done in self.left:
            self.left[done] -= self.rate * (self.env.now - self.since)
        self.since = self.env.now

    def _plan(self) -> None:
        self.version += 1
        if self.left:
            first = min(self.left, key=lambda done: self.left[done])
            self.env.process(self._finish(first, self.left[first] / self.rate, self.version))

    def _finish(self, first: simpy.Event, after: float, version: int) -> Generator[simpy.Event, None, None]:
        yield self.env.timeout(max(0.0, after))
        if version == self.version:
            self._advance()
            del self.left[first]
            first.succeed()
            self._plan()


@dataclass
class User:
    arrival_s: float
    queries: int
    think_s: float
    ghz: float


@dataclass
class Server:
    cores: int
    fifo: bool
    ghz: float
    uplink: float
    downlink: float
    load_s_per_byte: float
    plan_s: float


class Twin:
    """The world in SimPy. `answers[user]` are (begun, ended, whether the server took part)."""

    def __init__(self, server: Server, users: list[User]) -> None:
        self.env = env = simpy.Environment()
        self.server = server
        self.answers: list[list[tuple[float, float, bool]]] = [[] for _ in users]
        self.confirmed = [False] * len(users)
        self.gone = [env.event() for _ in users]
        self.turns = simpy.Resource(env, server.cores)
        self.shared = Station(env, server.cores, 1.0)
        self.inwards = Station(env, server.downlink, BANDWIDTH)
        self.outwards = Station(env, server.uplink, BANDWIDTH)
        for number, user in enumerate(users):
            env.process(self.ask(number, user))
            env.process(self.install(number, user))
        env.run(until=env.all_of(self.gone))

    def work(self) -> Generator[simpy.Event, None, None]:
        """The second layer on the server, where a core does `ghz / cores`."""
        seconds = SECOND_S * self.server.cores / self.server.ghz
        if not self.server.fifo:
            yield self.shared.serve(seconds)
            return
        with self.turns.request() as turn:
            yield turn
            yield self.env.timeout(seconds)

    def install(self, number: int, user: User) -> Generator[simpy.Event, None, None]:
        """Predictions, plan, the upload and its confirm result."""
        planning = max(self.server.plan_s, LOOPBACK_S)
        yield self.env.timeout(user.arrival_s)
        yield self.env.timeout(2 * LATENCY_S)
        yield self.outwards.serve(PREDICTION)
        yield self.env.timeout(LOOPBACK_S)
        yield self.env.timeout(planning)
        yield self.env.timeout(LOOPBACK_S)
        if self.gone[number].triggered:
            return
        yield self.env.timeout(LATENCY_S)
        moved = self.inwards.serve(WEIGHTS)
        self.env.process(self.stop(number, moved))
        yield moved
        yield self.env.timeout(self.server.load_s_per_byte * WEIGHTS)
        yield self.env.timeout(LATENCY_S)
        self.confirmed[number] = True

    def stop(self, number: int, moved: simpy.Event) -> Generator[simpy.Event, None, None]:
        """A user who leaves cancels the upload."""
        yield self.gone[number]
        yield self.env.timeout(LATENCY_S)
        self.inwards.cancel(moved)

    def ask(self, number: int, user: User) -> Generator[simpy.Event, None, None]:
        """The query thread."""
        env = self.env
        yield env.timeout(user.arrival_s)
        for _ in range(user.queries):
            begun, remote = env.now, self.confirmed[number]
            if remote:
                yield env.timeout(FIRST_S / user.ghz)
                yield env.timeout(LATENCY_S)
                yield self.inwards.serve(CUT)
                yield from self.work()
                yield env.timeout(LATENCY_S)
                yield self.outwards.serve(ANSWER)
            else:
                yield env.timeout((FIRST_S + SECOND_S) / user.ghz)
            self.answers[number].append((begun, env.now, remote))
            yield env.timeout(user.think_s)
        self.gone[number].succeed()


def emulated(server: Server, users: list[User]) -> World:
    """The same as a world."""
    link = LinkSpec(LATENCY_S, BANDWIDTH)
    graph = chain_graph([INPUT, CUT, ANSWER], [100, WEIGHTS])
    plain = small_world(graph, [FIRST_S, SECOND_S], clients=len(users), link=link, share_links=True)
    machine = NodeSpec(
        len(users), "s1", "edge", server.ghz, server.cores,
        discipline="fifo" if server.fifo else "sharing",
        load_s_per_byte=server.load_s_per_byte,
        uplink_bytes_s=server.uplink, downlink_bytes_s=server.downlink,
    )  # fmt: skip
    clients = tuple(replace(node, ghz=user.ghz) for node, user in zip(plain.nodes, users, strict=False))
    people = tuple(
        UserSpec(
            k, f"u{k}", k, 0, fixed((0, 1)),
            arrival_s=user.arrival_s, queries=user.queries, think_s=user.think_s, profile_runs=0,
        )
        for k, user in enumerate(users)
    )  # fmt: skip
    planning = replace(plain.planning, plan_s=server.plan_s, loopback_s=LOOPBACK_S)
    return replace(plain, nodes=(*clients, machine, plain.nodes[-1]), users=people, planning=planning)


_users = st.builds(
    User,
    st.floats(0.0, 2.0).map(lambda x: 0.0137 + x * 0.99371),
    st.integers(1, 25),
    st.floats(0.0, 0.2).map(lambda x: 0.00117 + x * 0.98713),
    st.sampled_from((0.61, 1.03, 1.87)),
)
_servers = st.builds(
    Server,
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from((1.7, 4.1, 20.3)),
    st.sampled_from((1.3e6, 1e9, 150_000.0)),
    st.sampled_from((1.3e6, 1e9, 650_000.0)),
    st.sampled_from((0.0, 1.9e-7)),
    st.sampled_from((0.0, 0.0531)),
)


@given(_servers, st.lists(_users, min_size=1, max_size=8))
@examples(60)
def test_the_emulation_and_its_simpy_twin_agree(server: Server, users: list[User]) -> None:
    twin = Twin(server, users)
    run = run_world(emulated(server, users))
    found: dict[str, list[dict[str, Any]]] = {}
    for row in run.tables["queries"]:
        found.setdefault(row["user"], []).append(row)
    for number, expected in enumerate(twin.answers):
        rows = found[f"u{number}"]
        assert [row["begun_s"] for row in rows] == pytest.approx([begun for begun, _, _ in expected], rel=1e-9)
        assert [row["ended_s"] for row in rows] == pytest.approx([ended for _, ended, _ in expected], rel=1e-9)
        assert [row["remote_layers"] > 0 for row in rows] == [remote for _, _, remote in expected]


def test_the_twin_sees_a_crowd() -> None:
    """Eight users on a slow server: queueing is most of what the remote queries take."""
    server = Server(1, False, 1.7, 1.3e6, 1.3e6, 0.0, 0.0)
    users = [User(0.01 * k + 0.001, 30, 0.0113, 1.03) for k in range(8)]
    remote = [row for row in run_world(emulated(server, users)).tables["queries"] if row["remote_layers"]]
    alone = FIRST_S / 1.03 + 2 * LATENCY_S + (CUT + ANSWER) / BANDWIDTH + SECOND_S / 1.7
    assert len(remote) > 100
    assert sum(row["latency_s"] for row in remote) / len(remote) > 3 * alone
    twin = Twin(server, users)
    assert sorted(row["ended_s"] for row in remote) == pytest.approx(
        sorted(ended for answers in twin.answers for _, ended, far in answers if far), rel=1e-9
    )
