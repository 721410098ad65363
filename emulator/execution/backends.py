"""Where pieces run: what the data plane asks, and the answer of this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from layerlift.emulator.execution.engine import Engine, Task
from layerlift.models.running.cutting import Subgraph
from layerlift.models.running.network import Network
from layerlift.models.running.session import Optimization

Ref = Any
"""A tensor somewhere: an array of this process, or a reference into Ray's object store."""


class Backend(Protocol):
    """Where pieces run."""

    def keep(self, array: np.ndarray) -> Ref:
        """Put an array where pieces can read it."""
        ...

    def hold(self, node: int, user: int, model: int, parameters: Sequence[str]) -> None:
        """Let a node hold parameters of a user's network."""
        ...

    def release(self, node: int, user: int) -> None:
        """Let a node forget what it held for a user."""
        ...

    def run(self, task: Task, piece: Subgraph, inputs: Mapping[str, Ref]) -> tuple[dict[str, Ref], Ref]:
        """Run a piece: references to its tensors, outputs and watched ones, and to its `Timing`."""
        ...

    def fetch(self, refs: Sequence[Ref]) -> list[Any]:
        """Wait for what references stand for."""
        ...


class LocalBackend:
    """Runs pieces in this process, at once. References are the arrays themselves."""

    def __init__(self, networks: Sequence[Network], optimization: Optimization) -> None:
        self._networks = networks
        self._engine = Engine(optimization)

    def keep(self, array: np.ndarray) -> Ref:
        """See `Backend`."""
        return array

    def hold(self, node: int, user: int, model: int, parameters: Sequence[str]) -> None:
        """See `Backend`."""
        network = self._networks[model]
        self._engine.hold(node, user, {name: _Weight(network, name) for name in parameters})

    def release(self, node: int, user: int) -> None:
        """See `Backend`."""
        self._engine.release(node, user)

    def run(self, task: Task, piece: Subgraph, inputs: Mapping[str, Ref]) -> tuple[dict[str, Ref], Ref]:
        """See `Backend`."""
        ran = self._engine.run(task, piece, inputs)
        return dict(ran.tensors), ran.timing

    def fetch(self, refs: Sequence[Ref]) -> list[Any]:
        """See `Backend`."""
        return list(refs)


class _Weight:
    """A parameter, fetched when it is first needed: a run of no execution loads no weights."""

    __slots__ = ("_name", "_network")

    def __init__(self, network: Network, name: str) -> None:
        self._network, self._name = network, name

    def __call__(self) -> np.ndarray:
        return self._network.weights()[self._name]
