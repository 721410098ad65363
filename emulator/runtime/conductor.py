"""The lockstep: moves all hosts forward in windows no wider than the smallest latency, and is the only writer of rows.

A message sent at `s` reaches nobody, and competes with nothing, before `s + latency`; so within a window no host can
be told anything by another that it would have had to know. The scheme is that of conservative parallel simulation
(Shadow's rounds, ns-3's MPI mode).
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from layerlift.emulator.kernel import periods
from layerlift.emulator.network.fabric import Fabric
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.protocol.messages import Delivery, Departure, PlanReady
from layerlift.emulator.results.rows import Rows, Write
from layerlift.emulator.runtime.ending import Ending, Progress, ending
from layerlift.emulator.runtime.host import Answer
from layerlift.emulator.runtime.local_hosts import LocalHosts, homes
from layerlift.emulator.runtime.ports import Call, Costs, DataPlane, Hosts, Plans, fewer_collections, pass_on
from layerlift.emulator.runtime.row_books import RowBooks
from layerlift.emulator.world.world import World

__all__ = ["Conductor", "Ending", "LocalHosts", "Progress", "homes"]


class Conductor:
    """Runs a world to its end. Wall-clock concerns (pacing, progress) enter only through `before_window`."""

    def __init__(
        self,
        world: World,
        hosts: Hosts,
        plans: Plans,
        write: Write,
        data: DataPlane | None = None,
        before_window: Callable[[Progress], None] | None = None,
    ) -> None:
        self._world, self._hosts, self._plans, self._data = world, hosts, plans, data
        self._before_window = before_window
        self._fabric = Fabric(world)
        self._books = RowBooks(world, self._fabric.ledger, write)
        self._next = [0.0] * len(hosts)
        self._jobs: list[PlanJob] = []
        self._costs: list[tuple[tuple[int, int, int], float]] = []
        self._last_left_s = 0.0
        self._last_rows: Rows = {}
        self.progress = Progress()

    def run(self) -> Ending:
        """Move the world from its first event to its end, and return how it ended.

        The end is when the last user has left, or `until_s`, or when nothing is left to happen.
        """
        with fewer_collections():
            return self._run()

    def _run(self) -> Ending:
        world, users, horizon = self._world, len(self._world.users), 0.0
        while self.progress.left < users:
            now = min(min(self._next), self._fabric.next_event())
            if self._jobs:
                now = min(now, min(job.due_s for job in self._jobs))
            if now >= world.until_s or now == inf:
                break
            self.progress.now_s = now
            if self._before_window is not None:
                self._before_window(self.progress)
            horizon = self._horizon(now)
            self._window(horizon)
        if self.progress.left == users:
            return self._end(self._last_left_s)
        return self._end(world.until_s if world.until_s < inf else horizon)

    def break_off(self) -> None:
        """Pass on the rows of use that an interrupted run leaves; all others have been."""
        self._books.break_off(self.progress.now_s)

    def _horizon(self, now: float) -> float:
        """The end of the window that starts at `now`: no window crosses a sampling instant or the end of the run."""
        world = self._world
        sample_s = world.sample_s
        return min(now + world.lookahead_s, periods.ending_after(now, sample_s) * sample_s, world.until_s)

    def _window(self, horizon: float) -> None:
        inbox = self._inbox(horizon)
        active = [n for n, due in enumerate(self._next) if due < horizon or n in inbox]
        calls: list[Call] = [(n, horizon, inbox.get(n, ()), ()) for n in active]
        rows, departures = self._advance(calls) if calls else ({}, [])
        if len(active) > 1:
            self._books.sort(rows)
        self.progress.windows += 1
        if self.progress.left < len(self._world.users):
            if departures:
                self._fabric.take(departures)
            self._books.add(rows)
        else:
            self._fabric.take(d for d in departures if d.at <= self._last_left_s)
            self._fabric.rewind(self._last_left_s)
            self._last_rows = rows
        self.progress.queries = self._books.queries

    def _advance(self, calls: list[Call]) -> tuple[Rows, list[Departure]]:
        """Advance hosts to the end of a window, answering those that halt for a measured cost."""
        rows: Rows = {}
        departures: list[Departure] = []
        while calls:
            answers = self._hosts.advance(calls)
            self.progress.calls += len(calls)
            again: list[Call] = []
            for (number, horizon, _, _), answer in zip(calls, answers, strict=True):
                self._next[number] = answer.next_event
                departures += answer.departures
                for table, more in answer.rows.items():
                    rows.setdefault(table, []).extend(more)
                self._note(answer)
                if answer.halted:
                    again.append((number, horizon, (), self._measured(answer)))
            calls = again
        return rows, departures

    def _inbox(self, horizon: float) -> dict[int, list[Delivery]]:
        home = self._hosts.home
        inbox: dict[int, list[Delivery]] = {}
        for arrival in self._fabric.arrivals_before(horizon):
            inbox.setdefault(home[arrival.to], []).append(arrival)
        if self._jobs:
            planner = self._world.planner
            due = [job for job in self._jobs if job.due_s < horizon]
            self._jobs = [job for job in self._jobs if job.due_s >= horizon]
            for job in due:
                ready = PlanReady(job.request, self._plans.result(job))
                inbox.setdefault(home[planner], []).append(Delivery(job.due_s, planner, job.request, planner, ready))
        return inbox

    def _note(self, answer: Answer) -> None:
        for job in answer.jobs:
            self._plans.submit(job)
            self._jobs.append(job)
        for at, _ in answer.left:
            self.progress.left += 1
            self._last_left_s = max(self._last_left_s, at)
        if self._data is not None:
            self.progress.executing = True
            pass_on(answer, self._data)
            self.progress.executing = False

    def _measured(self, answer: Answer) -> Costs:
        assert self._data is not None
        costs = [((p.user, p.query, p.step), self._data.measure(p)) for p in answer.pieces]
        self._costs += costs
        return costs

    def _end(self, end: float) -> Ending:
        rows = self._last_rows
        for answer in self._hosts.finish(end):
            for table, more in answer.rows.items():
                rows.setdefault(table, []).extend(more)
        self._books.sort(rows)
        self._books.close(rows, end)
        self.progress.queries = self._books.queries
        self.progress.now_s = end
        return ending(end, self.progress, self._fabric, self._costs)
