"""Hosts as Ray actors: the only file that knows Ray. One actor is one host: its time plane and its data plane.

The time plane is a plain synchronous call; executions and plannings have concurrency groups of their own, so that the
clock of an actor never waits for its tensors. Ray's own restarts stay off: a retry would corrupt the emulation. What
dies is started again here and fed the deliveries that it had already had.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import IO, Any

import numpy as np
import ray
from ray._private import ray_constants
from ray.exceptions import RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from emulator.dataplane import Ref
from emulator.engine import Engine, Task
from emulator.host import Answer, Host
from emulator.lineage import TIMING, Lineage, Tensor
from emulator.lockstep import Call, homes
from emulator.loopback import loopback_only
from emulator.messages import Delivery, PlanOutcome
from emulator.nodes.planner import PlanJob
from emulator.placing import reach
from emulator.planning import answer
from emulator.world import World
from models.cutting import Subgraph
from models.errors import LayerliftError, RunError
from models.network import MemorySource, Network
from models.protos import one_line
from models.session import Optimization

_UNFINISHED = 64
"""Pieces that an actor may have before it: the conductor waits above."""
_TRIES = 5
"""How often in a row the same may be lost before it is no accident."""


class HostActor:
    """What lives in one Ray actor."""

    def __init__(self, world: World, members: Sequence[int], execution: bool, optimization: Optimization) -> None:
        self._host = Host(world, members, execution)
        self._engine = Engine(optimization)
        self._pieces: dict[tuple[str, int, int], Subgraph] = {}

    def advance(
        self, horizon: float, deliveries: Sequence[Delivery], costs: Sequence[tuple[tuple[int, int, int], float]]
    ) -> Answer:
        """See `Host.advance`."""
        return self._host.advance(horizon, deliveries, costs)

    def finish(self, at: float) -> Answer:
        """See `Host.finish`."""
        return self._host.finish(at)

    def process(self) -> int:
        """The actor's process number; answers once the actor is up."""
        return os.getpid()

    def hold(self, node: int, user: int, refs: Mapping[str, Ref]) -> None:
        """Let a node hold parameters, which stay where they are: in the machine's object store."""
        self._engine.hold(node, user, {name: _Weight(ref) for name, ref in refs.items()})

    def release(self, node: int, user: int) -> None:
        """Let a node forget what it held for a user."""
        self._engine.release(node, user)

    def execute(self, task: Task, piece: Subgraph, names: Sequence[str], *tensors: np.ndarray) -> Any:
        """Run a piece: its tensors in the order of outputs and watched ones, then its timing."""
        ran = self._engine.run(task, piece, dict(zip(names, tensors, strict=True)))
        return (*(ran.tensors[name] for name in (*piece.outputs, *piece.watched)), ran.timing)

    def plan(self, job: PlanJob, seed: int, timeout_s: float) -> tuple[tuple[PlanOutcome, ...], float]:
        """See `emulator.planning.answer`."""
        return answer(job, seed, timeout_s)


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
            ray.init(**options)
        except (RayError, ConnectionError, RuntimeError, ValueError, OSError) as error:
            self._stack.close()
            where = f"join Ray at {self._address}" if self._address else "start Ray"
            raise RunError(f"cannot {where}: {one_line(error)}; --local runs the same without Ray") from error
        self._stack.callback(ray.shutdown)
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
    """One actor per group of nodes, spread over the machines of the cluster; see `emulator.conductor.Hosts`."""

    def __init__(self, world: World, groups: Sequence[Sequence[int]], execution: bool, optimization: Optimization):
        self.home = homes(world, groups)
        self._groups = groups
        self._world = ray.put(world)
        self._rest = (execution, optimization)
        remote: Any = ray.remote
        grouped = remote(concurrency_groups={"compute": 1, "plan": 1})
        self._class = grouped(HostActor)
        self.actors: list[Any] = [self._start(host) for host in range(len(groups))]
        self.restarts = 0
        # They live as long as the hosts do, and the system deletes them when this process ends.
        self._logs: list[IO[bytes]] = [tempfile.TemporaryFile() for _ in groups]  # noqa: SIM115
        self._horizons = [0.0] * len(groups)
        self.revived: list[Callable[[int], None]] = []
        """Told the number of each host that was started again."""

    def __len__(self) -> int:
        return len(self.actors)

    def wait(self) -> list[int]:
        """Wait until every actor is up; their process numbers. Raises `RunError` when one cannot start."""
        try:
            pids: list[int] = ray.get([actor.process.remote() for actor in self.actors])
        except RayError as error:
            raise RunError(f"a host actor cannot start: {one_line(error)}") from error
        return pids

    def close(self) -> None:
        """Let the actors go."""
        for actor in self.actors:
            ray.kill(actor)

    def advance(self, calls: Sequence[Call]) -> list[Answer]:
        """See `Hosts`. A dead actor is started again and the call repeated; everything else goes on as it was."""
        refs = [_advance(call, self.actors[call[0]]) for call in calls]
        answers: list[Answer] = []
        for ref, call in zip(refs, calls, strict=True):
            answers.append(self._answer(ref, call[0], partial(_advance, call)))
        for host, horizon, mail, costs in calls:
            if mail or costs:
                pickle.dump((mail, costs), self._logs[host], pickle.HIGHEST_PROTOCOL)
            self._horizons[host] = horizon
        return answers

    def finish(self, at: float) -> list[Answer]:
        """See `Hosts`."""
        answers: list[Answer] = []
        for host, ref in enumerate([actor.finish.remote(at) for actor in self.actors]):
            answers.append(self._answer(ref, host, lambda actor: actor.finish.remote(at)))
        return answers

    def plan(self, node: int, job: PlanJob, seed: int, timeout_s: float) -> Ref:
        """Begin a planning in the actor of a node."""
        return self.actors[self.home[node]].plan.options(concurrency_group="plan").remote(job, seed, timeout_s)

    def planned(self, ref: Ref) -> tuple[tuple[PlanOutcome, ...], float] | None:
        """Wait for a planning; None when it died with its actor."""
        try:
            found: Any = ray.get(ref)
        except RayActorError:
            return None
        outcomes: tuple[tuple[PlanOutcome, ...], float] = found
        return outcomes

    def mend(self) -> None:
        """Start again every actor that has died."""
        for host, ref in enumerate([actor.process.remote() for actor in self.actors]):
            try:
                ray.get(ref)
            except RayActorError:
                self._revive(host)

    def _start(self, host: int) -> Any:
        """Start the actor of a host. Hosts go to the machines in turn: Ray's own spreading is by chance."""
        machines = _machines()
        there = NodeAffinitySchedulingStrategy(machines[host % len(machines)], soft=False)
        actor = self._class.options(num_cpus=0, max_restarts=0, scheduling_strategy=there)
        return actor.remote(self._world, self._groups[host], *self._rest)

    def _answer(self, ref: Ref, host: int, ask: Callable[[Any], Ref]) -> Answer:
        """Wait for a host's answer; one that dies is started again and asked again."""
        for attempt in range(_TRIES):
            try:
                found: Any = ray.get(ref)
                answer: Answer = found
                return answer
            except RayActorError as error:
                lost = _plain(error)
                if attempt < _TRIES - 1:
                    self._revive(host)
                    ref = ask(self.actors[host])
            except RayError as error:
                raise _plain(error) from None
        raise lost

    def _revive(self, host: int) -> None:
        """Start the host again and bring it to where it was, in one `advance` whose answer is already known."""
        self.restarts += 1
        self.actors[host] = self._start(host)
        log, mail, costs = self._logs[host], [], []
        log.seek(0)
        while True:
            try:
                deliveries, known = pickle.load(log)
            except EOFError:
                break
            mail += deliveries
            costs += known
        try:
            ray.get(self.actors[host].advance.remote(self._horizons[host], mail, costs))
        except RayError as error:
            raise _plain(error) from None
        for told in self.revived:
            told(host)


