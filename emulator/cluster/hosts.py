"""Hosts as Ray actors. One actor is one host: its time plane and its data plane.

The time plane is a plain synchronous call; executions and plannings have concurrency groups of their own, so that the
clock of an actor never waits for its tensors. Ray's own restarts stay off: a retry would corrupt the emulation. What
dies is started again here and lives through its log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from layerlift.emulator.cluster.actor import HostActor
from layerlift.emulator.cluster.delivery_log import DeliveryLog
from layerlift.emulator.cluster.failures import TRIES, is_lost, plain_error
from layerlift.emulator.cluster.import_path import import_path
from layerlift.emulator.cluster.plans import Planned, planned_aside
from layerlift.emulator.cluster.session import machines
from layerlift.emulator.execution.backends import Ref
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.runtime.host import Answer
from layerlift.emulator.runtime.local_hosts import homes
from layerlift.emulator.runtime.ports import Call
from layerlift.emulator.world.world import World
from layerlift.models.errors import LayerliftError, RunError
from layerlift.models.running.session import Optimization


class RayHosts:
    """One actor per group of nodes, spread over the machines of the cluster; see
    `layerlift.emulator.runtime.conductor.Hosts`.
    """

    def __init__(self, world: World, groups: Sequence[Sequence[int]], execution: bool, optimization: Optimization):
        self.home = homes(world, groups)
        self._groups = groups
        self._world = ray.put(world)
        self._rest = (execution, optimization, import_path())
        remote: Any = ray.remote
        grouped = remote(concurrency_groups={"compute": 1, "plan": 1})
        self._class = grouped(HostActor)
        self._machine = [""] * len(groups)
        self._shunned: set[str] = set()
        self.actors: list[Any] = [self._start(host) for host in range(len(groups))]
        self.restarts = 0
        self._logs = [DeliveryLog() for _ in groups]
        self.revived: list[Callable[[int], None]] = []
        """Told the number of each host that was started again."""

    def __len__(self) -> int:
        return len(self.actors)

    def wait(self) -> list[int]:
        """Wait until every actor is up; their process numbers. Raises `RunError` when one cannot start."""
        return self._ask([(host, _process) for host in range(len(self))])

    def mend(self) -> None:
        """Start again every actor that has died."""
        self._ask([(host, _process) for host in range(len(self))])

    def close(self) -> None:
        """Let the actors go, and what they were told."""
        for actor in self.actors:
            ray.kill(actor)
        for log in self._logs:
            log.close()

    def advance(self, calls: Sequence[Call]) -> list[Answer]:
        """See `Hosts`. A dead actor is started again and the call repeated; everything else goes on as it was."""
        answers: list[Answer] = self._ask([(call[0], partial(_advance, call)) for call in calls])
        for (host, horizon, mail, costs), answer in zip(calls, answers, strict=True):
            self._logs[host].add(horizon, mail, costs, answer.halted)
        return answers

    def finish(self, at: float) -> list[Answer]:
        """See `Hosts`."""
        return self._ask([(host, lambda actor: actor.finish.remote(at)) for host in range(len(self))])

    def plan(self, node: int, job: PlanJob, seed: int, timeout_s: float) -> Ref:
        """Begin a planning in the actor of a node."""
        return self.actors[self.home[node]].plan.options(concurrency_group="plan").remote(job, seed, timeout_s)

    def plan_aside(self, job: PlanJob, seed: int, timeout_s: float) -> Ref:
        """Begin a planning in a task of its own, wherever a CPU is idle."""
        remote: Any = ray.remote
        return remote(num_cpus=1, max_retries=0)(planned_aside).remote(import_path(), job, seed, timeout_s)

    def planned(self, ref: Ref) -> Planned | None:
        """Wait for a planning; None when it died with its actor, which is then there again for the next."""
        try:
            found: Any = ray.get(ref)
        except RayError as error:
            if not is_lost(error):
                raise plain_error(error) from None
            self.mend()
            return None
        planned: Planned = found
        return planned

    def _start(self, host: int) -> Any:
        """Start the actor of a host. Hosts go to the machines in turn: Ray's own spreading is by chance."""
        alive = machines()
        alive = [machine for machine in alive if machine not in self._shunned] or alive
        self._machine[host] = alive[host % len(alive)]
        there = NodeAffinitySchedulingStrategy(self._machine[host], soft=False)
        actor = self._class.options(num_cpus=0, max_restarts=0, scheduling_strategy=there)
        return actor.remote(self._world, self._groups[host], *self._rest)

    def _ask(self, calls: Sequence[tuple[int, Callable[[Any], Ref]]]) -> list[Any]:
        """Ask several hosts at once; those that die are started again and asked again. Answers in order."""
        refs = [ask(self.actors[host]) for host, ask in calls]
        answers: list[Any] = [None] * len(calls)
        waiting = list(range(len(calls)))
        for attempt in range(TRIES):
            waiting, died = self._collect(waiting, refs, answers)
            if not waiting:
                break
            if attempt == TRIES - 1:
                raise died
            self._revive([calls[number][0] for number in waiting])
            for number in waiting:
                host, ask = calls[number]
                refs[number] = ask(self.actors[host])
        return answers

    @staticmethod
    def _collect(waiting: Sequence[int], refs: Sequence[Ref], answers: list[Any]) -> tuple[list[int], LayerliftError]:
        """Wait for answers; which of them died with their actors, and of what."""
        lost: list[int] = []
        died: LayerliftError = RunError("no host actor failed")
        for number in waiting:
            try:
                answers[number] = ray.get(refs[number])
            except RayError as error:
                died = plain_error(error)
                if not is_lost(error):
                    raise died from None
                lost.append(number)
        return lost, died

    def _revive(self, hosts: Sequence[int]) -> None:
        """Start hosts again, all at once, and bring each to where it was; what they answer meanwhile is known."""
        self._shunned.clear()
        down = list(hosts)
        for _ in range(TRIES):
            for host in down:
                ray.kill(self.actors[host])
                self.restarts += 1
                self.actors[host] = self._start(host)
            failed = {host: error for host in down if (error := self._repeat(host)) is not None}
            # A machine that has just died may still be said to be up.
            self._shunned.update(self._machine[host] for host in failed)
            down = list(failed)
            if not down:
                break
        else:
            raise next(iter(failed.values()))
        for told in self.revived:
            for host in hosts:
                told(host)

    def _repeat(self, host: int) -> LayerliftError | None:
        """Let a new actor live through what the old one had been told; the error that it died of, if it did."""
        try:
            for block in self._logs[host].blocks():
                ray.get(self.actors[host].repeat.remote(block))
        except RayError as error:
            if not is_lost(error):
                raise plain_error(error) from None
            return plain_error(error)
        return None


def _process(actor: Any) -> Ref:
    return actor.process.remote()


def _advance(call: Call, actor: Any) -> Ref:
    _, horizon, mail, costs = call
    return actor.advance.remote(horizon, mail, costs)
