"""Step functions of time that become known as they are asked for: the same answers in whatever order one asks."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from math import inf
from typing import Any, Final, Generic, TypeVar

V = TypeVar("V")
W = TypeVar("W")
Span = tuple[float, float]
"""A beginning and an end; the end may be infinite."""

IDLE: Final = 1000
"""Of so many steps in a row that change nothing the last is told as a change, so that nobody waits for ever."""
_NS: Final = 1e-9
_KNOWN: Final = 64


class StepFunction(Generic[V]):
    """A right-continuous step function from time 0 on: `first`, then `later` (instant, value), not descending in time.

    Of several values at one instant the last holds.
    """

    __slots__ = ("_begun", "_later", "_pending", "_times", "_values")

    def __init__(self, first: V, later: Iterable[tuple[float, V]] = ()) -> None:
        self._times, self._values = [0.0], [first]
        self._later = iter(later)
        self._pending: tuple[float, V] | None = None
        self._begun = False

    def at(self, at_s: float) -> V:
        """The value at a finite instant of at least 0."""
        if at_s >= self._known_before():
            self._learn(at_s)
        return self._values[bisect_right(self._times, at_s) - 1]

    def steps(self, at_s: float = 0.0) -> Iterator[tuple[float, V]]:
        """The steps later than an instant, in order, as they become known; also those to an equal value."""
        self.at(at_s)
        place = bisect_right(self._times, at_s)
        while True:
            while place == len(self._times):
                if self._known_before() == inf:
                    return
                self._step()
            yield self._times[place], self._values[place]
            place += 1

    def changes(self) -> Iterator[tuple[float, V]]:
        """The steps after instant 0 to another value, and one to an equal value after `IDLE` of them in a row."""
        before, idle = self.at(0.0), 0
        for at_s, value in self.steps():
            idle = idle + 1 if value == before else 0
            if idle % IDLE == 0:
                yield at_s, value
            before = value

    def _known_before(self) -> float:
        if not self._begun:
            self._begun = True
            self._pending = next(self._later, None)
        return inf if self._pending is None else self._pending[0]

    def _learn(self, at_s: float) -> None:
        while self._known_before() <= at_s:
            self._step()

    def _step(self) -> None:
        pending, following = self._pending, next(self._later, None)
        assert pending is not None
        self._pending = following
        if following is None or following[0] > pending[0]:
            self._keep(*pending)

    def _keep(self, at_s: float, value: V) -> None:
        if at_s <= self._times[-1]:
            self._values[-1] = value
            return
        self._times.append(at_s)
        self._values.append(self._values[-1] if value == self._values[-1] else value)


def joined(parts: Sequence[StepFunction[Any]], join: Callable[[Sequence[Any]], W]) -> StepFunction[W]:
    """The timeline of `join`, a function, applied to what all parts are at each instant."""
    known: dict[tuple[Any, ...], W] = {}

    def shared(values: tuple[Any, ...]) -> W:
        # Mostly a few values come again and again: many timelines of them take little room.
        if values not in known:
            if len(known) == _KNOWN:
                known.clear()
            known[values] = join(values)
        return known[values]

    def later() -> Iterator[tuple[float, W]]:
        values = [part.at(0.0) for part in parts]
        numbered = [_numbered(part, number) for number, part in enumerate(parts)]
        for at_s, number, value in merge(*numbered, key=lambda step: step[:2]):
            values[number] = value
            yield at_s, shared(tuple(values))

    return StepFunction(shared(tuple(part.at(0.0) for part in parts)), later())


def _numbered(part: StepFunction[V], number: int) -> Iterator[tuple[float, int, V]]:
    return ((at_s, number, value) for at_s, value in part.steps())


def switched(which: StepFunction[V], parts: Callable[[V], StepFunction[W]]) -> StepFunction[W]:
    """The timeline that is, at each instant, the part that `which` then names."""

    def later() -> Iterator[tuple[float, W]]:
        begin, part = 0.0, parts(which.at(0.0))
        for end, name in which.steps():
            yield from _until(part.steps(begin), end)
            begin, part = end, parts(name)
            yield begin, part.at(begin)
        yield from part.steps(begin)

    return StepFunction(parts(which.at(0.0)).at(0.0), later())


def _until(steps: Iterator[tuple[float, V]], end: float) -> Iterator[tuple[float, V]]:
    for at_s, value in steps:
        if at_s >= end:
            return
        yield at_s, value


def outside(spans: Iterable[Span], inside: V, usual: V) -> StepFunction[V]:
    """`inside` in each [begin, end) and `usual` between them; spans begin in order and may overlap."""

    def later() -> Iterator[tuple[float, V]]:
        end = -inf
        for begin, last in spans:
            if begin > end > -inf:
                yield end, usual
            yield begin, inside
            end = max(end, last)
        if -inf < end < inf:
            yield end, usual

    return StepFunction(usual, later())


def repeated(at_s: float, for_s: float, every_s: float | None) -> Iterator[Span]:
    """One span, or one every `every_s`; one that never ends when they would touch. To 1 ns."""
    if every_s is not None and every_s <= for_s:
        every_s, for_s = None, inf
    turn = 0
    while True:
        begin = round(at_s + turn * (every_s or 0.0), 9)
        yield begin, round(begin + for_s, 9)
        if every_s is None:
            return
        turn += 1


def sojourns(rng: random.Random, mean_out_s: float, mean_in_s: float) -> Iterator[Span]:
    """Endless spans of exponential lengths at exponential distances, the first a distance after 0. To 1 ns."""
    end = 0.0
    while True:
        begin = round(end + max(_NS, rng.expovariate(1.0 / mean_out_s)), 9)
        end = round(begin + max(_NS, rng.expovariate(1.0 / mean_in_s)), 9)
        yield begin, end
