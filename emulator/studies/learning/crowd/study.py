"""`layerlift train crowd`: rounds of whole runs, played here, in processes or on a cluster, until the time is up."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, get_args

from layerlift.emulator.runtime.interruption import Stopped, felt
from layerlift.emulator.studies.learning import kept
from layerlift.emulator.studies.learning.crowd.course import CrowdCourse, CrowdTrained, Goal, Play
from layerlift.emulator.studies.learning.crowd.rollouts import CROWDS, Episodes, Played, played
from layerlift.emulator.studies.learning.lasting import check_asked, until
from layerlift.emulator.studies.learning.result import Progress
from layerlift.emulator.studies.many import Lost, each_of
from layerlift.models.errors import RunError, near

MINUTES: Final = 30.0


def train_crowd(
    goal: Goal = "ratio",
    *,
    worlds: Sequence[str] = (CROWDS,),
    minutes: float = MINUTES,
    rounds: int | None = None,
    workers: int = 1,
    address: str | None = None,
    seed: int = 1,
    out: Path | str,
    resume: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> CrowdTrained:
    """Train a policy of `crowd`, and write it, its curve and a page to `out`; see docs/learned.md.

    After `minutes`, or so many `rounds` in all: what these give does not depend on time, nor on `workers`, which play
    the runs, nor on having been stopped and resumed. Raises `RunError` and `ScenarioError`.
    """
    if goal not in get_args(Goal):
        raise RunError(f"goal is {goal!r}, expected ratio or latency{near(goal, get_args(Goal))}")
    check_asked(minutes, rounds, workers, seed)
    folder = Path(out)
    kept.check(folder, resume, force)
    course = CrowdCourse(goal, tuple(worlds), seed, folder)
    if resume:
        course.resume()
    play = player(workers, address)
    try:
        with felt(), ExitStack() as stack:
            if address is not None:
                from layerlift.emulator.cluster.session import RayCluster

                stack.enter_context(RayCluster(address))
            for share in until(lambda: course.found.rounds, minutes, rounds):
                course.go_on(play)
                if progress is not None:
                    progress(course.found, share)
            return course.finished(play, None)
    except KeyboardInterrupt as error:
        return course.finished(play, Stopped.of(error).number)


def player(workers: int, address: str | None) -> Play:
    """Plays runs, and answers in the order in which they were asked for, whoever ends first."""

    def play(jobs: Sequence[Episodes]) -> list[Played]:
        local = workers == 1 and address is None
        found = dict(each_of(played, jobs, local=local, address=address, workers=workers))
        made = []
        for number in range(len(jobs)):
            answer = found[number]
            if isinstance(answer, Lost):
                raise RunError(f"a worker played no runs: {answer}")
            made.append(answer)
        return made

    return play
