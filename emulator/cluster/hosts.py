"""Hosts as Ray actors: the only file that knows Ray. One actor is one host: its time plane and its data plane.

The time plane is a plain synchronous call; executions and plannings have concurrency groups of their own, so that the
clock of an actor never waits for its tensors. Ray's own restarts stay off: a retry would corrupt the emulation. What
dies is started again here and lives through its log.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np
import ray
from ray._private import ray_constants
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from layerlift.emulator.cluster.actor import HostActor
from layerlift.emulator.cluster.delivery_log import DeliveryLog
from layerlift.emulator.cluster.holdings import Holdings
from layerlift.emulator.cluster.lineage import TIMING, Lineage, Tensor
from layerlift.emulator.cluster.loopback import loopback_only
from layerlift.emulator.execution.dataplane import Ref
from layerlift.emulator.execution.engine import Task
from layerlift.emulator.nodes.planner_node import PlanJob
from layerlift.emulator.protocol.messages import PlanOutcome
from layerlift.emulator.runtime.host import Answer
from layerlift.emulator.runtime.interruption import afterwards
from layerlift.emulator.runtime.placing import reach
from layerlift.emulator.runtime.ports import Call, homes
from layerlift.emulator.world.world import World
from layerlift.models.errors import LayerliftError, RunError
from layerlift.models.onnx_files.protos import one_line
from layerlift.models.running.cutting import Subgraph
from layerlift.models.running.network import MemorySource, Network
from layerlift.models.running.session import Optimization

_UNFINISHED = 64
"""Pieces that an actor may have before it: the conductor waits above."""
_TRIES = 5
"""How often in a row the same may be lost before it is no accident."""


class _Weight:
    """A parameter in the object store, mapped when first needed and kept."""

    __slots__ = ("_array", "_ref")

    def __init__(self, ref: Ref) -> None:
        self._ref = ref
        self._array: Any = None

    def __call__(self) -> np.ndarray:
        if self._array is None:
            self._array = ray.get(self._ref)
        array: np.ndarray = self._array
        return array


class RayCluster:
    """Ray, started on this machine or joined, for the length of a `with` block.

    `address` None starts a private Ray that listens on loopback only; otherwise a running cluster is joined
    (`auto`, or `host:port`). Raises `RunError` when that cannot be done. A Ray that this process has already
    initialised is used and left running.
    """

    def __init__(self, address: str | None = None, *, object_store_bytes: int | None = None) -> None:
        self._address, self._bytes, self._stack = address, object_store_bytes, ExitStack()

    def __enter__(self) -> RayCluster:
        if ray.is_initialized():
            return self
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # the conductor tells the first, in one sentence
        options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
        if self._address is None:
            # Without an address Ray would join whatever runs on this machine, or what RAY_ADDRESS names.
            options |= {"address": "local", "include_dashboard": False, "object_store_memory": self._bytes}
            self._stack.enter_context(loopback_only(ray_constants))
        else:
            reach(self._address)
            options["address"] = self._address
        try:
            with afterwards():
                ray.init(**options)
                self._stack.callback(ray.shutdown)
        except (RayError, ConnectionError, RuntimeError, ValueError, OSError) as error:
            self._stack.close()
            where = f"join Ray at {self._address}" if self._address else "start Ray"
            raise RunError(f"cannot {where}: {one_line(error)}; --local runs the same without Ray") from error
        except KeyboardInterrupt:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _machines() -> list[str]:
    """Names that Ray gave to the machines which are up, in one order."""
    nodes: Any = ray.nodes
    return sorted(str(node["NodeID"]) for node in nodes() if node["Alive"])


class RayHosts:
    """One actor per group of nodes, spread over the machines of the cluster; see
    `layerlift.emulator.runtime.conductor.Hosts`.
    """

    def __init__(self, world: World, groups: Sequence[Sequence[int]], execution: bool, optimization: Optimization):
        self.home = homes(world, groups)
        self._groups = groups
        self._world = ray.put(world)
        self._rest = (execution, optimization)
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
        """Let the actors go."""
        for actor in self.actors:
            ray.kill(actor)

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

    def planned(self, ref: Ref) -> tuple[tuple[PlanOutcome, ...], float] | None:
        """Wait for a planning; None when it died with its actor, which is then there again for the next."""
        try:
            found: Any = ray.get(ref)
        except RayError as error:
            if not _lost(error):
                raise _plain(error) from None
            self.mend()
            return None
        outcomes: tuple[tuple[PlanOutcome, ...], float] = found
        return outcomes

    def _start(self, host: int) -> Any:
        """Start the actor of a host. Hosts go to the machines in turn: Ray's own spreading is by chance."""
        machines = _machines()
        machines = [machine for machine in machines if machine not in self._shunned] or machines
        self._machine[host] = machines[host % len(machines)]
        there = NodeAffinitySchedulingStrategy(self._machine[host], soft=False)
        actor = self._class.options(num_cpus=0, max_restarts=0, scheduling_strategy=there)
        return actor.remote(self._world, self._groups[host], *self._rest)

    def _ask(self, calls: Sequence[tuple[int, Callable[[Any], Ref]]]) -> list[Any]:
        """Ask several hosts at once; those that die are started again and asked again. Answers in order."""
        refs = [ask(self.actors[host]) for host, ask in calls]
        answers: list[Any] = [None] * len(calls)
        waiting = list(range(len(calls)))
        for attempt in range(_TRIES):
            waiting, died = self._collect(waiting, refs, answers)
            if not waiting:
                break
            if attempt == _TRIES - 1:
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
                died = _plain(error)
                if not _lost(error):
                    raise died from None
                lost.append(number)
        return lost, died

    def _revive(self, hosts: Sequence[int]) -> None:
        """Start hosts again, all at once, and bring each to where it was; what they answer meanwhile is known."""
        self._shunned.clear()
        down = list(hosts)
        for _ in range(_TRIES):
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
            if not _lost(error):
                raise _plain(error) from None
            return _plain(error)
        return None


