"""What is compared: numbers of one run, each with its name, unit and which way is better; and what its users saw."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from layerlift.emulator.report.formatting import NOT_GIVEN, NOTHING
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.studies.fairness.indices import mean
from layerlift.emulator.studies.fairness.measure import fairness
from layerlift.emulator.studies.fairness.people import Alone, benefit, people, user_cost
from layerlift.models.errors import RunError

Better = Literal["more", "less", "zero", ""]


class Metric(NamedTuple):
    """One number of a run."""

    key: str
    title: str
    unit: str
    """s | J | USD | share (of 1) | count | number (without unit)."""
    better: Better
    """Which is better: more, less, or nearer to zero; empty where neither is."""
    missing: str = NOTHING
    """What is shown of a run that has no such number."""


METRICS: Final = (
    Metric("answered", "queries answered", "count", "more"),
    Metric("open", "queries open at the end", "count", "less"),
    Metric("failed", "queries failed", "count", "less"),
    Metric("latency_mean_queries_s", "latency, mean over queries", "s", "less"),
    Metric("latency_p95_queries_s", "latency, p95 over queries", "s", "less"),
    Metric("latency_mean_users_s", "latency, mean over users", "s", "less"),
    Metric("latency_p95_users_s", "latency, p95 over users", "s", "less"),
    Metric("slowdown_mean_queries", "slowdown, mean over queries", "number", "less"),
    Metric("slowdown_p95_queries", "slowdown, p95 over queries", "number", "less"),
    Metric("slowdown_mean_users", "slowdown, mean over users", "number", "less"),
    Metric("slowdown_p95_users", "slowdown, p95 over users", "number", "less"),
    Metric("slowdown_worst_user", "slowdown, worst user", "number", "less"),
    Metric("jain", "Jain's index", "number", "more"),
    Metric("min_max", "min/max", "number", "more"),
    Metric("gini", "Gini", "number", "less"),
    Metric("envy", "envious pairs", "share", "less"),
    Metric("starved", "starved", "share", "less"),
    Metric("unanswered", "users without any answer", "share", "less"),
    Metric("arrival_bias", "arrival bias", "number", "zero"),
    Metric("fairness_ratio", "fairness ratio at worst", "number", "more"),
    Metric("disruptions", "disruptions", "count", "less"),
    Metric("disruptions_most", "disruptions, most per arrival", "count", "less"),
    Metric("deadline_queries", "in time, over queries", "share", "more"),
    Metric("deadline_users", "in time, over users", "share", "more"),
    Metric("total", "total benefit", "number", "more"),
    Metric("price", "price of fairness", "share", "less"),
    Metric("busy_share", "servers busy", "share", ""),
    Metric("node_balance", "node imbalance (cv)", "number", "less"),
    Metric("coordination", "coordination of plans", "number", "more", NOT_GIVEN),
    Metric("energy_j", "energy", "J", "less", NOT_GIVEN),
    Metric("money", "money", "USD", "less", NOT_GIVEN),
    Metric("upload_s", "upload, mean over users", "s", "less"),
    Metric("plans_failed", "plans that failed", "count", "less"),
)
BY_KEY: Final = {metric.key: metric for metric in METRICS}


class UserSeen(NamedTuple):
    """What one user met; nan where it has no value."""

    arrival_s: float
    latency_s: float
    slowdown: float


class Seen(NamedTuple):
    """What is kept of a run for comparing it: small, and plain values only."""

    numbers: dict[str, float]
    """By `Metric.key`, all but the price; nan where the run has no such value."""
    users: tuple[UserSeen, ...]
    jain: tuple[tuple[float, float], ...]
    """(end of a window in virtual seconds, Jain's index in it)."""
    digest: str
    note: str = ""
    """A sentence about what is to be known of the run."""


def see(result: RunResult, alone: Alone | None = None, yardstick: Alone | None = None) -> Seen:
    """Take from a run what is compared. Pure.

    `alone` are the latencies that slowdowns are against (`layerlift.emulator.studies.fairness.alone`), those of a
    user alone under the run's own planner and policy; `yardstick` those that the total benefit is against: sum over
    users of yardstick latency / latency. It must be one for all runs whose totals are compared; `alone` when left out.
    Raises `RunError` when the run's tables cannot be read.
    """
    found = fairness(result, alone)
    everybody, summary = found["all"], result.summary
    slow = everybody["slowdown"] or {"queries": None, "users": None}
    latency, ratio = everybody["latency_s"], found["fairness_ratio"] or {}
    spans = [
        user["upload"]["ended_s"] - user["upload"]["began_s"]
        for user in summary["users"]
        if user["upload"]["state"] == "complete"
    ]
    reasons: Counter[str] = Counter()
    for user in summary["users"]:
        reasons.update(user["plans_failed"])
    numbers = {
        **{key: everybody[key] for key in ("answered", "open", "failed", "jain", "min_max", "gini", "envy")},
        **{key: everybody[key] for key in ("unanswered", "arrival_bias")},
        **{key: found[key] for key in ("starved", "busy_share", "node_balance", "energy_j", "money")},
        **_spread("latency", latency, "_s"),
        **_spread("slowdown", slow, ""),
        "slowdown_worst_user": (slow["users"] or {}).get("max"),
        "fairness_ratio": ratio.get("min"),
        "disruptions": found["disruptions"]["all"],
        "disruptions_most": found["disruptions"]["most"],
        "deadline_queries": everybody["deadline"]["queries"],
        "deadline_users": everybody["deadline"]["users"],
        "total": _total(result, alone if yardstick is None else yardstick),
        "coordination": summary["totals"]["coordination"],
        "upload_s": mean(spans),
        "plans_failed": sum(reasons.values()),
    }
    return Seen(
        {key: _float(value) for key, value in numbers.items()},
        tuple(
            UserSeen(user["arrival_s"], _float(user["latency_s"]), _float(user["slowdown"])) for user in found["users"]
        ),
        tuple((row["to_s"], _float(row["jain"])) for row in found["windows"] if row["jain"] is not None),
        result.digest,
        _note(result, reasons),
    )


def _spread(what: str, both: Mapping[str, Any], unit: str) -> dict[str, Any]:
    return {
        f"{what}_{point}_{over}{unit}": (both[over] or {}).get(point)
        for over in ("queries", "users")
        for point in ("mean", "p95")
    }


def _total(result: RunResult, yardstick: Alone | None) -> float:
    if "world" not in result.run:
        raise RunError("the run has no `world` in its run.json, expected that of a finished run: run it again")
    costs = [user_cost(person, yardstick) for person in people(result.queries, result.run["world"])]
    return math.fsum(benefit(value) for value in costs if not math.isnan(value))


def _note(result: RunResult, reasons: Counter[str]) -> str:
    said = [] if result.complete else [f"the run is {result.standing}: its numbers are those so far"]
    if reasons:
        reason, _ = reasons.most_common(1)[0]
        said.append(f"{sum(reasons.values())} plans failed and left their users local: {reason}")
    return "; ".join(said)


def _float(value: float | str | None) -> float:
    return math.nan if value is None else float(value)
