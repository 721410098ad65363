"""How well the crowd's cost foretells a crowd: `python -m benchmarks.crowd_error [--crowds 200]`.

Random crowds of 2 to 16 users over one to three servers, who ask at random, by the clock, or some time after each
answer. Each stays for as long as the slowest needs for a number of questions: with a fixed number of questions the
quick ones would leave first, and nobody would see a steady state. The first tenth is left out.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from layerlift.emulator.planning.crowd import NOBODY, crowd_news
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.protocol.messages import PlanOutcome
from layerlift.emulator.results.rows import QueryRow
from layerlift.emulator.runtime.one_clock import OneClock
from layerlift.emulator.world.laws import Exponential, Regular, Steady
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.machines import NodeSpec
from layerlift.emulator.world.models import ModelSpec
from layerlift.emulator.world.users import PlanningSpec, UserSpec
from layerlift.emulator.world.world import World
from layerlift.models.graph.graph import Layer, LayerGraph, Parameter, Tensor
from layerlift.planners import Upload
from layerlift.planners.cost.crowd import Crowd

BANDS = (0.0, 0.3, 0.5, 0.65, 0.8, 0.95)
LAYERS = 2
MOST_QUERIES = 60_000
"""Of a crowd together."""


@dataclass(frozen=True, slots=True)
class Held:
    """What was foretold of a crowd, beside what was seen."""

    use: float
    """Of the busiest CPU or port, or of the time of the user who waits most for itself."""
    error: float
    """Mean latency over the users, foretold over seen, less 1."""
    worst: float
    """The same of the user for whom it is furthest off, without its sign."""


def chain(draw: random.Random) -> LayerGraph:
    """Two layers with tensors of any size between them and before them, and a small answer."""
    tensors = (
        Tensor("input", draw.randint(1_000, 300_000), -1, (0,)),
        Tensor("between", draw.randint(1_000, 300_000), 0, (1,)),
        Tensor("answer", 4_000, 1, (), True),
    )
    layers = tuple(Layer(i, f"layer{i}", "Conv", (i,), (i + 1,), (i,)) for i in range(LAYERS))
    parameters = tuple(Parameter(f"w{i}", 1_000, 1_000) for i in range(LAYERS))
    return LayerGraph("chain", layers, tensors, parameters, (0,), (LAYERS,))


class Placed:
    """Plans that are settled: each user asks for its own placement by name."""

    def __init__(self, placements: Sequence[tuple[int, ...]]) -> None:
        self._placements = placements

    def submit(self, job: PlanJob) -> None:
        """See `Plans`."""

    def result(self, job: PlanJob) -> PlanOutcome:
        """See `Plans`."""
        placement = self._placements[int(job.planner)]
        moved = tuple(layer for layer, node in enumerate(placement) if node)
        uploads = (Upload(max(placement), moved),) if moved else ()
        return PlanOutcome(True, placement, uploads, False, "", 1.0, 1.0, "")


def drawn(seed: int, queries: int) -> tuple[World, list[tuple[int, ...]]]:
    """A crowd, and where its users' layers are."""
    draw = random.Random(f"crowd error {seed}")
    count, servers = draw.randint(2, 16), draw.randint(1, 3)
    bandwidth, cores = 10 ** draw.uniform(5.5, 7), draw.choice((1, 1, 2, 4))
    port = bandwidth * draw.uniform(1.0, 6.0)
    graph = chain(draw)
    seconds = tuple(10 ** draw.uniform(-3.0, -1.3) for _ in graph.layers)
    nodes = [NodeSpec(i, f"client{i}", "client", ghz=0.2) for i in range(count)]
    nodes += [
        NodeSpec(
            count + i, f"server{i}", "edge", ghz=float(cores), cores=cores, uplink_bytes_s=port, downlink_bytes_s=port
        )
        for i in range(servers)
    ]  # fmt: skip
    nodes.append(NodeSpec(count + servers, "planner", "planner"))
    link = LinkSpec(0.005, bandwidth)
    world = World(
        name="crowd",
        seed=seed,
        nodes=tuple(nodes),
        links={(a, b): link for a in ("client", "edge") for b in ("client", "edge")},
        models=(ModelSpec("chain", "chain", graph, {"reference": seconds}, {"reference": 1.0}),),
        users=tuple(UserSpec(i, f"user{i}", i, 0, planner=str(i), queries=1, profile_runs=0) for i in range(count)),
        planning=PlanningSpec(loopback_s=0.005),
        share_links=True,
    )
    placements = []
    for _ in range(count):
        server, home = draw.randint(1, servers), draw.randint(0, 1)
        placements.append(tuple(0 if layer < home else server for layer in range(LAYERS)))
    return _asking(world, placements, draw, queries), placements


