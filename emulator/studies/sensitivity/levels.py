"""What was seen at the scenario itself and at each level of each factor, and how far it is from the scenario itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from layerlift.emulator.studies.compare.statistics import Interval, difference, interval
from layerlift.emulator.studies.sensitivity.factors import Factor
from layerlift.emulator.studies.sensitivity.measures import Measure

BASE: Final = "as it is"
ROUNDING: Final = 1e-9
"""Of a number: what differs by less than this share is the same."""


class Step(NamedTuple):
    """One world that is run under every planner with every seed."""

    factor: int
    """Which one is moved; -1: none is."""
    level: str
    """`half`, `double`, or `BASE`."""


class Turn(NamedTuple):
    """Two planners whose order is another at a level than it is with the scenario as it is."""

    measure: Measure
    step: Step
    how: str
    """`turns`: who was behind is ahead; `lost`: neither is any more; `new`: one is where neither was."""
    ahead: str
    """At the level; of `lost`, who was ahead."""
    behind: str

    @property
    def pair(self) -> tuple[str, str]:
        """Both of them."""
        return self.ahead, self.behind

    def told(self) -> str:
        """`ionn overtakes direct`."""
        words = {"turns": "overtakes", "lost": "no longer leads", "new": "now leads"}
        return f"{self.ahead} {words[self.how]} {self.behind}"


class Swing(NamedTuple):
    """A factor's mark on a number under a planner."""

    factor: int
    levels: Mapping[str, Interval]
    """The number at each level that was run, a mean over seeds."""
    changes: Mapping[str, Interval]
    """How much it is away from the scenario as it is, seeds paired."""

    @property
    def span(self) -> float:
        """From the least to the most of all three means; 0 of a factor at which no level was run."""
        away = [change.mean for change in self.changes.values() if math.isfinite(change.mean)]
        return max([0.0, *away]) - min([0.0, *away])

    @property
    def sure(self) -> bool:
        """Whether some level is told from the scenario as it is: by its interval, of one seed by its number."""
        return any(change.apart if change.n > 1 else change.mean != 0 for change in self.changes.values() if change.n)


@dataclass(frozen=True)
class Levels:
    """All outcomes of the runs with one factor moved at a time."""

    factors: tuple[Factor, ...]
    planners: tuple[str, ...]
    outcomes: Mapping[tuple[str, Step], Mapping[int, Mapping[str, Any]]]
    """By planner and step, then seed."""

    def values(self, measure: Measure, planner: str, step: Step) -> dict[int, float]:
        """A number by seed, of the runs that have it."""
        found = {}
        for seed, outcome in self.outcomes.get((planner, step), {}).items():
            value = measure.of(outcome) if "failed" not in outcome else None
            if value is not None:
                found[seed] = value
        return found

    def base(self, measure: Measure, planner: str) -> Interval:
        """The number with the scenario as it is."""
        return interval(self.values(measure, planner, Step(-1, BASE)).values())

    def swings(self, measure: Measure, planner: str) -> list[Swing]:
        """What each factor does to a number, the largest span first."""
        first = self.values(measure, planner, Step(-1, BASE))
        made = []
        for number, _ in enumerate(self.factors):
            seen = {level: self.values(measure, planner, Step(number, level)) for level in self._levels(number)}
            levels = {level: interval(values.values()) for level, values in seen.items()}
            made.append(Swing(number, levels, {level: difference(values, first) for level, values in seen.items()}))
        return sorted(made, key=lambda swing: (-swing.span, swing.factor))

    def moving(self, measure: Measure, planner: str) -> list[Swing]:
        """Those of them that move the number by more than rounding, the furthest first."""
        least = ROUNDING * abs(self.base(measure, planner).mean)
        return [swing for swing in self.swings(measure, planner) if swing.span > least]

    def turns(self, measure: Measure) -> list[Turn]:
        """Every pair of planners that a level puts in another order, the plainest kind first."""
        found = [turn for step in self.steps() if step.factor >= 0 for turn in self._turned(measure, step)]
        return sorted(found, key=lambda turn: ("turns", "lost", "new").index(turn.how))

    def ranking(self, measure: Measure) -> list[list[str]]:
        """The planners with the scenario as it is, best first; with each those that nothing tells from it."""
        known = [planner for planner in self.planners if self.base(measure, planner).n]
        groups: list[list[str]] = []
        for planner in sorted(known, key=lambda each: measure.worth(self.base(measure, each).mean)):
            if groups and not self._leader(measure, groups[-1][-1], planner, Step(-1, BASE)):
                groups[-1].append(planner)
            else:
                groups.append([planner])
        return groups

    def steps(self) -> list[Step]:
        """All that were run, in order."""
        return sorted({step for _, step in self.outcomes}, key=lambda step: (step.factor, step.level != "half"))

    def _levels(self, factor: int) -> list[str]:
        return [step.level for step in self.steps() if step.factor == factor]

    def _turned(self, measure: Measure, step: Step) -> Iterator[Turn]:
        for at, one in enumerate(self.planners):
            for other in self.planners[at + 1 :]:
                before, after = (self._leader(measure, one, other, where) for where in (Step(-1, BASE), step))
                if before is None or after is None or before == after:
                    continue
                if after:
                    yield Turn(measure, step, "turns" if before else "new", after, other if after == one else one)
                else:
                    yield Turn(measure, step, "lost", before, other if before == one else one)

    def _leader(self, measure: Measure, one: str, other: str, step: Step) -> str | None:
        """Which is better there, by the interval of their paired difference; empty for neither, None for unknown."""
        ours, theirs = (self._worths(measure, planner, step) for planner in (one, other))
        apart = difference(ours, theirs)
        if not apart.n or math.isnan(apart.mean):
            return None
        least = ROUNDING * max(map(abs, (*ours.values(), *theirs.values())))
        if abs(apart.mean) <= least or (apart.n > 1 and not apart.apart):
            return ""
        return one if apart.mean < 0 else other

    def _worths(self, measure: Measure, planner: str, step: Step) -> dict[int, float]:
        return {seed: measure.worth(value) for seed, value in self.values(measure, planner, step).items()}


def failures(levels: Levels) -> list[str]:
    """A sentence for each reason why runs could not be made, with where."""
    said: dict[str, list[str]] = {}
    for (planner, step), outcomes in levels.outcomes.items():
        for outcome in outcomes.values():
            if "failed" in outcome:
                where = f"{levels.factors[step.factor].name} at {step.level}" if step.factor >= 0 else "the scenario"
                said.setdefault(str(outcome["failed"]), []).append(f"{where} with {planner}")
    return [f"failed: {reason} ({_listed(list(dict.fromkeys(places)))})" for reason, places in said.items()]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if names[4:] else "")
