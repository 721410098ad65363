"""The planner's place in the world: turns requests into problems, and outcomes into replies.

The planning itself is real work outside virtual time; a declared number of seconds is what it costs on the clock.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from layerlift.emulator.nodes.machine import Machine
from layerlift.emulator.nodes.ports import HostPort
from layerlift.emulator.nodes.scaler import Scaler
from layerlift.emulator.planning.coordination import plan_coordination
from layerlift.emulator.planning.crowd import plans_jointly, wants_crowd, wants_stay
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.period import promised_period_s
from layerlift.emulator.planning.problems import Known, build_problem
from layerlift.emulator.protocol.messages import Load, PlanOutcome, PlanReady, PlanReply, PlanRequest, Use
from layerlift.emulator.results.rows import MeasuredKind, MeasuredRow, PlanRow
from layerlift.emulator.world.machines import NodeSpec
from layerlift.emulator.world.users import UserSpec
from layerlift.models.graph.graph import LayerGraph
from layerlift.planners.problem.problem import Problem

PLAN_ENTRY_BYTES = 8
"""One layer in a plan message: its node (4 bytes) and its part (4)."""


class _Made(NamedTuple):
    """A plan, and what is told of it outside the digest, as it follows from what is in it; None: nothing is."""

    outcome: PlanOutcome
    period_s: float | None = None
    """The period that it promises, where somebody looks at that."""
    coordination: float | None = None
    """How well its latency, energy and money go together."""


class PlannerNode(Machine):
    """One for all users. Plans of one user are numbered from 1."""

    __slots__ = (
        "_curious", "_gathered", "_heard", "_joint", "_made", "_patient", "_pending", "_requests", "_scalers",
        "_versions",
    )  # fmt: skip

    def __init__(self, host: HostPort, spec: NodeSpec) -> None:
        super().__init__(host, spec)
        self._requests = 0
        self._pending: dict[int, tuple[PlanRequest, float, Problem]] = {}
        self._versions: dict[int, int] = {}
        self._gathered: dict[str, list[tuple[PlanRequest, float]]] = {}
        self._joint: dict[str, bool] = {}
        self._curious: dict[str, bool] = {}
        self._patient: dict[str, bool] = {}
        self._heard: dict[int, Load] = {}
        self._made: dict[int, dict[int, _Made]] = {}
        """By version, the plans of users who may want one of them again."""
        self._scalers = [Scaler(self, group) for group in host.world.scaling]

    def use(self, message: Use) -> None:
        """Hand what a server says of its use to whoever decides about its group."""
        for scaler in self._scalers:
            scaler.hear(message)

    def load(self, message: Load) -> None:
        """Remember a server's heartbeat: problems carry it until the next one comes."""
        self._heard[message.server] = message

    def request(self, message: PlanRequest) -> None:
        """Hand the problem out, alone or, for a planner that plans users jointly, with those that come soon after."""
        world = self.host.world
        planner = world.users[message.user].planner
        if message.again:
            made = self._made[message.user][message.again]
            outcome = made.outcome._replace(note=f"plan {message.again} again")
            self._reply(message, self.kernel.now, made._replace(outcome=outcome))
            return
        if not self._plans_jointly(planner):
            self._hand_out(planner, [(message, self.kernel.now)])
        elif planner in self._gathered:
            self._gathered[planner].append((message, self.kernel.now))
        else:
            self._gathered[planner] = [(message, self.kernel.now)]
            self.call_at(self.kernel.now + (world.planning.gather_s or 0.0), self._gather, planner)

    def _plans_jointly(self, planner: str) -> bool:
        if planner not in self._joint:
            self._joint[planner] = plans_jointly(self.host.world, planner)
        return self._joint[planner]

    def _wants_stay(self, planner: str) -> bool:
        if planner not in self._patient:
            self._patient[planner] = wants_stay(planner)
        return self._patient[planner]

    def _wants_crowd(self, planner: str) -> bool:
        if not self.host.crowd_wanted:
            return False
        if planner not in self._curious:
            self._curious[planner] = wants_crowd(self.host.world, planner)
        return self._curious[planner]

    def _gather(self, planner: str) -> None:
        self._hand_out(planner, sorted(self._gathered.pop(planner), key=lambda asked: asked[0].user))

    def _hand_out(self, planner: str, requests: list[tuple[PlanRequest, float]]) -> None:
        """The plans are due after the declared seconds, and never within the window."""
        world, now = self.host.world, self.kernel.now
        due_s = now + max(world.planning.plan_s, world.lookahead_s)
        closed = frozenset[int]().union(*(scaler.closed for scaler in self._scalers))
        known = Known(
            now, self.host.conditions, self._heard, self._wants_crowd(planner), self._wants_stay(planner), closed
        )
        problems = tuple(build_problem(world, asked, known) for asked, _ in requests)
        together = problems if len(problems) > 1 else ()
        for index, (asked, problem) in enumerate(zip(requests, problems, strict=True)):
            self._requests = number = self._requests + 1
            self._pending[number] = (*asked, problem)
            self.host.plan(PlanJob(due_s, number, planner, problem, together, index, world.planning.literal))

    def ready(self, message: PlanReady) -> None:
        """Report the plan and send it to its client; a failed one leaves the user local."""
        (request, requested_s, problem), outcome = self._pending.pop(message.request), message.outcome
        user = self.host.world.users[request.user]
        made = _Made(outcome)
        if outcome.accepted:
            period_s = promised_period_s(self.host.world, user, problem, outcome.placement)
            made = _Made(outcome, period_s, plan_coordination(problem, outcome.placement))
        self._reply(request, requested_s, made)

    def _reply(self, request: PlanRequest, requested_s: float, made: _Made) -> None:
        outcome, world = made.outcome, self.host.world
        user, graph = world.users[request.user], self.host.model_of(request.user).graph
        version = self._versions[request.user] = self._versions.get(request.user, 0) + 1
        if user.replan == "slow" and outcome.accepted:
            self._made.setdefault(request.user, {})[version] = made
        remote = [layer for layer, node in enumerate(outcome.placement) if node]
        self.row(
            PlanRow(
                at_s=self.kernel.now,
                client=self.name,
                user=user.name,
                plan_version=version,
                planner=user.planner,
                status="accepted" if outcome.accepted else "failed",
                reason=outcome.reason,
                requested_s=requested_s,
                p1_layers=len(remote),
                p2_layers=len(graph) - len(remote),
                parts=len(outcome.uploads),
                upload_bytes=upload_bytes(graph, outcome.placement),
                local_s=outcome.local_s,
                predicted_s=outcome.predicted_s,
                placement=self._describe(request.user, outcome.placement),
                note=outcome.note,
                cause=request.cause,
            )
        )
        if made.period_s is not None:
            self._tell("period_s", user, version, made.period_s)
        if made.coordination is not None:
            self._tell("coordination", user, version, made.coordination)
        reply = PlanReply(
            request.user, version, outcome.placement, outcome.uploads, outcome.whole, outcome.accepted,
            outcome.predicted_s,
        )  # fmt: skip
        size = 0 if world.planning.at < 0 else world.header_bytes + PLAN_ENTRY_BYTES * len(graph)
        self.send(user.client, size, reply)

    def _tell(self, kind: MeasuredKind, user: UserSpec, version: int, value: float) -> None:
        self.row(
            MeasuredRow(
                at_s=self.kernel.now, node=self.name, kind=kind, user=user.name, query=version, step=-1,
                name=user.planner, value=value, expected=value,
            )
        )  # fmt: skip

    def _describe(self, user: int, placement: tuple[int, ...]) -> str:
        graph = self.host.model_of(user).graph
        names = self.host.world.nodes
        return " ".join(
            f"{names[self.host.address(user, segment.node)].name}:{segment.first}-{segment.last}"
            for segment in graph.segments(placement)
        )

    handlers: ClassVar = {PlanRequest: request, PlanReady: ready, Load: load, Use: use}


def upload_bytes(graph: LayerGraph, placement: tuple[int, ...]) -> int:
    """Bytes that all uploads of a placement move: each server gets each parameter once."""
    servers = sorted(set(placement) - {0})
    return sum(graph.upload_bytes(layer for layer, node in enumerate(placement) if node == s) for s in servers)
