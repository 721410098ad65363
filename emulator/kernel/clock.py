"""Virtual time for one host: a heap of timed calls, coroutines and signals. Knows nothing of networks or DNNs.

Events are ordered by `(time, node, order)`. Every node counts its own timers, and deliveries carry an order
below all timers, so that what happens at a node never depends on which other nodes share its kernel: that is
what makes packing invisible.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Generator
from heapq import heappop, heappush
from math import inf
from typing import Any, Protocol

Task = Coroutine["Wait", Any, Any]

_DELIVERY = -(1 << 62)
_SOURCE_SHIFT = 40


class Wait(Protocol):
    """What a coroutine may yield to the kernel."""

    def hold(self, task: Task) -> None:
        """Keep `task` until it may go on."""


class Sleep:
    """Lets a coroutine go on at a moment of virtual time."""

    __slots__ = ("_at", "_node")

    def __init__(self, node: Node, at: float) -> None:
        self._node, self._at = node, at

    def hold(self, task: Task) -> None:
        """Resume `task` at the moment."""
        node = self._node
        node.call_at(self._at, node.kernel.ready.append, task)

    def __await__(self) -> Generator[Sleep, None, None]:
        yield self


class Signal:
    """Something to wait for, set once. `value` is what `await` returns."""

    __slots__ = ("_ready", "_waiting", "done", "value")

    def __init__(self, kernel: Kernel) -> None:
        self._ready = kernel.ready
        self._waiting: list[Task] = []
        self.done = False
        self.value: Any = None

    def set(self, value: Any = None) -> None:
        """Wake whoever waits. Setting it again changes nothing, so that a late answer is harmless."""
        if not self.done:
            self.done, self.value = True, value
            self._ready.extend(self._waiting)
            self._waiting.clear()

    def hold(self, task: Task) -> None:
        """Resume `task` when the signal is set."""
        self._waiting.append(task)

    def __await__(self) -> Generator[Signal, None, Any]:
        if not self.done:
            yield self
        return self.value


class Kernel:
    """A clock and its events. `now` is in seconds of virtual time."""

    __slots__ = ("halted", "heap", "now", "ready")

    def __init__(self) -> None:
        self.now = 0.0
        self.ready: deque[Task] = deque()
        self.halted = False
        """Set by a node that cannot go on before somebody outside has answered it (measured compute)."""
        self.heap: list[tuple[float, int, Any, Callable[[Any], object], Any]] = []
        """Events as (time, node, order, call, argument); `schedule` pushes, and so may whoever is in a hurry."""

    def schedule(self, at: float, node: int, order: Any, call: Callable[[Any], object], argument: Any) -> None:
        """Call `call(argument)` at `at`. `(at, node, order)` must be unique: it decides every tie.

        `order` is anything that the orders of one node can be compared by.
        """
        heappush(self.heap, (at, node, order, call, argument))

    def deliver(
        self, at: float, source: int, sequence: int, to: int, call: Callable[[Any], object], argument: Any
    ) -> None:
        """Like `schedule`, for what arrives at node `to` from outside: before its timers of the same instant."""
        heappush(self.heap, (at, to, _DELIVERY + (source << _SOURCE_SHIFT) + sequence, call, argument))

    def peek(self) -> float:
        """When the next event is due; infinite when there is none."""
        if self.ready:
            return self.now
        return self.heap[0][0] if self.heap else inf

    def run_before(self, horizon: float) -> None:
        """Do everything that happens before `horizon`, or until a node halts the kernel."""
        heap, ready = self.heap, self.ready
        while True:
            while ready:
                task = ready.popleft()
                try:
                    wanted = task.send(None)
                except StopIteration:
                    continue
                wanted.hold(task)
            if self.halted or not heap or heap[0][0] >= horizon:
                return
            self.now, _, _, call, argument = heappop(heap)
            call(argument)


class Node:
    """One emulated machine's place in a kernel: its number, its sequence of timers and its coroutines."""

    __slots__ = ("_timers", "index", "kernel")

    def __init__(self, kernel: Kernel, index: int) -> None:
        self.kernel, self.index = kernel, index
        self._timers = 0

    def call_at(self, at: float, call: Callable[[Any], object], argument: Any = None) -> None:
        """Call `call(argument)` at virtual time `at` (seconds)."""
        self._timers += 1
        heappush(self.kernel.heap, (at, self.index, self._timers, call, argument))

    def wake(self) -> None:
        """Called before something of the node begins to be used. A bare node keeps no books of its use."""

    def sleep(self, seconds: float) -> Sleep:
        """Await it to let `seconds` of virtual time pass."""
        return Sleep(self, self.kernel.now + seconds)

    def sleep_until(self, at: float) -> Sleep:
        """Await it to let virtual time reach `at` (seconds), which has not passed."""
        return Sleep(self, at)

    def signal(self) -> Signal:
        """A fresh signal of this node's kernel."""
        return Signal(self.kernel)

    def spawn(self, task: Task) -> None:
        """Start a coroutine; it runs before the next event. An exception in it ends the run: none is swallowed."""
        self.kernel.ready.append(task)
