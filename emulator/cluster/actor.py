"""What lives in one Ray actor: one host, its time plane and its data plane. Knows nothing of Ray itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from layerlift.emulator.cluster.delivery_log import repeat
from layerlift.emulator.cluster.import_path import follow
from layerlift.emulator.execution.engine import Engine, Task
from layerlift.emulator.planning.answer import Answered
from layerlift.emulator.planning.asking import Asker
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.protocol.messages import Delivery
from layerlift.emulator.runtime.host import Answer, Host
from layerlift.emulator.runtime.ports import Costs
from layerlift.emulator.world.world import World
from layerlift.models.running.cutting import Subgraph
from layerlift.models.running.session import Optimization


class HostActor:
    """A host and the engine of its nodes; `path` is where the driver finds modules."""

    def __init__(
        self, world: World, members: Sequence[int], execution: bool, optimization: Optimization, path: Sequence[str]
    ) -> None:
        follow(path)
        self._host = Host(world, members, execution)
        self._engine = Engine(optimization)
        self._askers: dict[tuple[int, float], Asker] = {}
        self._weights: dict[int, Mapping[str, Callable[[], np.ndarray]]] = {}

    def advance(self, horizon: float, deliveries: Sequence[Delivery], costs: Costs) -> Answer:
        """See `Host.advance`."""
        return self._host.advance(horizon, deliveries, costs)

    def repeat(self, block: bytes) -> None:
        """Live through a block of the log of a host that died (see `delivery_log`)."""
        repeat(self._host, block)

    def finish(self, at: float) -> Answer:
        """See `Host.finish`."""
        return self._host.finish(at)

    def process(self) -> int:
        """The actor's process number; answers once the actor is up."""
        return os.getpid()

    def learn(self, model: int, weights: Mapping[str, Callable[[], np.ndarray]]) -> None:
        """Learn where the parameters of a network are: told once, before the first `hold`."""
        self._weights[model] = weights

    def hold(self, node: int, user: int, model: int, parameters: Sequence[str]) -> None:
        """Let a node hold parameters, which stay where they are: in the machine's object store."""
        weights = self._weights[model]
        self._engine.hold(node, user, {name: weights[name] for name in parameters})

    def release(self, node: int, user: int) -> None:
        """Let a node forget what it held for a user."""
        self._engine.release(node, user)

    def execute(self, task: Task, piece: Subgraph, names: Sequence[str], *tensors: np.ndarray) -> Any:
        """Run a piece: its tensors in the order of outputs and watched ones, then its timing."""
        ran = self._engine.run(task, piece, dict(zip(names, tensors, strict=True)))
        return (*(ran.tensors[name] for name in (*piece.outputs, *piece.watched)), ran.timing)

    def plan(self, job: PlanJob, seed: int, timeout_s: float) -> tuple[Answered, dict[str, str]]:
        """See `layerlift.emulator.planning.asking.Asker`: what came of it, and who is asked in this process."""
        asker = self._askers.setdefault((seed, timeout_s), Asker(seed, timeout_s))
        return asker.ask(job), asker.here
