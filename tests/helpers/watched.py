"""A backend of the data plane whose references are counted."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from layerlift.emulator.execution.backends import LocalBackend
from layerlift.emulator.execution.engine import Task
from layerlift.models import Network, Subgraph


class Handle:
    """A reference that can be watched."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Watched(LocalBackend):
    """A backend whose references are counted while anybody holds them."""

    def __init__(self, networks: Sequence[Network]) -> None:
        super().__init__(networks, "off")
        self.live: weakref.WeakSet[Handle] = weakref.WeakSet()
        self.peak = 0

    def _handle(self, value: Any) -> Handle:
        made = Handle(value)
        self.live.add(made)
        self.peak = max(self.peak, len(self.live))
        return made

    def keep(self, array: np.ndarray) -> Handle:
        return self._handle(array)

    def run(self, task: Task, piece: Subgraph, inputs: Mapping[str, Handle]) -> tuple[dict[str, Handle], Any]:
        made, timing = super().run(task, piece, {name: ref.value for name, ref in inputs.items()})
        return {name: self._handle(array) for name, array in made.items()}, timing

    def fetch(self, refs: Sequence[Any]) -> list[Any]:
        return [ref.value if isinstance(ref, Handle) else ref for ref in refs]
