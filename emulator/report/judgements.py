"""What a report says of its own numbers: one line for each thing that a reader should not overlook.

Each judgement is a pure function of a run's tables, summary and run.json; it returns its line, or None where it is not
due. docs/results.md has the thresholds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from layerlift.emulator.report.bottlenecks import binding, unlimited
from layerlift.emulator.report.demand import demand_above_capacity, growing_queues
from layerlift.emulator.report.formatting import count
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.results.sums import quantile

FAR_ABOVE: Final = 1.5
"""What was seen is far above what was promised from so many times on."""


def judgements(result: RunResult) -> list[str]:
    """All lines that are due, the gravest first. Raises `RunError` when the run's tables cannot be read."""
    summary, run = result.summary, result.run
    found = [
        answers_that_are_nan(result.measured),
        demand_above_capacity(result.queries, result.segments, run.get("world") or {}),
        growing_queues(result.queries, run.get("world") or {}, summary["totals"]["virtual_s"]),
        far_above_promised(summary),
        binding(result.table, run.get("world") or {}, summary["totals"]["virtual_s"], run.get("media")),
        unlimited(summary, run),
        without_regression(run.get("world") or {}),
    ]
    return [line for line in found if line is not None]


def answers_that_are_nan(measured: Any) -> str | None:
    """Answers with values that are NaN or infinite: they were not compared, and say little of the network."""
    rows = zip(*(measured[name].to_pylist() for name in ("kind", "user", "query")), strict=True)
    users = Counter(user for kind, user, _ in rows if kind == "not_a_number")
    if not users:
        return None
    return (
        f"{count(users.total(), 'answer')} of {count(len(users), 'user')} held values that are NaN or infinite: output "
        "errors are of the other values only, and there is none where all were so; give it inputs that suit it."
    )


def far_above_promised(summary: Mapping[str, Any]) -> str | None:
    """Users whose queries take far longer, once all is uploaded, than a user alone was promised."""
    ratios = {}
    for user in summary["users"]:
        ratio = above_promised(user)
        if ratio is not None:
            ratios[user["user"]] = ratio
    above = sorted(ratio for ratio in ratios.values() if ratio >= FAR_ABOVE)
    if not above:
        return None
    worst = max(ratios, key=lambda name: ratios[name])
    of = f"{len(above):,} of {count(len(ratios), 'user')}"
    middle = f"{quantile(above, 0.5):.3g} times in the median of these, " if len(above) > 1 else ""
    return f"Seen far above promised ({FAR_ABOVE:g} times or more) by {of}: {middle}{above[-1]:.3g} times for {worst}."


def above_promised(user: Mapping[str, Any]) -> float | None:
    """Median latency once all is uploaded over the promised one; None where there is not both.

    Queries that follow each other closely wait for each other: of a stream the promise is `stream_s`, if that is more.
    """
    plan = user["plan"]
    after = user["latency_s"]["before" if user["upload"]["state"] == "none" else "after"]
    if plan is None or after is None or not plan["predicted_s"]:
        return None
    return float(after["median"] / max(plan["predicted_s"], plan.get("stream_s", 0.0)))


def without_regression(world: Mapping[str, Any]) -> str | None:
    """Operators whose seconds a planner was told by the general regression, for want of one of their own."""
    if (world.get("planning") or {}).get("predictions") != "regression":
        return None
    told = {
        model["name"]: (model.get("unpredicted") or {}, model.get("unpredicted_share", 0.0))
        for model in world.get("models", ())
    }
    found = {name: entry for name, entry in told.items() if entry[0]}
    if not found:
        return None
    shown = "; ".join(
        f"{name}, {share:.1%} of the time: {', '.join(f'{operator} ({number})' for operator, number in layers.items())}"
        for name, (layers, share) in found.items()
    )
    return f"Layers without a regression of their operator, predicted by their elements alone: {shown}."
