"""Pieces run in the actors of hosts, tensors in the object store."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import ray
from ray.exceptions import RayError

from layerlift.emulator.cluster.failures import TRIES, plain_error
from layerlift.emulator.cluster.holdings import Holdings
from layerlift.emulator.cluster.hosts import RayHosts
from layerlift.emulator.cluster.lineage import TIMING, Lineage, Tensor
from layerlift.emulator.execution.backends import Ref
from layerlift.emulator.execution.engine import Task
from layerlift.models.errors import LayerliftError
from layerlift.models.running.cutting import Subgraph
from layerlift.models.running.network import MemorySource, Network


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


class RayBackend:
    """Runs pieces in the actors; see `layerlift.emulator.execution.backends.Backend`.

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
        for _ in range(TRIES):
            try:
                return ray.get(tensor.ref)
            except RayError as error:
                lost = plain_error(error)
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


_UNFINISHED = 64
"""Pieces that an actor may have before it: the conductor waits above."""
