"""The crowd once more, as somebody would write it in SimPy: same world, same physics, same rows.

It is both a yardstick of speed and an independent witness: its queries end when the emulator's do.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from benchmarks.crowd import KEPT, LAYERS
from layerlift.emulator.world.machines import NodeSpec
from layerlift.emulator.world.world import World

Process = Generator[simpy.Event, Any, Any]
Rows = dict[str, list[tuple[Any, ...]]]


class Shared:
    """A rate shared equally among jobs, each of which can use at most `cap` of it."""

    def __init__(self, env: simpy.Environment, rate: float, cap: float) -> None:
        self.env, self.rate, self.cap = env, rate, cap
        self.jobs: dict[simpy.Event, float] = {}
        self.at = self.used = 0.0
        self.turn = 0

    def speed(self) -> float:
        return min(self.cap, self.rate / len(self.jobs)) if self.jobs else 0.0

    def serve(self, work: float) -> simpy.Event:
        self.catch_up()
        done = self.env.event()
        self.jobs[done] = work
        self.arm()
        return done

    def catch_up(self) -> None:
        elapsed, speed = self.env.now - self.at, self.speed()
        self.at = self.env.now
        if elapsed > 0:
            self.used += elapsed * speed * len(self.jobs)
            for job in self.jobs:
                self.jobs[job] -= elapsed * speed

    def arm(self) -> None:
        self.turn += 1
        if self.jobs:
            first = min(self.jobs, key=self.jobs.__getitem__)
            self.env.process(self.finish(self.turn, first, max(0.0, self.jobs[first]) / self.speed()))

    def finish(self, turn: int, job: simpy.Event, wait: float) -> Process:
        yield self.env.timeout(wait)
        if turn == self.turn:
            self.catch_up()
            del self.jobs[job]
            self.arm()
            job.succeed()


class Radio:
    """Seconds with at least one transfer under way."""

    def __init__(self, env: simpy.Environment) -> None:
        self.env, self.users, self.since, self.total = env, 0, 0.0, 0.0

    def switch(self, by: int) -> None:
        if self.users:
            self.total += self.env.now - self.since
        self.since = self.env.now
        self.users += by

    def read(self) -> float:
        self.switch(0)
        total, self.total = self.total, 0.0
        return total


class Server:
    """A CPU, an uplink and a downlink. Ports are shared equally: every pair has at most one flow at a time here."""

    def __init__(self, env: simpy.Environment, spec: NodeSpec, pair: float) -> None:
        self.spec = spec
        self.cpu = Shared(env, spec.cores, 1.0)
        self.up = Shared(env, spec.uplink_bytes_s, pair)
        self.down = Shared(env, spec.downlink_bytes_s, pair)
        self.sent = self.received = self.held = 0


class Crowd:
    """The world of `benchmarks.crowd` in SimPy."""

    def __init__(self, world: World) -> None:
        self.world, self.env = world, simpy.Environment()
        self.rows: Rows = {name: [] for name in ("queries", "segments", "uploads", "plans", "usage", "allocations")}
        link = world.links["client", "edge"]
        self.latency = link.latency_s
        self.servers = [Server(self.env, world.nodes[i], link.bandwidth_bytes_s) for i in world.servers]
        self.layer_bytes = [world.models[0].graph.tensors[i + 1].bytes for i in range(LAYERS)]
        self.part = sum(p.upload_bytes for p in world.models[0].graph.parameters[KEPT:])
        self.done = [self.env.process(self.user(number)) for number in range(len(world.users))]
        self.traffic = [[0, 0] for _ in world.nodes]
        self.radio = [Radio(self.env) for _ in world.users]
        self.seconds = [world.seconds(0, index) for index in range(world.planner)]
        self.worked = [0.0] * len(world.users)
        self.asked = 0
        for index in range(len(world.nodes)):
            self.env.process(self.sample(index))

    def run(self) -> Rows:
        self.env.run(simpy.AllOf(self.env, self.done))
        return self.rows

    def carry(self, source: int, to: int, port: Shared, size: int) -> Process:
        yield self.env.timeout(self.latency)
        if size:
            radio = self.radio[min(source, to)]
            radio.switch(1)
            yield port.serve(size)
            radio.switch(-1)
            self.traffic[source][0] += size
            self.traffic[to][1] += size

    def sample(self, index: int) -> Process:
        spec, busy, number = self.world.nodes[index], 0.0, 0
        server = self.servers[index - len(self.world.users)] if spec.tier == "edge" else None
        while True:
            yield self.env.timeout(self.world.sample_s)
            on = 0.0
            if server is not None:
                server.cpu.catch_up()
                used, busy = server.cpu.used - busy, server.cpu.used
            elif spec.tier == "client":
                used, busy = self.worked[index] - busy, self.worked[index]
                on = self.radio[index].read()
            else:
                used = 0.0
            sent, received = self.traffic[index]
            self.traffic[index] = [0, 0]
            energy = spec.idle_w * self.world.sample_s + spec.compute_w * used + spec.radio_w * on
            number += 1
            held = server.held if server is not None else 0
            self.rows["usage"].append(
                (self.env.now, spec.name, self.world.sample_s, used, held, float(held), sent, received, on, energy,
                 used * spec.price_per_s)
            )  # fmt: skip

    def user(self, number: int) -> Process:
        env, user = self.env, self.world.users[number]
        node = self.world.nodes[number]
        own = self.seconds[number]
        yield env.timeout(user.arrival_s)
        confirmed: list[Server] = []
        env.process(self.install(number, confirmed))
        for query in range(user.queries or 0):
            begun = env.now
            if not confirmed:
                work = sum(own)
                yield env.timeout(work)
                self.worked[number] += work
                self.segment(node.name, user.name, query, 0, 0, LAYERS - 1, begun, begun, work)
                self.query(number, query, begun, 0, 1, work, 0.0, 0, 0)
            else:
                server = confirmed[0]
                local = sum(own[:KEPT])
                yield env.timeout(local)
                self.worked[number] += local
                self.segment(node.name, user.name, query, 0, 0, KEPT - 1, begun, begun, local)
                sent, answer = self.layer_bytes[KEPT - 1], self.layer_bytes[-1]
                yield from self.carry(number, server.spec.index, server.down, sent)
                arrived = env.now
                work = sum(self.seconds[server.spec.index][KEPT:])
                yield server.cpu.serve(work)
                self.segment(server.spec.name, user.name, query, 1, KEPT, LAYERS - 1, arrived, arrived, work)
                yield from self.carry(server.spec.index, number, server.up, answer)
                self.query(number, query, begun, 1, 2, local, work, sent, answer)
            yield env.timeout(user.think_s)

    def install(self, number: int, confirmed: list[Server]) -> Process:
        """Ask every server what it would cost, ask for a plan, upload the one part, wait for the confirm result."""
        env, user = self.env, self.world.users[number]
        yield simpy.AllOf(env, [env.process(self.predict(number, server)) for server in self.servers])
        requested = env.now
        yield env.timeout(self.latency)
        server = self.servers[self.asked % len(self.servers)]
        self.asked += 1
        yield env.timeout(self.world.lookahead_s)
        self.rows["plans"].append(
            (env.now, "planner", user.name, 1, "round-robin", "accepted", "", requested, LAYERS - KEPT, KEPT, 1,
             self.part, 1.0, 1.0, f"client:0-{KEPT - 1} {server.spec.name}:{KEPT}-{LAYERS - 1}", "",
             "arrival")
        )  # fmt: skip
        yield env.timeout(self.latency)
        sent = env.now
        yield from self.carry(number, server.spec.index, server.down, self.part)
        server.held += self.part
        self.rows["allocations"].append(
            (env.now, server.spec.name, user.name, "admitted", 1, 0, LAYERS - KEPT, self.part, server.held, "")
        )
        yield env.timeout(self.latency)
        name = self.world.nodes[number].name
        self.rows["uploads"].append(
            (
                env.now,
                name,
                user.name,
                1,
                0,
                1,
                server.spec.name,
                LAYERS - KEPT,
                self.part,
                sent,
                env.now,
                "confirmed",
                "",
                0,
                name,
            )
        )
        confirmed.append(server)

    def predict(self, number: int, server: Server) -> Process:
        yield self.env.timeout(self.latency)
        yield from self.carry(server.spec.index, number, server.up, 12 * LAYERS)

    def segment(
        self,
        node: str,
        user: str,
        query: int,
        step: int,
        first: int,
        last: int,
        ready: float,
        begun: float,
        work: float,
    ) -> None:
        now = self.env.now
        self.rows["segments"].append((now, node, user, query, step, first, last, ready, begun, now, work))

    def query(
        self, number: int, query: int, begun: float, parts: int, segments: int, local: float, remote: float, sent: int,
        received: int,
    ) -> None:  # fmt: skip
        now, user = self.env.now, self.world.users[number].name
        self.rows["queries"].append(
            (now, self.world.nodes[number].name, user, query, "answered", "", begun, begun, now, now - begun, parts,
             parts, segments, LAYERS - KEPT if parts else 0, local, remote, sent, received, remote * 1e-5, "", "")
        )  # fmt: skip
