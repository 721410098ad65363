"""Who holds which parameters, as told to host actors, and told again to those that were started again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Weights = Mapping[str, Callable[[], np.ndarray]]
"""Parameters of one network by name, each fetched when it is first needed."""


class Holdings:
    """`actors` are those of each host as they are now, `home` the host of each node, `weights` those of each model.

    Everything is sent and nothing waited for: calls of one group reach an actor in order.
    """

    def __init__(self, home: Sequence[int], actors: Sequence[Any], weights: Sequence[Weights]) -> None:
        self._home, self._actors, self._weights = home, actors, weights
        self._taught: list[set[int]] = [set() for _ in actors]
        self._held: dict[tuple[int, int], tuple[int, dict[str, None]]] = {}

    def hold(self, node: int, user: int, model: int, parameters: Sequence[str]) -> None:
        """Let a node hold more parameters of a user's network."""
        self._held.setdefault((node, user), (model, {}))[1].update(dict.fromkeys(parameters))
        self._send(node, user, model, parameters)

    def release(self, node: int, user: int) -> None:
        """Let a node forget what it held for a user."""
        self._held.pop((node, user), None)
        self._actor(node).release.options(concurrency_group="compute").remote(node, user)

    def lend(self, node: int, user: int, model: int, parameters: Sequence[str], use: Callable[[], Any]) -> Any:
        """What `use` returns, called while a node holds parameters that it may have let go of."""
        self._send(node, user, model, parameters)
        found = use()
        if (node, user) not in self._held:
            self.release(node, user)
        return found

    def again(self, host: int) -> None:
        """Tell a host that was started again what its nodes hold."""
        self._taught[host].clear()
        for (node, user), (model, parameters) in self._held.items():
            if self._home[node] == host:
                self._send(node, user, model, parameters)

    def _send(self, node: int, user: int, model: int, parameters: Iterable[str]) -> None:
        actor, taught = self._actor(node), self._taught[self._home[node]]
        if model not in taught:
            taught.add(model)
            actor.learn.options(concurrency_group="compute").remote(model, self._weights[model])
        actor.hold.options(concurrency_group="compute").remote(node, user, model, tuple(parameters))

    def _actor(self, node: int) -> Any:
        return self._actors[self._home[node]]
