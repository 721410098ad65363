"""Who asks the planners of a run: at once and here, in a process that can be stopped, or nobody, where it is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

from layerlift.emulator.planning.answer import Answered, answer, stayed_local
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.stoppable import CannotBeSentError, Stoppable, late
from layerlift.planners import Planner, make


class Asker:
    """Asks planners with a seed and a limit in seconds of wall clock.

    Without a limit (inf) a planner runs in this process, where `maker` makes it. With one it runs in another, which is
    ended in time; a planner that cannot be sent there runs here, and its plan is not used when it comes too late.
    """

    def __init__(self, seed: int, timeout_s: float, maker: Callable[[str], Planner] = make) -> None:
        self._seed, self._timeout_s, self._maker = seed, timeout_s, maker
        self._stoppable = Stoppable()
        self.here: dict[str, str] = {}
        """Planners that run here although there is a limit, and why."""

    def ask(self, job: PlanJob) -> Answered:
        """What comes of a planning, in time or not."""
        if self._timeout_s == inf:
            return answer(job, self._seed, self._maker)
        if job.planner not in self.here:
            try:
                planner = make(job.planner)
            except (Exception, SystemExit):  # planning will tell what is wrong
                return answer(job, self._seed)
            try:
                return self._stoppable.ask(planner, job, self._seed, self._timeout_s)
            except CannotBeSentError as error:
                self.here[job.planner] = str(error)
        found = answer(job, self._seed)
        if found.took_s > self._timeout_s:
            found = stayed_local(job, late(self._timeout_s), found.took_s)
        return found

    def close(self) -> None:
        """End the other process."""
        self._stoppable.close()


class PlanLog:
    """What the plannings of a run have shown, but for the plans."""

    def __init__(self, warn: Callable[[str], None] = lambda text: None, trace: Callable[[str], None] | None = None):
        """`warn` is told once of each planner what its user should know; `trace` gets what Python tells of it."""
        self._warn, self._trace = warn, trace or (lambda text: None)
        self._told: set[str] = set()
        self.took_s: list[tuple[str, int, float]] = []
        """Of each planning so far: the planner, the number of the request, and wall-clock seconds."""
        self.stopped: dict[str, str] = {}
        """Plannings that were stopped from outside, by `PlanJob.name`, and why."""

    def note(self, job: PlanJob, found: Answered, fresh: bool, here: Mapping[str, str]) -> None:
        """Note an answer; one that is not `fresh` was known already. `here` is `Asker.here`."""
        if found.stopped:
            self.stopped[job.name] = found.stopped
        if not fresh:
            return
        self.took_s.append((job.planner, job.request, found.took_s))
        if job.planner in here:
            self._once(
                f"planner {job.planner} cannot be sent to a process of its own and cannot be interrupted: "
                f"{here[job.planner]}"
            )
        if found.raised:
            self._once(f"planner {found.raised}; whom it should plan stays local")
            self._trace(found.trace)

    def _once(self, text: str) -> None:
        kind = text.partition(":")[0]
        if kind not in self._told:
            self._told.add(kind)
            self._warn(text if len(text) <= 300 else f"{text[:297]}...")


def known(job: PlanJob, stopped: Mapping[str, str]) -> Answered | None:
    """What a run to be replayed says of a planning that was stopped then; None for one that was not."""
    reason = stopped.get(job.name)
    return stayed_local(job, reason) if reason is not None else None
