"""The points that a comparison's charts are drawn from, thinned: pages stay small whatever the number of users."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from layerlift.emulator.studies.compare.captions import cost_of, halves, users_of
from layerlift.emulator.studies.compare.comparison import Comparison
from layerlift.emulator.studies.fairness.indices import mean

_STEPS: Final = 240
_POINTS: Final = 400
_MOMENTS: Final = 60


def ecdf(comparison: Comparison, variant: int) -> list[tuple[float, float]]:
    """Return (cost, share of users with at most that), ascending, from the least cost at share 0 on."""
    ranked = sorted(cost_of(comparison, user) for user in users_of(comparison, variant))
    count = len(ranked)
    if not ranked:
        return []
    places = sorted(
        {round(step * (count - 1) / _STEPS) for step in range(_STEPS + 1)} if count > _STEPS else range(count)
    )
    return [(ranked[0], 0.0), *((ranked[place], (place + 1) / count) for place in places)]


def arrivals(comparison: Comparison, variants: Sequence[int]) -> tuple[list[dict[str, Any]], bool]:
    """Return rows of users (`what` user: `at`, `cost`) and of the mean of each half (`what` half: `at`, `to`, `cost`).

    `at` is the instant of arrival, and then the second value is True; or the place in the order of users, where all
    came at once.
    """
    instants = any(len({user.arrival_s for user in users_of(comparison, number)}) > 1 for number in variants)
    rows: list[dict[str, Any]] = []
    for number in variants:
        label = comparison.variants[number].label
        points = []
        for trial in comparison.of(number):
            for place, user in enumerate(trial.seen.users if trial.seen else (), start=1):
                cost = cost_of(comparison, user)
                if cost < float("inf"):
                    points.append((user.arrival_s if instants else float(place), cost))
        step = -(-len(points) // _POINTS) or 1
        rows += [{"variant": label, "what": "user", "at": at, "cost": cost} for at, cost in points[::step]]
        ranked = sorted(at for at, _ in points)
        if len(ranked) < 2:
            continue
        early, late = (mean(cost_of(comparison, user) for user in half) for half in halves(comparison, number))
        middle = (ranked[(len(ranked) - 1) // 2] + ranked[len(ranked) // 2]) / 2
        for start, end, value in ((ranked[0], middle, early), (middle, ranked[-1], late)):
            rows.append({"variant": label, "what": "half", "at": start, "to": end, "cost": value})
    return rows, instants


def fair_line(comparison: Comparison, variant: int) -> list[tuple[float, float]]:
    """Return (virtual seconds, Jain's index), the mean over the seeds whose run has not ended by then."""
    lines = [trial.seen.jain for trial in comparison.of(variant) if trial.seen and trial.seen.jain]
    if len(lines) < 2:
        return list(lines[0]) if lines else []
    end_s = max(line[-1][0] for line in lines)
    moments = [end_s * step / _MOMENTS for step in range(1, _MOMENTS + 1)]
    found = []
    for before, moment in pairwise([0.0, *moments]):
        values = [_at(line, moment) for line in lines if line[-1][0] > before]
        if values:
            found.append((moment, mean(values)))
    return found


def _at(line: Sequence[tuple[float, float]], moment: float) -> float:
    """The value of the window that holds a moment, or of the next one that has a value; after all the last."""
    return next((value for at, value in line if at >= moment), line[-1][1])
