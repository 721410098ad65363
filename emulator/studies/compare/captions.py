"""What is seen on each chart of a comparison, in a sentence made from its numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from layerlift.emulator.report.formatting import seconds
from layerlift.emulator.studies.compare.comparison import Comparison
from layerlift.emulator.studies.compare.metrics import BY_KEY, UserSeen
from layerlift.emulator.studies.compare.written import plain, scale_of
from layerlift.emulator.studies.fairness.indices import mean, percentile


def cost_of(comparison: Comparison, user: UserSeen) -> float:
    """The slowdown of a user where slowdowns are known, else its mean latency (s)."""
    return user.slowdown if comparison.slow else user.latency_s


def users_of(comparison: Comparison, variant: int) -> list[UserSeen]:
    """Users of a variant with a finite cost, over all seeds."""
    seen = [trial.seen for trial in comparison.of(variant)]
    return [user for one in seen if one for user in one.users if math.isfinite(cost_of(comparison, user))]


def halves(comparison: Comparison, variant: int) -> tuple[list[UserSeen], list[UserSeen]]:
    """The users who came early and those who came late, half and half within each seed, by arrival, then by place."""
    early: list[UserSeen] = []
    late: list[UserSeen] = []
    for trial in comparison.of(variant):
        users = [u for u in trial.seen.users if math.isfinite(cost_of(comparison, u))] if trial.seen else []
        ranked = sorted(users, key=lambda user: user.arrival_s)
        early += ranked[: len(ranked) // 2]
        late += ranked[(len(ranked) + 1) // 2 :]
    return early, late


def spread_told(comparison: Comparison, variants: Sequence[int]) -> str:
    """On the distribution over users."""
    costs = {n: [cost_of(comparison, user) for user in users_of(comparison, n)] for n in variants}
    medians = {number: percentile(values, 0.5) for number, values in costs.items() if values}
    tails = {number: percentile(values, 0.95) for number, values in costs.items() if values}
    if not medians:
        return "No user has a cost."
    low, high = _ends(medians)
    text = f"Half of the users are below {_cost(comparison, medians[low])} under {_label(comparison, low)}"
    if high != low:
        text += f", {_cost(comparison, medians[high])} under {_label(comparison, high)}"
    low, high = _ends(tails)
    text += f"; the slowest twentieth begins at {_cost(comparison, tails[low])}"
    return f"{text} ({_label(comparison, low)}){_to(comparison, tails, low, high)}."


def arrival_told(comparison: Comparison, variants: Sequence[int]) -> str:
    """On early and late users."""
    ratios: dict[int, float] = {}
    for number in variants:
        early, late = (mean(cost_of(comparison, user) for user in half) for half in halves(comparison, number))
        if early > 0 and not math.isnan(late):
            ratios[number] = late / early
    if not ratios:
        return "There are no two halves of users to compare."
    low, high = _ends(ratios)
    text = f"The late half has {plain(ratios[high])} times the cost of the early half under {_label(comparison, high)}"
    return f"{text}, {plain(ratios[low])} times under {_label(comparison, low)}." if low != high else f"{text}."


def trade_told(comparison: Comparison, variants: Sequence[int]) -> str:
    """On fairness against the total."""
    fair = _means(comparison, "jain", variants)
    total = _means(comparison, "total", variants)
    if not fair or not total:
        return "There is no total to compare."
    fairest, most = _ends(fair)[1], _ends(total)[1]
    text = f"Fairest is {_label(comparison, fairest)}, Jain {plain(fair[fairest])}"
    if fairest == most or fairest not in total:
        return f"{text}; it also has the largest total." if fairest == most else f"{text}."
    lost = 1 - total[fairest] / total[most]
    return (
        f"{text}, with a total {lost:.1%} below that of {_label(comparison, most)} (Jain {plain(fair[most])})."
        if most in fair
        else f"{text}."
    )


def time_told(
    comparison: Comparison, variants: Sequence[int], lines: Mapping[int, Sequence[tuple[float, float]]]
) -> str:
    """On Jain's index over time; `lines` are what is drawn."""
    worst = {number: min(lines[number], key=lambda point: point[1]) for number in variants if lines.get(number)}
    if not worst:
        return "There is no window with two users."
    low = min(worst, key=lambda number: worst[number][1])
    high = max(worst, key=lambda number: worst[number][1])
    at_s, value = worst[low]
    text = f"{_label(comparison, low)} is least fair at {seconds(at_s)}, Jain {plain(value)}"
    return text + (f"; {_label(comparison, high)} never falls below {plain(worst[high][1])}." if high != low else ".")


def bars_told(comparison: Comparison, variants: Sequence[int]) -> str:
    """On the main metrics."""
    key = "slowdown_mean_users" if comparison.slow else "latency_mean_users_s"
    found = _means(comparison, key, variants)
    if not found:
        return "No variant has a mean cost."
    low, high = _ends(found)
    text = f"{BY_KEY[key].title.capitalize()} is {_metric(key, found[low])} under {_label(comparison, low)}"
    if low == high:
        return f"{text}."
    apart = comparison.against(key, high) if comparison.baseline(high) == low else comparison.against(key, low)
    told = {low, high} & {n for n in variants if comparison.baseline(n) in (low, high)}
    sure = ""
    if told and apart is not None and apart.n > 1:
        sure = "" if apart.apart else ", which the seeds do not tell apart"
    return f"{text} and {_metric(key, found[high])} under {_label(comparison, high)}{sure}."


def sweep_told(comparison: Comparison, key: str) -> str:
    """On a metric from the first swept value to the last, of each name."""
    said = []
    for name in comparison.names:
        ends = [number for number, variant in enumerate(comparison.variants) if variant.name == name]
        found = _means(comparison, key, ends)
        if len(found) > 1:
            first, last = min(found), max(found)
            said.append(f"from {_metric(key, found[first])} to {_metric(key, found[last])} under {name}")
    values = list(dict.fromkeys(variant.value for variant in comparison.variants))
    if not said:
        return "There is no curve to draw."
    return (
        f"{BY_KEY[key].title.capitalize()} goes, for {comparison.swept} {values[0]} to {values[-1]}, {'; '.join(said)}."
    )


def _means(comparison: Comparison, key: str, variants: Sequence[int]) -> dict[int, float]:
    found = {number: comparison.mean(key, number).mean for number in variants}
    return {number: value for number, value in found.items() if math.isfinite(value)}


def _ends(values: Mapping[int, float]) -> tuple[int, int]:
    return min(values, key=lambda n: values[n]), max(values, key=lambda n: values[n])


def _to(comparison: Comparison, values: Mapping[int, float], low: int, high: int) -> str:
    return "" if low == high else f" to {_cost(comparison, values[high])} ({_label(comparison, high)})"


def _label(comparison: Comparison, variant: int) -> str:
    return comparison.variants[variant].label


def _cost(comparison: Comparison, value: float) -> str:
    return f"slowdown {plain(value)}" if comparison.slow else seconds(value)


def _metric(key: str, value: float) -> str:
    scale = scale_of(BY_KEY[key], (value,))
    return f"{plain(value * scale.factor)}{f' {scale.unit}' if scale.unit else ''}"
