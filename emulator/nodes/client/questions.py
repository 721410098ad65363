"""The query thread: who asks what when. Back to back with pauses, or whenever the user's law says so."""

from __future__ import annotations

import random
from collections import deque
from itertools import count

from layerlift.emulator.nodes.ports import Asking
from layerlift.emulator.world import streams

_REFUSED_WAIT_S = 1.0
"""A query that fails at once would be asked for ever at one instant; the next one comes this much later."""


class Questions:
    """Asks one user's queries: at most `in_flight` are under way at once, others wait or are given up."""

    __slots__ = ("_asking", "_client", "_finished", "_lanes", "_next", "_over", "_streams", "_waiting")

    def __init__(self, client: Asking) -> None:
        self._client = client
        self._waiting: deque[tuple[int, float]] = deque()
        self._finished = client.signal()
        self._lanes = self._next = 0
        self._asking = True
        self._over = False
        self._streams: dict[str, random.Random] = {}

    async def run(self) -> None:
        """Ask everything that the user has to ask; over when the last query has ended or the user's stay is."""
        client, user = self._client, self._client.user
        if user.stay is not None:
            until_s = user.arrival_s + user.stay.value(self._stream("stay"))
            if until_s <= client.kernel.now:
                self.give_up("user left")
                return
            client.call_at(until_s, self._stay_over)
        if user.asks is not None:
            client.spawn(self._follow_law())
        elif user.in_flight == 1 and user.stay is None:
            self._lanes = 1
            await self._lane()
            return
        else:
            self._lanes = user.in_flight
            for _ in range(user.in_flight):
                client.spawn(self._lane())
        await self._finished

    def ended(self) -> None:
        """A query has ended: begin the next that waits; tell when there is nothing left to wait for."""
        client = self._client
        while self._waiting and not self._over and len(client.open) < client.user.in_flight:
            client.begin(*self._waiting.popleft())
        if not client.open and (self._over or (not self._asking and not self._waiting)):
            self._finished.set()

    def give_up(self, reason: str) -> None:
        """Ask nothing any more; what waits fails."""
        self._over, self._asking = True, False
        waiting, self._waiting = self._waiting, deque()
        for number, asked_s in waiting:
            self._client.fail_unbegun(number, asked_s, reason)

    def _stay_over(self, _: object) -> None:
        if not self._client.left:
            self.give_up("user left")
            self.ended()

    async def _lane(self) -> None:
        """One query after the other, with the user's pauses between."""
        client, user = self._client, self._client.user
        while not self._over and (user.queries is None or self._next < user.queries):
            number = self._next
            self._next += 1
            query = client.begin(number, client.kernel.now)
            think_s = self._think_s()
            if query is None:
                await client.sleep(max(think_s, _REFUSED_WAIT_S))
                continue
            if not query.done.done:
                await query.done
            if think_s and not self._over:
                await client.sleep(think_s)  # a stay that is over meanwhile does not wait for it
        self._lanes -= 1
        if not self._lanes:
            self._asking = False
            self.ended()

    async def _follow_law(self) -> None:
        """A question at each instant of the user's law, whether earlier ones are answered or not."""
        client, user = self._client, self._client.user
        began_s = client.kernel.now
        assert user.asks is not None
        numbers = count() if user.queries is None else range(user.queries)
        for number, instant_s in zip(numbers, user.asks.instants(self._stream("asks")), strict=False):
            await client.sleep_until(began_s + instant_s)
            if self._over:
                break
            self._arrive(number)
        self._asking = False
        self.ended()

    def _arrive(self, number: int) -> None:
        client, user = self._client, self._client.user
        now = client.kernel.now
        if len(client.open) < user.in_flight and not self._waiting:
            client.begin(number, now)
            return
        if user.late == "drop":
            for other, asked_s in self._waiting:
                client.fail_unbegun(other, asked_s, "late")
            self._waiting.clear()
        if user.queue is not None and len(self._waiting) >= user.queue:
            client.fail_unbegun(number, now, "late" if user.late == "drop" else "queue full")
            return
        self._waiting.append((number, now))

    def _think_s(self) -> float:
        law = self._client.user.think_law
        return self._client.user.think_s if law is None else law.value(self._stream("think"))

    def _stream(self, purpose: str) -> random.Random:
        """The user's own random numbers for one purpose."""
        if purpose not in self._streams:
            self._streams[purpose] = streams.user(self._client.host.world.seed, purpose, self._client.user.name)
        return self._streams[purpose]
