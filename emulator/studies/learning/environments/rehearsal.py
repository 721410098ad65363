"""A run that stops at every plan request and waits for somebody to answer: the emulator itself, in a thread."""

from __future__ import annotations

import gc
import random
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.run import run
from layerlift.emulator.runtime.ending import Progress
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.world.world import World
from layerlift.planners import Plan, Planner, Problem, make, offload
from layerlift.planners.registry.base import PlannerBase
from layerlift.planners.registry.combine import Combined

Placement = tuple[int, ...]
Ask = Callable[[Problem], Placement]


class Asked(PlannerBase):
    """Stands in a scenario for whoever acts in an environment, and stays local where there is none.

    Its problems say what is known of the crowd, so that no two users have equal ones: each request is a step.
    """

    wants_crowd = True
    optimises = "nothing"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """Stay local."""
        return offload((0,) * len(problem.graph))


NAME: Final = f"{Asked.__module__}:{Asked.__qualname__}"
"""As a scenario names it."""


class Abandoned(BaseException):
    """A rehearsal that nobody goes on with: no planner may swallow it, as it may an exception."""


class _Asking(PlannerBase):
    """Answers with placements that somebody else gives."""

    wants_crowd = True

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        return offload(self._ask(problem))


class _Prompter(PlanMemory):
    """Makes every planner of a run one that asks; of a pair, the half that places."""

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask

    def planner(self, text: str) -> Planner:
        made = make(text) if "+" in text else None
        if isinstance(made, Combined):
            made.offloading = _Asking(self._ask)
            return made
        return _Asking(self._ask)


class Rehearsal:
    """One run of a scenario without real layers. `next` gives what is to be planned, `answer` goes on.

    The run has a thread of its own, which holds neither this object nor what uses it.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._talk = _Talk()
        self._thread = threading.Thread(target=_play, args=(scenario, self._talk), name="rehearsal", daemon=True)
        self._thread.start()

    @property
    def world(self) -> World:
        """The world that runs; known from the first request on."""
        assert self._talk.world is not None
        return self._talk.world

    def next(self) -> Problem | RunResult:
        """The next problem that is to be planned, or the result once the run has ended. Raises what the run raised."""
        heard = self._talk.heard.get()
        if isinstance(heard, BaseException):
            raise heard
        return heard

    def answer(self, placement: Placement) -> None:
        """Where the layers of the problem go that `next` gave."""
        self._talk.said.put(placement)

    def close(self) -> None:
        """Break the run off where it is, and wait until it is gone."""
        self._talk.abandoned = True
        self._talk.said.put(None)
        self._thread.join()


class _Talk:
    """What the thread of a run and the one that answers have in common."""

    def __init__(self) -> None:
        self.heard: SimpleQueue[Problem | RunResult | BaseException] = SimpleQueue()
        self.said: SimpleQueue[Placement | None] = SimpleQueue()
        self.abandoned = False
        self.world: World | None = None

    def ask(self, problem: Problem) -> Placement:
        """Wait for a placement."""
        self.heard.put(problem)
        said = self.said.get()
        if said is None:
            raise Abandoned
        return said

    def watch(self, progress: Progress, world: World) -> None:
        """Called in front of each of the run's steps."""
        self.world = world
        if self.abandoned:
            raise Abandoned


def _play(scenario: Scenario, talk: _Talk) -> None:
    with _ORDINARY:
        try:
            found: RunResult | BaseException = run(
                scenario, local=True, memory=_Prompter(talk.ask), progress=talk.watch
            )
        except Abandoned:
            return
        except BaseException as error:
            found = error
    talk.heard.put(found)


class _Ordinary:
    """Puts back how often Python collects garbage, which runs change for their length, once none is under way.

    Runs that overlap would put back what another has set.
    """

    def __init__(self) -> None:
        self._lock, self._runs, self._before = threading.Lock(), 0, gc.get_threshold()

    def __enter__(self) -> None:
        with self._lock:
            if not self._runs:
                self._before = gc.get_threshold()
            self._runs += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._runs -= 1
            if not self._runs:
                gc.set_threshold(*self._before)


_ORDINARY: Final = _Ordinary()
