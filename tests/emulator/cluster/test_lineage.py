"""Tensors that are lost are made again, from the query's input if need be; nobody else's work is repeated."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from layerlift.emulator.cluster.lineage import TIMING, Lineage, Tensor
from layerlift.emulator.execution.engine import Task


class Piece(NamedTuple):
    """A piece that adds up what it is given; stands for a subgraph."""

    name: str
    outputs: tuple[str, ...]


class Place:
    """Where pieces run at once, and tensors may be lost."""

    def __init__(self) -> None:
        self.values: dict[int, Any] = {}
        self.ran: list[str] = []
        self.lineage = Lineage(self.submit, self.resubmit, lambda ref: ref in self.values)

    def submit(self, task: Task, piece: Piece, inputs: Mapping[str, int]) -> dict[str, int]:
        self.ran.append(piece.name)
        known = all(ref in self.values for ref in inputs.values())
        names = (*piece.outputs, TIMING)
        refs = {name: len(self.ran) * 10 + place for place, name in enumerate(names)}
        if known:
            total = sum(self.values[ref] for ref in inputs.values())
            self.values |= {refs[name]: total + place + 1 for place, name in enumerate(names)}
        return refs

    def resubmit(self, task: Task, piece: Piece, inputs: Mapping[str, int]) -> dict[str, int]:
        assert all(ref in self.values for ref in inputs.values()), "only with inputs that are there"
        return self.submit(task, piece, inputs)

    def keep(self, value: int) -> int:
        self.values[-value] = value
        return -value

    def run(self, name: str, outputs: str, **inputs: Any) -> tuple[dict[str, Tensor], Tensor]:
        return self.lineage.run(Task(0, 0, 0, 0, 0), Piece(name, tuple(outputs.split())), inputs)

    def get(self, tensor: Tensor) -> Any:
        if tensor.ref not in self.values:
            self.lineage.again(tensor)
        return self.values[tensor.ref]


@pytest.fixture
def place() -> Place:
    return Place()


def diamond(place: Place) -> tuple[Tensor, list[Tensor]]:
    """a -> b, c -> d; the logits of d, and whatever else is still wanted."""
    a, at = place.run("a", "a1 a2", x=place.keep(100))
    b, bt = place.run("b", "b1", a1=a["a1"])
    c, ct = place.run("c", "c1", a2=a["a2"])
    d, dt = place.run("d", "d1", b1=b["b1"], c1=c["c1"])
    return d["d1"], [at, bt, ct, dt]


def test_what_is_there_is_not_made_again(place: Place) -> None:
    logits, _ = diamond(place)
    assert place.get(logits) == 101 + 1 + 102 + 1 + 1
    assert place.ran == ["a", "b", "c", "d"]


@pytest.mark.long
def test_all_is_made_again_from_the_input_and_each_piece_once(place: Place) -> None:
    logits, timings = diamond(place)
    gc.collect()
    expected = place.values[logits.ref]
    place.values = {-100: 100}
    assert place.get(logits) == expected
    assert place.ran[4:] == ["a", "b", "c", "d"]
    assert [place.get(timing) for timing in timings] == [103, 103, 104, 207]
    assert len(place.ran) == 8, "timings came with the rest"


def test_only_what_was_lost_is_made_again(place: Place) -> None:
    a, _ = place.run("a", "a1", x=place.keep(1))
    b, _ = place.run("b", "b1", a1=a["a1"])
    c, _ = place.run("c", "c1", b1=b["b1"])
    expected = place.values[c["c1"].ref]
    del place.values[c["c1"].ref], place.values[b["b1"].ref]
    assert place.get(c["c1"]) == expected
    assert place.ran == ["a", "b", "c", "b", "c"]
    assert b["b1"].ref in place.values, "whoever else wants it has it too"


def test_a_piece_that_began_without_its_inputs_is_run_when_they_are_back(place: Place) -> None:
    a, _ = place.run("a", "a1", x=place.keep(1))
    del place.values[a["a1"].ref]
    b, timing = place.run("b", "b1", a1=a["a1"], x=place.keep(7))
    assert b["b1"].ref not in place.values
    assert place.get(timing) == 2 + 7 + 2
    assert place.get(b["b1"]) == 2 + 7 + 1
    assert place.ran == ["a", "b", "a", "b"]


@pytest.mark.long
def test_a_tensor_that_nobody_wants_is_not_kept(place: Place) -> None:
    a, _ = place.run("a", "a1", x=place.keep(1))
    b, _ = place.run("b", "b1", a1=a["a1"])
    execution = a["a1"].execution
    del a
    gc.collect()
    assert dict(execution.made) == {}
    assert b["b1"].execution.needs == {"a1": ("a1", execution)}, "but how it was made is known"


def test_a_piece_may_call_its_inputs_otherwise_than_who_made_them(place: Place) -> None:
    """A batch has tensors of several queries, which all are called alike where they were made."""
    first, _ = place.run("first", "t", x=place.keep(100))
    second, _ = place.run("second", "t", x=place.keep(1000))
    made, _ = place.lineage.run(
        Task(0, 0, 0, 0, 0), Piece("both", ("0/y", "1/y")), {"0/t": first["t"], "1/t": second["t"]}
    )
    expected = place.get(made["1/y"])
    place.values = {ref: value for ref, value in place.values.items() if ref < 0}
    assert place.get(made["1/y"]) == expected