def _asking(world: World, placements: Sequence[tuple[int, ...]], draw: random.Random, queries: int) -> World:
    """The world whose users ask in one of three ways, each at its own share of what a query takes alone."""
    crowd, scale = _crowd(world), 10 ** draw.uniform(-1.2, 0.0)
    users, rates = [], []
    for user, placement in zip(world.users, placements, strict=True):
        alone_s = float(crowd.alone(user.index, placement)[0].latency_s[0])
        rate = scale * draw.uniform(0.3, 1.0) / alone_s
        how = draw.choice(("at random", "by the clock", "after a pause"))
        rates.append(rate)
        if how == "after a pause":
            users.append(replace(user, queries=None, think_law=Exponential(max(1.0 / rate - alone_s, 1e-3))))
        else:
            asks = Steady(rate) if how == "at random" else Regular(1000.0 / rate, draw.random() / rate)
            users.append(replace(user, queries=None, asks=asks))
    until_s = min(queries / min(rates), MOST_QUERIES / float(np.sum(rates)))
    return replace(world, users=tuple(users), until_s=until_s, sample_s=until_s)


def _crowd(world: World) -> Crowd:
    quiet = [NOBODY] * len(world.servers)
    problems = [problem_of(world, user.index) for user in world.users]
    return Crowd([replace(each, crowd=crowd_news(world, user, quiet, 0.0)) for user, each in enumerate(problems)])


def held(seed: int, queries: int) -> Held | None:
    """Foretell and emulate one crowd; None where somebody asks faster than answers can come."""
    world, placements = drawn(seed, queries)
    steady = _crowd(world).steady(placements)
    use = max(float(steady.use.max()), float(steady.own_use.max()))
    if use > BANDS[-1]:
        return None
    seen: dict[str, list[float]] = {user.name: [] for user in world.users}

    def write(table: str, rows: Sequence[tuple[object, ...]]) -> None:
        if table == "queries":
            for row in (QueryRow(*row) for row in rows):  # type: ignore[arg-type]
                if row.status == "answered" and row.asked_s > 0.1 * world.until_s:
                    seen[row.user].append(row.latency_s)

    OneClock(world, Placed(placements), write).run()
    means = np.array([statistics.fmean(seen[user.name]) for user in world.users])
    off = steady.latency_s / means - 1.0
    return Held(use, float(steady.latency_s.mean() / means.mean()) - 1.0, float(np.abs(off).max()))


def table(found: Sequence[Held]) -> str:
    """Errors by use, as a Markdown table."""
    head = ["use of the busiest", "crowds", "mean error", "root mean square", "largest", "worst user, median"]
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    for low, high in pairwise(BANDS):
        errors = [each.error for each in found if low <= each.use < high]
        if errors:
            users = [each.worst for each in found if low <= each.use < high]
            square = statistics.fmean(error * error for error in errors) ** 0.5
            numbers = [statistics.fmean(errors), square, max(map(abs, errors)), statistics.median(users)]
            told = [f"{100 * numbers[0]:+.1f} %", *(f"{100 * number:.1f} %" for number in numbers[1:])]
            lines.append(f"| {100 * low:g} to {100 * high:g} % | {len(errors)} | {' | '.join(told)} |")
    return "\n".join(lines)


def foretold(crowds: int = 200, queries: int = 200) -> str:
    """The table over so many crowds, whose slowest users ask so many questions."""
    found: list[Held] = []
    seed = 0
    while len(found) < crowds:
        made = held(seed, queries)
        found += [made] if made is not None else []
        seed += 1
        print(f"{len(found)} crowds", file=sys.stderr, end="\r")
    return table(found)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crowds", type=int, default=200)
    parser.add_argument("--queries", type=int, default=200, help="of the slowest user")
    given = parser.parse_args(arguments)
    print(foretold(given.crowds, given.queries))


if __name__ == "__main__":
    main()
