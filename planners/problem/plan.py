"""What a planner answers: which layer runs where, and in which parts and order layers are uploaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from numbers import Integral
from typing import NamedTuple

from layerlift.models.errors import PlanError
from layerlift.planners.problem.problem import Problem


class Upload(NamedTuple):
    """One P3 of the paper: some layers of P1, sent to one server as one part."""

    server: int
    layers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A migration plan, in the indices of its `Problem`.

    `placement[layer]` is a node, 0 = the client: the layers elsewhere are the paper's P1, the rest its P2.
    `uploads` is the order in which P1 travels; its parts (the P3) make up P1 exactly.
    """

    placement: tuple[int, ...]
    uploads: tuple[Upload, ...]
    version: int = 0
    """Numbered by the world, not by the planner."""
    note: str = ""
    """What the planner wants to tell a reader (convergence, gap); never read by the emulation."""
    whole: bool = False
    """Whether the placement is used only when every part is confirmed (Direct Uploading); queries are local until
    then. Otherwise each layer moves as soon as its own part is confirmed."""

    @property
    def p1(self) -> frozenset[int]:
        """Layers placed on servers."""
        return frozenset(layer for layer, node in enumerate(self.placement) if node)

    @property
    def p2(self) -> frozenset[int]:
        """Layers kept on the client."""
        return frozenset(layer for layer, node in enumerate(self.placement) if not node)


def all_local(problem: Problem, note: str = "") -> Plan:
    """The plan that moves nothing."""
    return Plan((0,) * len(problem.graph), (), note=note)


def uploads_of(placement: Sequence[int], parts: Iterable[Iterable[int]]) -> tuple[Upload, ...]:
    """Turn parts of layers into uploads, one per (part, server), layers ascending; empty parts vanish."""
    made: list[Upload] = []
    for part in parts:
        by_server: dict[int, list[int]] = {}
        for layer in sorted(part):
            if server := placement[layer]:
                by_server.setdefault(server, []).append(layer)
        made.extend(Upload(server, tuple(layers)) for server, layers in by_server.items())
    return tuple(made)


def in_one_piece(placement: Sequence[int]) -> tuple[Upload, ...]:
    """All of P1 as one part per server, servers in the order in which the network first needs them."""
    by_server: dict[int, list[int]] = {}
    first = 0
    for node, run in groupby(placement):
        last = first + len(list(run))
        if node:
            by_server.setdefault(node, []).extend(range(first, last))
        first = last
    return tuple(Upload(server, tuple(layers)) for server, layers in by_server.items())


def offload(placement: Sequence[int], note: str = "") -> Plan:
    """The plan of a planner that only places layers: uploaded in one piece per server, used when all is there."""
    chosen = tuple(map(int, placement))
    return Plan(chosen, in_one_piece(chosen), note=note, whole=any(chosen))


def _whole(number: object, what: str) -> None:
    if type(number) is not int and not isinstance(number, Integral):
        raise PlanError(f"{what} {number!r}: expected a whole number")


def validate(plan: Plan, problem: Problem) -> None:
    """Raise `PlanError` unless `plan` is legal for `problem`; the message names the layer, part or node at fault."""
    if not isinstance(plan, Plan):
        raise PlanError(f"the planner returned {type(plan).__name__}, expected layerlift.planners.Plan")
    graph, nodes = problem.graph, len(problem.nodes)
    if len(plan.placement) != len(graph):
        raise PlanError(f"the placement has {len(plan.placement)} layers, {graph.name} has {len(graph)}")
    for layer, node in enumerate(plan.placement):
        _whole(node, f"layer {layer} is placed on node")
        if not 0 <= node < nodes:
            raise PlanError(f"layer {layer} is placed on node {node}, expected 0 (the client) to {nodes - 1}")
        if problem.tables.limited and not problem.allowed[layer, node]:
            raise PlanError(
                f"layer {layer} ({graph.layers[layer].name}) is placed on {problem.nodes[node]}, "
                f"where it is not allowed: see problem.allowed"
            )
    seen: set[int] = set()
    for number, upload in enumerate(plan.uploads):
        if not upload.layers:
            raise PlanError(f"upload {number} is empty: expected at least one layer")
        for layer in upload.layers:
            _whole(layer, f"upload {number} names layer")
            if not 0 <= layer < len(graph):
                raise PlanError(f"upload {number} names layer {layer}, {graph.name} has layers 0 to {len(graph) - 1}")
            if layer in seen:
                raise PlanError(f"layer {layer} is uploaded twice (again in upload {number})")
            if plan.placement[layer] != upload.server:
                raise PlanError(
                    f"upload {number} sends layer {layer} to node {upload.server}, "
                    f"but the placement has it on node {plan.placement[layer]}"
                )
            seen.add(layer)
    missing = plan.p1 - seen
    if missing:
        raise PlanError(
            f"layer {min(missing)} is placed on a server but in no upload: the parts must make up P1 exactly"
        )
    if 0 in {upload.server for upload in plan.uploads}:
        raise PlanError("an upload goes to node 0, the client itself: uploads go to servers")
    for server in problem.servers if problem.tables.limited else ():
        held = graph.held_bytes(layer for layer, node in enumerate(plan.placement) if node == server)
        if held > problem.memory_bytes[server]:
            raise PlanError(
                f"{problem.nodes[server]} is given {held} bytes of parameters, "
                f"it offers {problem.memory_bytes[server]:.0f}: place fewer layers there"
            )
