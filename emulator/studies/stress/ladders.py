"""Pushing: the same worlds made harder step by step, and the first step at which a stated bound breaks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from layerlift.emulator.studies.compare.statistics import interval
from layerlift.emulator.studies.compare.written import plain
from layerlift.emulator.studies.stress.battery import Push
from layerlift.emulator.studies.stress.card import Worlds
from layerlift.emulator.studies.stress.ratios import geometric

MOST_MEAN: Final = 2.0
"""Times home that a query may cost users on average."""
MOST_P95: Final = 4.0
"""Times home that it may cost the user at the 95th percentile."""
MOST_MISSED: Final = 0.05
"""Share of queries that may fail or come late."""
KEPT: Final = 0.5
"""Part of the gain over home at the first step that must be left."""
BOUNDS: Final = (
    f"mean at most {MOST_MEAN:g} times home, 95 % of users at most {MOST_P95:g} times home, at most "
    f"{100 * MOST_MISSED:g} % of queries failed or late; with less bandwidth, half of the gain over home left"
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a ladder, over its worlds."""

    factor: float
    label: str
    """`40 users`, `bandwidth / 4`, `faults x 2`."""
    value: float
    """Geometric mean over worlds of what a query costs against home; nan where nothing is known."""
    p95: float
    missed: float
    breaks: str
    """Which bound is broken, in words; empty for none."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """One contender pushed in one way."""

    contender: str
    push: Push
    steps: tuple[Step, ...]

    @property
    def broken(self) -> Step | None:
        """The first step that breaks a bound."""
        return next((step for step in self.steps if step.breaks), None)

    @property
    def told(self) -> str:
        """`breaks at 40 users in equal_servers (mean 2.53 times home)`, or that it holds."""
        step = self.broken
        if step is None:
            return f"holds up to {self.steps[-1].label} in {self.push.family}" if self.steps else ""
        holds = [later.label for later in self.steps[self.steps.index(step) + 1 :] if not later.breaks]
        again = f"; it holds again at {', '.join(holds)}" if holds else ""
        return f"breaks at {step.label} in {self.push.family} ({step.breaks}{again})"

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "contender": self.contender, "change": self.push.change, "family": self.push.family,
            "broken_at": self.broken.label if self.broken else None,
            "steps": [
                {"factor": step.factor, "label": step.label, "value": _number(step.value), "p95": _number(step.p95),
                 "missed": _number(step.missed), "breaks": step.breaks}
                for step in self.steps
            ],
        }  # fmt: skip


def ladder(contender: str, push: Push, found: Mapping[float, Worlds], users: int) -> Ladder:
    """Put together what the steps gave; `users` is the number at factor 1."""
    steps: list[Step] = []
    for factor in push.factors:
        worlds = found.get(factor, {})
        if len(worlds) < push.worlds:
            continue  # interrupted: nothing is known of it yet
        whole = [each for each in worlds.values() if "failed" not in each and each["value"] is not None]
        failed = next((str(each["failed"]) for each in worlds.values() if "failed" in each), "")
        value, p95 = (geometric(each[key] for each in whole).mean for key in ("value", "p95"))
        missed = interval(each["missed"] for each in whole).mean
        breaks = failed or _breaks(push.change, value, p95, missed, steps)
        steps.append(Step(factor, label(push.change, factor, users), value, p95, missed, breaks))
    return Ladder(contender, push, tuple(steps))


def label(change: str, factor: float, users: int) -> str:
    """How a step is called."""
    if change == "users":
        return f"{max(1, round(users * factor))} users"
    if change == "bandwidth":
        return "the bandwidth as it is" if factor == 1 else f"bandwidth / {1 / factor:g}"
    return "the faults as they are" if factor == 1 else f"faults x {factor:g}"


def _breaks(change: str, value: float, p95: float, missed: float, before: Sequence[Step]) -> str:
    if missed > MOST_MISSED:
        return f"{100 * missed:.0f} % of queries failed or late"
    if value > MOST_MEAN:
        return f"mean {plain(value)} times home"
    if p95 > MOST_P95:
        return f"95 % of users within {plain(p95)} times home"
    first = before[0].value if before else math.nan
    if change == "bandwidth" and 1.0 - value < KEPT * (1.0 - first):
        return f"{100 * (1 - value):.0f} % gained of {100 * (1 - first):.0f} %"
    return ""


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
