"""`layerlift train`: a planner's policy, trained in rounds until the time is up, on worlds drawn here or by workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Final

from layerlift.emulator.report.formatting import count
from layerlift.emulator.results.versions import versions
from layerlift.emulator.runtime.interruption import Stopped, felt
from layerlift.emulator.studies.learning import kept
from layerlift.emulator.studies.learning.curve import REMARK, chart, percent, table
from layerlift.emulator.studies.learning.examples import Lesson, lesson
from layerlift.emulator.studies.learning.gaps import WALKS, Gaps, Trial, measured, trials
from layerlift.emulator.studies.learning.kept import Point
from layerlift.emulator.studies.learning.lasting import check_asked, until
from layerlift.emulator.studies.learning.methods import Method, method
from layerlift.emulator.studies.learning.result import Progress, Table, Trained, notes_of
from layerlift.emulator.studies.learning.worlds import FAMILIES, HOLD_OUT, TRIAL_FROM, Worlds, networks_of
from layerlift.emulator.studies.many import Workers
from layerlift.models.sums import left_sum

MINUTES: Final = 10.0
MEASURED: Final = 20
"""Rounds between two points of the curve."""
KEPT_S: Final = 30.0
"""Seconds between two times that the training is written down."""
TRIALS: Final = 12
"""Worlds that a point is measured on, for each group of networks."""
HELD_OUT, TRAINED_ON = "held out", "training"
LITERALLY: Final = ":literal"
"""What the name of a planner ends with whose publication's policy is trained."""
_BARS: Final = "▁▂▃▄▅▆▇█"
_SHOWN: Final = 24
"""Points of the curve in a line."""


@dataclass(frozen=True, repr=False)
class WalkerTrained(Trained):
    """What a training of a planner that walks has come to; its CPU time is that of this process."""

    POINT: ClassVar = Point
    REMARK: ClassVar = REMARK

    walks: int = WALKS
    """Ways among which the planner chooses."""

    def sentences(self) -> list[str]:
        """What it is worth, in words."""
        return [
            f"{self.asked['planner']} after {count(self.rounds, 'round')}, {self.cpu_s:.0f} s of CPU time, "
            f"{self.policy.parameters} {'whole numbers' if self.policy.kind.whole else 'parameters'}, "
            f"policy {self.policy.label[:12]}.",
            *(_told(point, self.walks) for point in latest(self.points)),
            *_expected(self.policy.notes),
        ]

    def standing(self) -> str:
        """Where it is, in a line: the gaps of the best walks on held-out networks, from the first point on."""
        gaps = [point.best_mean for point in self.points if point.group == HELD_OUT][-_SHOWN:]
        if not gaps:
            return f"round {self.rounds}"
        most = max(max(gaps), 1e-9)
        drawn = "".join(_BARS[int(min(max(gap, 0.0) / most, 1.0) * (len(_BARS) - 1))] for gap in gaps)
        return f"round {self.rounds}, held out {100 * gaps[-1]:.2f} % above exact {drawn}"

    def table(self) -> Table:
        """Heads and lines of the table of all points."""
        return table(self.points, self.walks)

    def chart(self) -> dict[str, Any]:
        """Gaps against rounds."""
        return chart(self.points, self.walks)


def _told(point: Point, walks: int) -> str:
    where = "that were held out" if point.group == HELD_OUT else "that it was trained on"
    best, p95, greedy, cut, right = (
        f"{percent(value)} %"
        for value in (point.best_mean, point.best_p95, point.greedy_mean, point.cut_mean, point.right)
    )
    return (
        f"On networks {where}, in other worlds: best of {walks} walks is {best} above the exact answer (in 95 % of "
        f"problems at most {p95}), the greedy walk {greedy}, the best single cut {cut}; {right} of greedy steps best."
    )


def _expected(notes: Mapping[str, str]) -> list[str]:
    """How far what a policy expects is from what dynamic programming knows, where it expects anything."""
    if "q_error" not in notes:
        return []
    error = percent(float(notes["q_error"]))
    return [f"What it expects of a step is {error} % of staying local off the exact value, on average."]


def latest(points: Sequence[Point]) -> list[Point]:
    """The last point of each group, those held out first."""
    last = {point.group: point for point in points}
    return [last[group] for group in (HELD_OUT, TRAINED_ON) if group in last]


