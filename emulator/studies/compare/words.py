"""Sentences on what differs between the variants of a comparison."""

from __future__ import annotations

import math

from layerlift.emulator.studies.compare.comparison import Comparison
from layerlift.emulator.studies.compare.metrics import BY_KEY
from layerlift.emulator.studies.compare.written import scale_of, shown


def verdicts(comparison: Comparison) -> list[str]:
    """Return a sentence for each variant on what it mends and costs against its baseline.

    It tells the cost of users (mean and worst), Jain's index, answers and the total benefit. What a paired interval
    does not tell from 0 is said to be undecided. Of a sweep of several variants it is the last value's.
    """
    cost = ("slowdown_mean_users", "slowdown_worst_user") if comparison.slow else ("latency_mean_users_s",)
    said = []
    last = comparison.variants[-1].value if len(comparison.names) > 1 else ""
    for number, variant in enumerate(comparison.variants):
        first = comparison.baseline(number)
        if first is None or not comparison.of(number) or (last and variant.value != last):
            continue
        keys = (*cost, *_planned(comparison, number, first), "jain", "answered")
        told = [text for key in keys if (text := _change(comparison, key, number, first))]
        total = _loss(comparison, number, first)
        told += [total] if total else []
        if told:
            said.append(f"{variant.label} against {comparison.variants[first].label}: {'; '.join(told)}.")
    return said


def _planned(comparison: Comparison, number: int, first: int) -> tuple[str, ...]:
    """Slowdowns are against a user alone with its own planner: between planners latencies have to tell."""
    planners = {comparison.variants[n].planner for n in (number, first)}
    return ("latency_mean_users_s",) if comparison.slow and len(planners) > 1 else ()


def _change(comparison: Comparison, key: str, number: int, first: int) -> str:
    apart, metric = comparison.against(key, number), BY_KEY[key]
    if apart is None or math.isnan(apart.mean):
        return ""
    before, after = comparison.mean(key, first), comparison.mean(key, number)
    scale = scale_of(metric, (before.mean, after.mean))
    if apart.mean == 0 and not apart.half > 0:
        return "" if metric.unit == "count" else f"{metric.title} the same"
    span = (
        f"{shown(before._replace(half=math.nan), scale.factor)} to {shown(after._replace(half=math.nan), scale.factor)}"
    )
    unit = f" {scale.unit}" if scale.unit else ""
    if apart.n > 1 and not apart.apart and math.isfinite(apart.mean):
        return f"{metric.title} {span}{unit}, undecided ({shown(apart, scale.factor, signed=True)})"
    sure = f" ({shown(apart, scale.factor, signed=True)})" if apart.n > 1 else ""
    return f"{metric.title} {'rises' if apart.mean > 0 else 'falls'} from {span}{unit}{sure}"


def _loss(comparison: Comparison, number: int, first: int) -> str:
    """What of the first's total benefit is lost, as a share of it, seed by seed."""
    if not comparison.variants[number].world or comparison.variants[number].world != comparison.variants[first].world:
        return ""
    own, other = comparison.values("total", number), comparison.values("total", first)
    ratios = [own[seed] / other[seed] - 1 for seed in own if 0 < other.get(seed, 0.0) < math.inf]
    if not ratios or not all(map(math.isfinite, ratios)):
        return ""
    change = math.fsum(ratios) / len(ratios)
    if abs(change) < 5e-4:
        return "total benefit the same"
    return f"total benefit {abs(change):.1%} {'higher' if change > 0 else 'lower'}"
