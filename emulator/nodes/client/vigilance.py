"""Whether plans keep their promise: a user whose queries are slow asks anew, and goes back if that was worse."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final, NamedTuple, Protocol

from layerlift.emulator.nodes.ports import Owner
from layerlift.emulator.results.rows import PlanCause
from layerlift.emulator.world import streams
from layerlift.emulator.world.users import Slow
from layerlift.models.sums import left_sum

_DOUBLINGS: Final = 10
"""A thousandfold wait is for ever in any run; more would only overflow."""


class Asks(Protocol):
    """Asks for plans (`installer`)."""

    @property
    def asking(self) -> bool:
        """Whether a plan is being asked for that has not come yet."""
        ...

    def replan(self, cause: PlanCause) -> None:
        """Ask for another plan."""
        ...

    def return_to(self, version: int) -> None:
        """Ask for the plan of an earlier version, under a new number."""
        ...


class Settles(Protocol):
    """What of a plan is where (`deployment`)."""

    @property
    def settled(self) -> bool:
        """Whether nothing of the plan is on its way or waits to be sent."""
        ...


class Promises(Protocol):
    """Has a plan in force (`uploader`)."""

    @property
    def version(self) -> int:
        """Its number; 0 before the first."""
        ...

    @property
    def predicted_s(self) -> float:
        """What it promises."""
        ...

    @property
    def deployment(self) -> Settles:
        """Where its parts are."""
        ...


class Watching(Owner, Protocol):
    """What the vigilance asks."""

    @property
    def installer(self) -> Asks:
        """See `Asks`."""
        ...

    @property
    def uploader(self) -> Promises:
        """See `Promises`."""
        ...


class _Former(NamedTuple):
    """The plan before the one in force."""

    version: int
    seen_s: float
    """Mean latency when it was given up."""


class Vigilance:
    """Belongs to one client (semantics: "Slow plans").

    Counted are queries that began when nothing of the plan in force was left to be sent, from their beginning on: what
    a promise is about. The mean over the last `for_s` seconds is held against it once they have been seen as long.
    """

    __slots__ = (
        "_asked", "_client", "_counted", "_former", "_in_vain", "_next_s", "_rng", "_seen", "_since_s", "_slow",
        "_version", "_waits",
    )  # fmt: skip

    def __init__(self, client: Watching, slow: Slow) -> None:
        self._client, self._slow = client, slow
        self._counted: set[int] = set()
        """Queries under way that count."""
        self._seen: deque[tuple[float, float]] = deque()
        """When each that was answered was, and how long it took (s)."""
        self._since_s = inf
        self._version = 0
        self._asked: _Former | None = None
        """What was in force when a plan was asked for that has not come yet."""
        self._former: _Former | None = None
        """What to go back to if the plan in force is worse."""
        self._in_vain = 0
        """Askings in a row that did no good."""
        self._next_s = 0.0
        """No earlier is asked again."""
        self._waits = False
        # Users who find the same server slow at the same moment would all find the same other one idle.
        self._rng = streams.user(client.host.world.seed, "replan", client.user.name)

    def begun(self, query: int) -> None:
        """A query begins."""
        uploader = self._client.uploader
        if uploader.version and uploader.deployment.settled:
            self._counted.add(query)
            self._since_s = min(self._since_s, self._client.kernel.now)

    def answered(self, query: int, took_s: float) -> None:
        """A query has its answer, so long after it was begun."""
        if query not in self._counted:
            return
        self._counted.discard(query)
        now = self._client.kernel.now
        self._seen.append((now, took_s))
        if now - self._since_s < self._slow.for_s:
            return
        mean_s = self._mean_s()
        if self._former is not None:
            former, self._former = self._former, None
            if mean_s > former.seen_s:
                self._was_in_vain()
                self._client.installer.return_to(former.version)
                return
            self._in_vain = 0
        if self._is_slow(mean_s) and not self._waits and now >= self._next_s:
            self._waits = True
            self._client.call_at(now + self._rng.random() * self._slow.for_s, self._ask)

    def planned(self) -> None:
        """A plan has come, or word that there is none; it may be the one in force."""
        asked, self._asked = self._asked, None
        if self._client.uploader.version != self._version:
            self._version = self._client.uploader.version
            self._counted.clear()
            self._seen.clear()
            self._since_s = inf
            self._former = asked or self._former
        elif asked is not None:
            self._was_in_vain()

    def forget(self) -> None:
        """Leave the former plan alone: the world in which it was better or worse is not this one."""
        self._asked = self._former = None

    def _ask(self, _: object) -> None:
        self._waits = False
        client = self._client
        if client.left or client.installer.asking or self._since_s == inf:
            return
        mean_s = self._mean_s()
        if self._is_slow(mean_s):
            self._asked = _Former(client.uploader.version, mean_s)
            self._put_off()
            client.installer.replan("slow")

    def _mean_s(self) -> float:
        """Of the last `for_s` seconds; 0 where nothing was answered."""
        while self._seen and self._seen[0][0] <= self._client.kernel.now - self._slow.for_s:
            self._seen.popleft()
        return left_sum(took_s for _, took_s in self._seen) / len(self._seen) if self._seen else 0.0

    def _is_slow(self, mean_s: float) -> bool:
        return mean_s > self._slow.factor * self._client.uploader.predicted_s

    def _was_in_vain(self) -> None:
        self._in_vain = min(self._in_vain + 1, _DOUBLINGS)
        self._put_off()

    def _put_off(self) -> None:
        self._next_s = self._client.kernel.now + self._slow.cooldown_s * 2.0**self._in_vain