def _advance(call: Call, actor: Any) -> Ref:
    _, horizon, mail, costs = call
    return actor.advance.remote(horizon, mail, costs)


def _plain(error: RayError) -> LayerliftError:
    """The error that a host raised, without Ray's wrapping, where it is one of ours."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, LayerliftError) else RunError(f"a host actor failed: {one_line(error)}")


class RayBackend:
    """Runs pieces in the actors; see `emulator.dataplane.Backend`.

    Weights are put into the object store once per cluster, and come to each machine once, when a piece there needs
    them. An upload moves references. What is lost with an actor is made again, from the query's input if need be.
    """

    def __init__(self, hosts: RayHosts, networks: Sequence[Network]) -> None:
        self._hosts = hosts
        self._weights: list[dict[str, Ref]] = []
        self.networks: list[Network] = []
        """The same networks, with weights that alias the object store."""
        for network in networks:
            self._weights.append({name: ray.put(array) for name, array in network.weights().items()})
            arrays = dict(zip(self._weights[-1], ray.get(list(self._weights[-1].values())), strict=True))
            self.networks.append(replace(network, source=MemorySource(arrays)))
        self._pieces: dict[tuple[str, int, int], Ref] = {}
        self._unfinished: list[deque[Ref]] = [deque() for _ in hosts.actors]
        self._held: dict[tuple[int, int], tuple[int, set[str]]] = {}
        self._lineage = Lineage(self._submit, self._resubmit, _alive)
        hosts.revived.append(self._hold_again)

    def keep(self, array: np.ndarray) -> Ref:
        """See `Backend`."""
        return ray.put(array)

    def hold(self, node: int, user: int, model: int, parameters: Sequence[str]) -> None:
        """See `Backend`."""
        self._held.setdefault((node, user), (model, set()))[1].update(parameters)
        self._hold(node, user, model, parameters)

    def release(self, node: int, user: int) -> None:
        """See `Backend`."""
        self._held.pop((node, user), None)
        self._at(node).release.options(concurrency_group="compute").remote(node, user)

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
        execute = self._at(task.node).execute.options(concurrency_group="compute", num_returns=len(names))
        refs = execute.remote(task, self._pieces[piece.key], list(inputs), *inputs.values())
        return dict(zip(names, refs, strict=True))

    def _resubmit(self, task: Task, piece: Subgraph, inputs: Mapping[str, Ref]) -> dict[str, Ref]:
        """Run a piece again, even if its node has let go of the weights since."""
        self._hold(task.node, task.user, task.model, piece.big)
        refs = self._submit(task, piece, inputs)
        if (task.node, task.user) not in self._held:
            self.release(task.node, task.user)
        return refs

    def _hold(self, node: int, user: int, model: int, parameters: Iterable[str]) -> None:
        refs = {name: self._weights[model][name] for name in parameters}
        self._at(node).hold.options(concurrency_group="compute").remote(node, user, refs)

    def _hold_again(self, host: int) -> None:
        for (node, user), (model, parameters) in self._held.items():
            if self._hosts.home[node] == host:
                self._hold(node, user, model, parameters)

    def _at(self, node: int) -> Any:
        return self._hosts.actors[self._hosts.home[node]]


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
