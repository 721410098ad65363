"""What tensors were made from, so that those that died with their actor can be made again.

Knows nothing of where pieces run. Nothing here keeps a tensor: only what it was made from is remembered, and only as
long as somebody still wants a tensor that came of it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final

from layerlift.emulator.execution.engine import Task
from layerlift.models.running.cutting import Subgraph

Ref = Any
Submit = Callable[[Task, Subgraph, Mapping[str, Ref]], Mapping[str, Ref]]
TIMING: Final = "/timing"
"""The name under which `Submit` gives the reference to a piece's timing."""


class Tensor:
    """A tensor that somebody wants: where it is now, and which execution made it."""

    __slots__ = ("__weakref__", "execution", "name", "ref")

    def __init__(self, ref: Ref, execution: Execution, name: str) -> None:
        self.ref, self.execution, self.name = ref, execution, name


class Execution:
    """One piece that was run. Inputs from other pieces are remembered by those pieces; given ones by reference."""

    __slots__ = ("given", "made", "needs", "piece", "task")

    def __init__(self, task: Task, piece: Subgraph, inputs: Mapping[str, Any]) -> None:
        self.task, self.piece = task, piece
        self.given = {name: value for name, value in inputs.items() if not isinstance(value, Tensor)}
        # By the name that it has here: a batch calls the tensors of its queries otherwise than who made them.
        self.needs = {
            name: (value.name, value.execution) for name, value in inputs.items() if isinstance(value, Tensor)
        }
        self.made: weakref.WeakValueDictionary[str, Tensor] = weakref.WeakValueDictionary()


class Lineage:
    """Runs pieces, and again those whose tensors are lost.

    `submit` starts a piece and gives references to its tensors, `resubmit` does so wherever the piece may run by now,
    and `alive` tells whether what a reference stands for can be had.
    """

    def __init__(self, submit: Submit, resubmit: Submit, alive: Callable[[Ref], bool]) -> None:
        self._submit, self._resubmit, self._alive = submit, resubmit, alive

    def run(self, task: Task, piece: Subgraph, inputs: Mapping[str, Any]) -> tuple[dict[str, Tensor], Tensor]:
        """Start a piece on `inputs`, tensors of other pieces or plain references; its tensors and its timing."""
        execution = Execution(task, piece, inputs)
        refs = self._submit(
            task, piece, {name: value.ref if isinstance(value, Tensor) else value for name, value in inputs.items()}
        )
        made = {name: Tensor(ref, execution, name) for name, ref in refs.items()}
        execution.made.update(made)
        return made, made.pop(TIMING)

    def again(self, tensor: Tensor) -> None:
        """Run again the piece that made `tensor`, and before it those whose tensors it needs and cannot have."""
        self._again(tensor.execution, {})

    def _again(self, execution: Execution, done: dict[Execution, Mapping[str, Ref]]) -> Mapping[str, Ref]:
        if execution in done:
            return done[execution]
        inputs = {name: self._input(*needed, done) for name, needed in execution.needs.items()}
        refs = done[execution] = self._resubmit(execution.task, execution.piece, {**execution.given, **inputs})
        for name, tensor in execution.made.items():
            tensor.ref = refs[name]
        return refs

    def _input(self, name: str, source: Execution, done: dict[Execution, Mapping[str, Ref]]) -> Ref:
        known = source.made.get(name)
        if source not in done and known is not None and self._alive(known.ref):
            return known.ref
        return self._again(source, done)[name]