def train(
    planner: str = "dil",
    *,
    worlds: Sequence[str] = FAMILIES,
    networks: Sequence[str] = (),
    hold_out: Sequence[str] = HOLD_OUT,
    minutes: float = MINUTES,
    rounds: int | None = None,
    workers: int = 1,
    address: str | None = None,
    seed: int = 1,
    out: Path | str,
    literal: bool = False,
    resume: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> WalkerTrained:
    """Train the policy of `planner`, and write it, its curve and a page to `out`; see docs/learned.md.

    `literal` trains what the publication describes instead of what ships.
    After `minutes`, or so many `rounds` in all: what these give does not depend on time, nor on `workers`, which draw
    the worlds, nor on having been stopped and resumed. Raises `RunError` and `PlanError`.
    """
    check_asked(minutes, rounds, workers, seed)
    how = method(planner, literal)
    folder = Path(out)
    kept.check(folder, resume, force)
    drawn = Worlds(tuple(worlds), networks_of(networks, hold_out))
    course = Course(planner + (LITERALLY if literal else ""), how, drawn, tuple(hold_out), seed, folder)
    if resume:
        course.resume()
    kept.prepare(folder)
    try:
        with felt(), Workers(workers, address) as made:
            for share in until(lambda: course.found.rounds, minutes, rounds):
                course.go_on(lambda: _taught(how, course.lesson, workers, made))
                if progress is not None:
                    progress(course.found, share)
    except KeyboardInterrupt as error:
        return course.finished(Stopped.of(error).number)
    return course.finished(None)


def _taught(how: Method, lesson: Lesson, workers: int, made: Workers) -> Any:
    """What a lesson teaches, whoever draws its worlds."""
    count = -(-len(lesson.seeds) // workers)
    parts = [Lesson(lesson.worlds, lesson.seeds[first : first + count]) for first in range(0, len(lesson.seeds), count)]
    return how.joined(made.all(how.taught, parts))


class Course:
    """One training: rounds, points of its curve, and what is written down now and then."""

    def __init__(
        self, planner: str, how: Method, worlds: Worlds, hold_out: tuple[str, ...], seed: int, out: Path
    ) -> None:
        worlds.check()
        self._training, self._walks = how.begun(seed), how.walks
        self._worlds, self._seed, self._out = worlds, seed, out
        self._asked = {
            "planner": planner,
            "worlds": list(worlds.families),
            "networks": list(worlds.networks),
            "held_out": list(hold_out),
            "seed": seed,
        }
        self._made_by = {"torch": version("torch")} | versions()
        self._trials = _trials(worlds, hold_out)
        self._losses: list[float] = []
        self._kept_at = time.monotonic()
        self.found = self._now(0.0, ())
        """What there is after the last whole round."""

    @property
    def lesson(self) -> Lesson:
        """What the next round needs."""
        return lesson(self._worlds, self._seed, self.found.rounds)

    def resume(self) -> None:
        """Go on with what was kept. Raises `RunError` for another training."""
        record = kept.unpacked(self._out / kept.STATE, asked=self._asked)
        self._training.resume(record.arrays)
        self.found = self._now(record.cpu_s, record.points)

    def go_on(self, draw: Callable[[], Any]) -> None:
        """One round on what `draw` answers, and whatever is due after it."""
        began = time.process_time()
        self._losses.append(self._training.round(draw()))
        cpu_s = self.found.cpu_s + time.process_time() - began
        self.found = self._now(cpu_s, self.found.points)
        if self.found.rounds % MEASURED == 0:
            self._measure()
        if time.monotonic() - self._kept_at >= KEPT_S:
            self._write()

    def finished(self, signal: int | None) -> WalkerTrained:
        """What it has come to, written down."""
        if self._losses and self.found.rounds % MEASURED:
            self._measure()
        self._write()
        found = self.found
        return replace(found, signal=signal, arrays={})

    def _now(self, cpu_s: float, points: tuple[Point, ...]) -> WalkerTrained:
        rounds = self._training.rounds
        policy = self._training.policy(self._notes(rounds, cpu_s, points))
        arrays = self._training.state()
        return WalkerTrained(self._asked, rounds, cpu_s, policy, points, self._out, arrays=arrays, walks=self._walks)

    def _notes(self, rounds: int, cpu_s: float, points: tuple[Point, ...]) -> dict[str, str]:
        """What a policy says of itself."""
        notes = notes_of(self._asked, self._made_by, rounds, cpu_s)
        return notes | {f"gap_{point.group.replace(' ', '_')}": f"{point.best_mean:.5f}" for point in latest(points)}

    def _measure(self) -> None:
        found, loss = self.found, left_sum(self._losses) / len(self._losses)
        points = (*found.points, *(_point(found, loss, group, among) for group, among in self._trials.items()))
        # Of what there was after the last whole round: the training itself may have been stopped within one.
        notes = {**found.policy.notes, **self._notes(found.rounds, found.cpu_s, points)}
        policy = replace(found.policy, notes=notes)
        self._losses, self.found = [], replace(found, points=points, policy=policy)

    def _write(self) -> None:
        """All files, each whole or as before; what can be gone on from last."""
        self.found.write()
        self._kept_at = time.monotonic()


def _trials(worlds: Worlds, hold_out: tuple[str, ...]) -> dict[str, list[Trial]]:
    seeds = range(TRIAL_FROM, TRIAL_FROM + 2 * TRIALS)
    groups = {HELD_OUT: (hold_out, seeds[:TRIALS]), TRAINED_ON: (worlds.networks, seeds[TRIALS:])}
    return {group: trials(Worlds(worlds.families, names), among) for group, (names, among) in groups.items() if names}


def _point(found: WalkerTrained, loss: float, group: str, among: Sequence[Trial]) -> Point:
    result = measured(found.policy, among, found.walks)
    cut = Gaps.of(each.cut / each.exact - 1.0 for each in among)
    local = Gaps.of(each.local / each.exact - 1.0 for each in among)
    return Point(
        found.rounds, found.cpu_s, loss, group, result.greedy.mean, result.best.mean, result.best.p95, result.best.near,
        result.right, cut.mean, local.mean,
    )  # fmt: skip