def _process(actor: Any) -> Ref:
    return actor.process.remote()


def _advance(call: Call, actor: Any) -> Ref:
    _, horizon, mail, costs = call
    return actor.advance.remote(horizon, mail, costs)


def _lost(error: RayError) -> bool:
    """Whether something died. The rest was raised by the host itself, and would be again."""
    return not isinstance(error, RayTaskError) and not getattr(error, "actor_init_failed", False)


def _plain(error: RayError) -> LayerliftError:
    """The error that a host raised, without Ray's wrapping, where it is one of ours."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, LayerliftError) else RunError(f"a host actor failed: {one_line(error)}")


class RayBackend:
    """Runs pieces in the actors; see `layerlift.emulator.execution.dataplane.Backend`.

    Weights are put into the object store once per cluster, and come to each machine once, when a piece there needs
    them. An upload moves references. What is lost with an actor is made again, from the query's input if need be.
    """

    def __init__(self, hosts: RayHosts, networks: Sequence[Network]) -> None:
        self._hosts = hosts
        self.networks: list[Network] = []
        """The same networks, with weights that alias the object store."""
        weights: list[dict[str, _Weight]] = []
        for network in networks:
            refs = {name: ray.put(array) for name, array in network.weights().items()}
            arrays = dict(zip(refs, ray.get(list(refs.values())), strict=True))
            self.networks.append(replace(network, source=MemorySource(arrays)))
            weights.append({name: _Weight(ref) for name, ref in refs.items()})
        self._pieces: dict[tuple[str, int, int], Ref] = {}
        self._unfinished: list[deque[Ref]] = [deque() for _ in hosts.actors]
        self._holdings = Holdings(hosts.home, hosts.actors, weights)
        self._lineage = Lineage(self._submit, self._resubmit, _alive)
        hosts.revived.append(self._holdings.again)

    def keep(self, array: np.ndarray) -> Ref:
        """See `Backend`."""
        return ray.put(array)

    def hold(self, node: int, user: int, model: int, parameters: Sequence[str]) -> None:
        """See `Backend`."""
        self._holdings.hold(node, user, model, parameters)

    def release(self, node: int, user: int) -> None:
        """See `Backend`."""
        self._holdings.release(node, user)

    def run(self, task: Task, piece: Subgraph, inputs: Mapping[str, Ref]) -> tuple[dict[str, Tensor], Tensor]:
        """See `Backend`."""
        made, timing = self._lineage.run(task, piece, inputs)
        waiting = self._unfinished[self._hosts.home[task.node]]
        waiting.append(timing.ref)
        if len(waiting) > _UNFINISHED:
            ray.wait([waiting.popleft()])
        return made, timing

    def fetch(self, refs: Sequence[Tensor]) -> list[Any]:
        """See `Backend`."""
        try:
            return list(ray.get([tensor.ref for tensor in refs]))
        except RayError:
            return [self._get(tensor) for tensor in refs]

    def _get(self, tensor: Tensor) -> Any:
        for _ in range(_TRIES):
            try:
                return ray.get(tensor.ref)
            except RayError as error:
                lost = _plain(error)
                if isinstance(getattr(error, "cause", None), LayerliftError):
                    break
                self._hosts.mend()
                self._lineage.again(tensor)
        raise lost

    def _submit(self, task: Task, piece: Subgraph, inputs: Mapping[str, Ref]) -> dict[str, Ref]:
        if piece.key not in self._pieces:
            self._pieces[piece.key] = ray.put(piece)
        names = [*piece.outputs, *piece.watched, TIMING]
        actor = self._hosts.actors[self._hosts.home[task.node]]
        execute = actor.execute.options(concurrency_group="compute", num_returns=len(names))
        refs = execute.remote(task, self._pieces[piece.key], list(inputs), *inputs.values())
        return dict(zip(names, refs, strict=True))

    def _resubmit(self, task: Task, piece: Subgraph, inputs: Mapping[str, Ref]) -> dict[str, Ref]:
        """Run a piece again, even if its node has let go of the weights since."""
        refs: dict[str, Ref] = self._holdings.lend(
            task.node, task.user, task.model, piece.big, lambda: self._submit(task, piece, inputs)
        )
        return refs


def _alive(ref: Ref) -> bool:
    try:
        ray.get(ref)
    except RayError:
        return False
    return True


def in_tasks(call: Callable[[Any], Any], jobs: Sequence[Any], address: str | None = None) -> Iterator[tuple[int, Any]]:
    """Yield (number, answer) for each job as its Ray task ends; `call` is a module's own function, jobs can be pickled.

    A task per CPU at a time. What raised or was lost is answered by a `LayerliftError`. Ray is started or joined as
    by `RayCluster`; what has not ended when the generator is closed is dropped.
    """
    remote: Any = ray.remote
    with RayCluster(address), ExitStack() as pending:
        task = remote(num_cpus=1, max_retries=1)(call)
        numbers = {task.remote(job): number for number, job in enumerate(jobs)}
        pending.callback(lambda: [ray.cancel(ref, force=True) for ref in numbers])
        while numbers:
            [ref], _ = ray.wait(list(numbers))
            try:
                found: Any = ray.get(ref)
            except RayError as error:
                found = getattr(error, "cause", None)
                found = found if isinstance(found, LayerliftError) else RunError(f"a task was lost: {one_line(error)}")
            yield numbers.pop(ref), found
