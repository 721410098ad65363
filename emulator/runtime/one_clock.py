"""All nodes and the network on one clock: the same run as the lockstep's, without windows.

Hosts need windows because they cannot see each other. One host that has every node shares its kernel with the fabric,
and each event happens in its turn: same tables, fewer steps. Chosen by `layerlift.emulator.run` where it changes
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nextafter

from layerlift.emulator.kernel import periods
from layerlift.emulator.network.fabric import Fabric
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.protocol.messages import PlanReady
from layerlift.emulator.results.rows import Write
from layerlift.emulator.runtime.ending import Ending, Progress, ending
from layerlift.emulator.runtime.host import Host
from layerlift.emulator.runtime.ports import DataPlane, Plans, fewer_collections, pass_on
from layerlift.emulator.runtime.row_books import RowBooks
from layerlift.emulator.world.world import World
from layerlift.models.errors import RunError

_STEP_WINDOWS = 256
"""Rows and pieces are passed on after this many lookaheads at the latest."""
_PLANNING = (9,)
"""Among the fabric's events of one instant, a plan that is due comes last."""


class OneClock:
    """Runs a world to its end in one host. Takes what `Conductor` takes, but for the hosts.

    Raises `RunError` for `compute: measured`, which has to halt between windows.
    """

    def __init__(
        self,
        world: World,
        plans: Plans,
        write: Write,
        data: DataPlane | None = None,
        before_step: Callable[[Progress], None] | None = None,
    ) -> None:
        if world.compute == "measured":
            raise RunError("compute: measured needs the lockstep: expected profiled costs")
        self._world, self._plans, self._data, self._before_step = world, plans, data, before_step
        self._host = Host(world, range(len(world.nodes)), data is not None)
        self._kernel = self._host.kernel
        self._fabric = Fabric(world, self._kernel, self._host.accept_now)
        self._books = RowBooks(world, self._fabric.ledger, write)
        self._host.join(self._fabric.append, self._plan, self._leave)
        self._last_left_s = 0.0
        self.progress = Progress()

    def run(self) -> Ending:
        """Move the world from its first event to its end, and return how it ended (see `Conductor.run`)."""
        with fewer_collections():
            return self._run()

    def _run(self) -> Ending:
        world, kernel, horizon = self._world, self._kernel, 0.0
        while self.progress.left < len(world.users):
            now = kernel.peek()
            if now >= world.until_s or now == inf:
                break
            self.progress.now_s = now
            if self._before_step is not None:
                self._before_step(self.progress)
            sampled_s = periods.ending_after(now, world.sample_s) * world.sample_s
            horizon = min(now + _STEP_WINDOWS * world.lookahead_s, sampled_s, world.until_s)
            self._step(horizon)
        if self.progress.left == len(world.users):
            return self._end(self._last_left_s)
        return self._end(world.until_s if world.until_s < inf else horizon)

    def break_off(self) -> None:
        """Pass on the rows of use that an interrupted run leaves; all others have been."""
        self._books.break_off(self.progress.now_s)

    def _step(self, horizon: float) -> None:
        self._kernel.run_before(horizon)
        if self._kernel.halted:
            # Everybody has left; whatever else happens at that very instant still belongs to the run.
            self._kernel.halted = False
            horizon = nextafter(self._last_left_s, inf)
            self._kernel.run_before(horizon)
        self._fabric.close(horizon)
        self.progress.windows += 1
        self._pass_on()

    def _pass_on(self) -> None:
        answer = self._host.report()
        self._books.add(answer.rows)  # before layers really run, which may take long
        self.progress.queries = self._books.queries
        if self._data is not None:
            self.progress.executing = True
            pass_on(answer, self._data)
            self.progress.executing = False

    def _leave(self, who: tuple[float, int]) -> None:
        self.progress.left += 1
        self._last_left_s = who[0]
        if self.progress.left == len(self._world.users):
            self._kernel.halted = True

    def _plan(self, job: PlanJob) -> None:
        self._plans.submit(job)
        self._kernel.schedule(job.due_s, -1, (*_PLANNING, job.request), self._planned, job)

    def _planned(self, job: PlanJob) -> None:
        planner = self._world.planner
        ready = PlanReady(job.request, self._plans.result(job))
        self._host.accept(job.due_s, planner, job.request, planner, ready)

    def _end(self, end: float) -> Ending:
        self._pass_on()
        self._books.close(self._host.finish(end).rows, end)
        self.progress.now_s = end
        return ending(end, self.progress, self._fabric, [])
