"""`layerlift train crowd`: rounds of whole runs, played here, in processes or on a cluster, until the time is up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

from layerlift.emulator.runtime.interruption import Stopped, felt
from layerlift.emulator.studies.learning import kept
from layerlift.emulator.studies.learning.crowd.course import CrowdCourse, CrowdTrained, Goal
from layerlift.emulator.studies.learning.crowd.rollouts import CROWDS, Episodes, Played, played
from layerlift.emulator.studies.learning.lasting import check_asked, until
from layerlift.emulator.studies.learning.result import Progress
from layerlift.emulator.studies.many import Workers
from layerlift.models.errors import RunError, near, quoted

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
        hint = near(goal, get_args(Goal)) if isinstance(goal, str) else ""
        raise RunError(f"goal is {quoted(goal)}, expected ratio or latency{hint}")
    check_asked(minutes, rounds, workers, seed)
    folder = Path(out)
    kept.check(folder, resume, force)
    course = CrowdCourse(goal, tuple(worlds), seed, folder)
    if resume:
        course.resume()
    kept.prepare(folder)
    made = Workers(workers, address)

    def play(jobs: Sequence[Episodes]) -> list[Played]:
        return made.all(played, jobs)

    try:
        with felt(), made:
            for share in until(lambda: course.found.rounds, minutes, rounds):
                course.go_on(play)
                if progress is not None:
                    progress(course.found, share)
            return course.finished(play, None)
    except KeyboardInterrupt as error:
        return course.finished(play, Stopped.of(error).number)
