"""One training of a crowd's policy: rounds, points of its curve, and what is written down now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from layerlift.emulator.report.formatting import count
from layerlift.emulator.results.versions import versions
from layerlift.emulator.studies.learning import kept
from layerlift.emulator.studies.learning.crowd.curve import REMARK, chart, table
from layerlift.emulator.studies.learning.crowd.points import CrowdPoint
from layerlift.emulator.studies.learning.crowd.rollouts import Episodes, Played, family
from layerlift.emulator.studies.learning.crowd.search import Search
from layerlift.emulator.studies.learning.result import Table, Trained, notes_of
from layerlift.emulator.studies.learning.worlds import TRIAL_FROM
from layerlift.models.errors import RunError
from layerlift.models.sums import left_sum
from layerlift.planners.learned.crowd.mixtures import weights_of
from layerlift.planners.learned.crowd.policy import BY_HAND, Mixture

Goal = Literal["ratio", "latency"]
MEASURED: Final = 5
"""Rounds between two points of the curve."""
KEPT_S: Final = 30.0
"""Seconds between two times that the training is written down."""
TRIALS: Final = 4
"""Worlds that a point is measured on."""
Play = Callable[[Sequence[Episodes]], list[Played]]
"""Plays worlds, here or elsewhere, and answers in their order."""


@dataclass(frozen=True, repr=False)
class CrowdTrained(Trained):
    """What a training of `crowd` has come to; its CPU time is that of all runs that were learned from."""

    POINT: ClassVar = CrowdPoint
    REMARK: ClassVar = REMARK

    def sentences(self) -> list[str]:
        """What it is worth, in words."""
        told = [
            f"crowd, for the least {self.asked['goal']}, after {count(self.rounds, 'round')}, "
            f"{self.cpu_s:.0f} s of CPU time, "
            f"{self.policy.parameters} whole numbers, policy {self.policy.label[:12]}."
        ]
        if self.points:
            last = self.points[-1]
            told.append(
                f"In {TRIALS} other worlds: users' mean of latency over that at home is {last.ratio:.3f} (with the "
                f"numbers set by hand {last.hand_ratio:.3f}), mean latency is {last.latency:.3f} times that at home "
                f"(by hand {last.hand_latency:.3f}); {100.0 * last.away:.0f} % of plans leave home."
            )
        return told

    def standing(self) -> str:
        """Where it is, in a line: what users have of it."""
        if not self.points:
            return f"round {self.rounds}"
        last = self.points[-1]
        return f"round {self.rounds}, ratio to home {last.ratio:.3f}, latency {last.latency:.3f}"

    def table(self) -> Table:
        """Heads and lines of the table of all points."""
        return table(self.points)

    def chart(self) -> dict[str, Any]:
        """What users get, against rounds."""
        return chart(self.points)


class CrowdCourse:
    """A training that goes on round by round."""

    def __init__(self, goal: Goal, worlds: tuple[str, ...], seed: int, out: Path) -> None:
        if not worlds:
            raise RunError("no family of worlds is given, expected at least one: name it with --worlds")
        if held_out := [name for name in worlds if family(name).held_out]:
            raise RunError(f"the family {held_out[0]!r} is held out, none is trained on it: name others with --worlds")
        self._goal, self._worlds, self._out = goal, worlds, out
        self._search = Search(seed)
        self._asked = {"planner": "crowd", "goal": goal, "worlds": list(worlds), "seed": seed}
        self._costs: list[float] = []
        self._kept_at = time.monotonic()
        self.found = self._now(0.0, ())
        """What there is after the last whole round."""

    def resume(self) -> None:
        """Go on with what was kept. Raises `RunError` for another training."""
        record = kept.unpacked(self._out / kept.STATE, CrowdPoint, self._asked)
        self._search.resume(record.arrays)
        self.found = self._now(record.cpu_s, record.points)

    def go_on(self, play: Play) -> None:
        """One round of what `play` answers, and whatever is due after it."""
        played = play(self._search.asked(self._worlds))
        self._costs.append(self._search.told(played, self._goal))
        self.found = self._now(self.found.cpu_s + left_sum(each.cpu_s for each in played), self.found.points)
        if self.found.rounds % MEASURED == 0:
            self._measure(play)
        if time.monotonic() - self._kept_at >= KEPT_S:
            self._write()

    def finished(self, play: Play, signal: int | None) -> CrowdTrained:
        """What it has come to, written down; of one that was stopped nothing more is measured."""
        if self._costs and self.found.rounds % MEASURED and signal is None:
            self._measure(play)
        self._write()
        return replace(self.found, signal=signal, arrays={})

    def _now(self, cpu_s: float, points: tuple[CrowdPoint, ...]) -> CrowdTrained:
        policy = weights_of(self._search.policy(), self._notes(self._search.rounds, cpu_s, points))
        return CrowdTrained(
            self._asked, self._search.rounds, cpu_s, policy, points, self._out, arrays=self._search.state()
        )

    def _notes(self, rounds: int, cpu_s: float, points: tuple[CrowdPoint, ...]) -> dict[str, str]:
        """What a policy says of itself."""
        notes = notes_of(self._asked, versions(), rounds, cpu_s)
        return notes | {key: f"{points[-1].numbers()[key]:.5f}" for key in ("ratio", "latency") if points}

    def _measure(self, play: Play) -> None:
        point = _point(self.found, left_sum(self._costs) / len(self._costs), play, self._worlds, self._search.policy())
        points = (*self.found.points, point)
        policy = replace(self.found.policy, notes=self._notes(self.found.rounds, self.found.cpu_s, points))
        self._costs, self.found = [], replace(self.found, points=points, policy=policy)

    def _write(self) -> None:
        """All files, each whole or as before; what can be gone on from last."""
        self.found.write()
        self._kept_at = time.monotonic()


def _point(found: CrowdTrained, cost: float, play: Play, worlds: Sequence[str], policy: Mixture) -> CrowdPoint:
    """What the policy is worth in worlds that are not learned from, beside the numbers set by hand."""
    policies = tuple(tuple(each.numbers.tolist()) for each in (policy, BY_HAND))
    jobs = [Episodes(worlds[each % len(worlds)], TRIAL_FROM + each, policies) for each in range(TRIALS)]
    pairs = [each.worths for each in play(jobs)]

    def mean(place: int, name: str) -> float:
        return left_sum(worths[place].numbers()[name] for worths in pairs) / len(pairs)

    return CrowdPoint(
        found.rounds, found.cpu_s, cost, mean(0, "ratio"), mean(0, "latency"), mean(0, "away"), mean(1, "ratio"),
        mean(1, "latency"),
    )  # fmt: skip
