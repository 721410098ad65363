"""Running pieces of networks for the nodes of one process: the data plane's one door to onnxruntime.

Weights are never copied: sessions alias whatever arrays they are given, so a hundred nodes with the same network cost
one set of weights. A node runs only what it holds.
"""

from __future__ import annotations

import json
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from layerlift.models.errors import RunError
from layerlift.models.running.cutting import Subgraph
from layerlift.models.running.session import Optimization, Session
from layerlift.models.running.together import apart, stacked

Arrays = dict[str, np.ndarray]

_SESSIONS = 256
"""Sessions kept per process; the least recently used one goes. One costs a few MB at most: weights are outside."""


class Task(NamedTuple):
    """One execution: a piece of a user's network on a node."""

    node: int
    user: int
    model: int
    first: int
    last: int
    operators: bool = False
    """Whether to time its operators too, in one more run."""


class Timing(NamedTuple):
    """What an execution took."""

    seconds: float
    """CPU seconds of its thread."""
    operators: dict[str, float]
    """Seconds per operator of one more run, with onnxruntime's own clock; filled when the task asks for it."""


class Ran(NamedTuple):
    """What an execution gave: tensors by name, logits for comparison among them."""

    tensors: Arrays
    timing: Timing


class Engine:
    """Sessions of one process, and what each of its nodes holds.

    With optimisation `off` sessions are exact: however a network is cut, its answers have the same bits.
    """

    def __init__(self, optimization: Optimization) -> None:
        self._optimization = optimization
        self._sessions: OrderedDict[tuple[str, int, int], Session] = OrderedDict()
        self._held: dict[tuple[int, int], dict[str, Callable[[], np.ndarray]]] = {}

    def hold(self, node: int, user: int, parameters: Mapping[str, Callable[[], np.ndarray]]) -> None:
        """Let `node` hold more parameters of the user's network; each is fetched when first used."""
        self._held.setdefault((node, user), {}).update(parameters)

    def release(self, node: int, user: int) -> None:
        """Let `node` forget what it held for `user`."""
        self._held.pop((node, user), None)

    def run(self, task: Task, piece: Subgraph, inputs: Mapping[str, np.ndarray]) -> Ran:
        """Run `piece` on `inputs`, arrays by tensor name, with the weights that the task's node holds.

        Raises `RunError` when the node lacks a weight, `ModelError` when onnxruntime refuses the piece.
        """
        held = self._held.get((task.node, task.user), {})
        missing = [name for name in piece.big if name not in held]
        if missing:
            raise RunError(
                f"node {task.node} was asked to run layers {task.first} to {task.last} for user {task.user} "
                f"without holding {missing[0]!r}: expected an upload before"
            )
        own = inputs if piece.stacking is None else stacked(piece.stacking, inputs)
        feeds = {**own, **{name: held[name]() for name in piece.big}}
        tensors, seconds = self._session(piece).timed_run(feeds)
        if piece.stacking is not None:
            tensors = apart(piece.stacking, tensors)
        return Ran(tensors, Timing(seconds, self._operators(piece, feeds) if task.operators else {}))

    def _operators(self, piece: Subgraph, feeds: Mapping[str, np.ndarray]) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            session = self._open(piece, str(Path(folder) / "events"))
            session.run(feeds)
            events = json.loads(session.end_profiling().read_text())
        found: dict[str, float] = {}
        for event in events:
            if str(event["name"]).endswith("_kernel_time"):
                operator = str(event["args"]["op_name"])
                found[operator] = found.get(operator, 0.0) + float(event["dur"]) * 1e-6
        return found

    def _open(self, piece: Subgraph, profile_prefix: str | None = None) -> Session:
        exact = self._optimization == "off"
        return Session(piece.model, exact=exact, optimization=self._optimization, profile_prefix=profile_prefix)

    def _session(self, piece: Subgraph) -> Session:
        session = self._sessions.get(piece.key)
        if session is None:
            session = self._sessions[piece.key] = self._open(piece)
            if len(self._sessions) > _SESSIONS:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(piece.key)
        return session
