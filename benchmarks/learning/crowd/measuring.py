"""What a crowd gets in one run, and what is kept of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.learning.crowd.worlds import Case
from layerlift.emulator.results.sums import quantile
from layerlift.emulator.results.versions import versions
from layerlift.emulator.run import run
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.studies.fairness.indices import jain
from layerlift.emulator.studies.learning.crowd.rollouts import UNANSWERED, times
from layerlift.emulator.studies.many import Kept, Outcome, outcomes
from layerlift.models.errors import RunError
from layerlift.models.loading.disk_cache import cache_dir
from layerlift.models.sums import left_sum


@dataclass(frozen=True, slots=True)
class Seen:
    """What users got, beside what they have at home. Times in seconds, ratios to home."""

    ratio: float
    """The mean over users of mean latency over that at home."""
    latency_s: float
    """The mean over users of mean latency."""
    p95_s: float
    """Of all answered queries."""
    worst: float
    """The ratio of the user who fares worst."""
    tail: float
    """The largest ratio of a user's 99th percentile to that at home."""
    jain: float
    """Jain's index of 1 / ratio."""


def seen(found: Outcome, home: Outcome) -> Seen:
    """The numbers of one run; users who are never answered count as in training."""
    ratios, tails, means = [], [], []
    for user, (alone_s, alone_p99_s) in sorted(home["users"].items()):
        mean_s, p99_s = found["users"].get(user, (UNANSWERED * alone_s, UNANSWERED * alone_p99_s))
        ratios.append(mean_s / alone_s)
        tails.append(p99_s / alone_p99_s)
        means.append(mean_s)
    return Seen(
        left_sum(ratios) / len(ratios), left_sum(means) / len(means), found["p95_s"], max(ratios), max(tails),
        jain(1.0 / ratio for ratio in ratios),
    )  # fmt: skip


def measured(case: Case) -> Outcome:
    """Make the run of a case."""
    settings = ["execution=none", "sample_s=null", *case.crowd.settings, *case.way.settings, f"seed={case.seed}"]
    result = run(Scenario.load(case.crowd.scenario, settings), local=True)
    users = {user: list(each) for user, each in times(result).items()}
    answered = zip(*(result.queries[name].to_pylist() for name in ("status", "latency_s")), strict=True)
    every = sorted(latency_s for status, latency_s in answered if status == "answered")
    return {"users": users, "p95_s": quantile(every, 0.95), "digest": result.digest}


def store() -> Kept:
    """Where outcomes are kept, so that a long table can be made in parts."""
    return Kept(cache_dir() / "learned_crowd.jsonl", versions()["layerlift"], _sound)


def _sound(found: Any) -> bool:
    try:
        pairs = [(float(mean), float(p99)) for mean, p99 in found["users"].values()]
        return (
            bool(pairs)
            and all(math.isfinite(mean) and math.isfinite(p99) for mean, p99 in pairs)
            and (math.isfinite(found["p95_s"]))
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


def found(cases: Iterable[Case], kept: Kept) -> Mapping[Case, Outcome]:
    """The outcomes of cases; those that are not kept are made. Raises `RunError`."""
    return dict(each_found(cases, kept))


def each_found(cases: Iterable[Case], kept: Kept) -> Iterator[tuple[Case, Outcome]]:
    """The outcomes of cases as they come, on all CPUs; those that are kept first. Raises `RunError`."""
    asked = list(cases)
    for number, outcome in outcomes(measured, asked, local=False, kept=kept):
        if "failed" in outcome:
            raise RunError(f"{asked[number].told()}: {outcome['failed']}")
        yield asked[number], outcome
