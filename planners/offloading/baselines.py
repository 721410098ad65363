"""Planners that are there to be beaten."""

from __future__ import annotations

import random

import numpy as np

from layerlift.models.graph.route import CLIENT
from layerlift.planners import cost
from layerlift.planners.cost.judge import Judge
from layerlift.planners.problem.plan import Plan, all_local, offload
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import PlannerBase


class Local(PlannerBase):
    """Every layer stays on the client."""

    multi_server = False

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The plan that moves nothing."""
        return all_local(problem)


class AllRemote(PlannerBase):
    """Every layer goes to one server, the best by the objective; the client keeps only what may not or does not fit."""

    multi_server = False
    optimises = "nothing"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """All layers on the best single server; layers are admitted in order while its memory lasts."""
        found = [
            _fill(problem, [server if free else CLIENT for free in problem.allowed[:, server]])
            for server in problem.servers
        ]
        return offload(Judge(problem).best(np.array(found, dtype=np.int64)))


class Random(PlannerBase):
    """Every layer on a node drawn evenly from those where it is allowed and fits."""

    optimises = "nothing"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """A random legal placement."""
        drawn = [rng.choice([int(node) for node in allowed.nonzero()[0]]) for allowed in problem.allowed]
        return offload(_fill(problem, drawn))


class Greedy(PlannerBase):
    """Layer by layer, each on the node where it would end first; no thought of what follows.

    A layer's end is estimated from its inputs' ends and transfers, without waiting for links, and nodes run one
    layer at a time. The result is dropped for all-local where that is better by the objective.
    """

    @classmethod
    def cite(cls) -> str:
        """The source of the rule."""
        return (
            "earliest finish time, as in Topcuoglu et al., HEFT, TPDS 2002, doi:10.1109/71.993206, in the given order"
        )

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The placement of earliest finishes."""
        return offload(Judge(problem).or_local(_fill(problem, _earliest(problem))))


def _earliest(problem: Problem) -> list[int]:
    graph, tables = problem.graph, problem.tables
    placement: list[int] = []
    ends: list[float] = []
    free = [0.0] * len(problem.nodes)
    for layer in graph.layers:
        finishes = []
        for node in np.flatnonzero(problem.allowed[layer.index]).tolist():
            ready = free[node]
            for number in layer.inputs:
                tensor = graph.tensors[number]
                home = CLIENT if tensor.producer < 0 else placement[tensor.producer]
                made = 0.0 if tensor.producer < 0 else ends[tensor.producer]
                way = tables.latency_s[home][node] + tensor.bytes / tables.bandwidth_bytes_s[home][node]
                ready = max(ready, made + (way if home != node else 0.0))
            finishes.append((ready + tables.seconds[node][layer.index] * tables.slowdown[node], node))
        end, node = min(finishes)
        placement.append(node)
        ends.append(end)
        free[node] = end
    return placement


def _fill(problem: Problem, wanted: list[int]) -> tuple[int, ...]:
    """`wanted`, but a layer whose parameters no longer fit on its server stays on the client."""
    if cost.fits(problem, wanted):
        return tuple(wanted)
    placed = [CLIENT] * len(wanted)
    held: dict[int, set[int]] = {}
    for layer, node in enumerate(wanted):
        there = held.setdefault(node, set()) | set(problem.graph.layers[layer].parameters)
        size = sum(problem.graph.parameters[parameter].held_bytes for parameter in there)
        if node != CLIENT and size <= problem.memory_bytes[node]:
            placed[layer] = node
            held[node] = there
    return tuple(placed)
