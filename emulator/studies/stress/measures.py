"""What is kept of a run for a report card: a value of each user against its own home, and what it cost others."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.studies.fairness.indices import jain, percentile
from layerlift.emulator.studies.fairness.people import Person, people, user_cost
from layerlift.models.sums import int_sum, left_sum

MOST: Final = 100.0
"""A user who fares worse than this many times its home counts as this: one of them must not outweigh a crowd."""
NUMBERS: Final = (
    "value", "p95", "worst", "jain", "missed", "refused", "plans_failed", "disruptions", "wasted_mb", "waited_s",
    "late_comers", "money",
)  # fmt: skip
"""Numbers of an outcome; None where a run has no such value."""


def measured(result: RunResult, dearest: Mapping[str, float]) -> dict[str, Any]:
    """Take from a run what a card shows; `dearest` is what the dearest server takes for a whole query, by user.

    `value` is the mean over users of what a query costs against the same at home (`_value`), `p95` and `worst` are
    over users, `jain` is of the inverse values. `missed`: share of queries that failed or came after their user's
    deadline. `refused`: share of the attempts to upload a part; `plans_failed`: share of plans that were no plans.
    `wasted_mb` crossed links for nothing; `waited_s` is the longest time from a refusal, or from losing a part, to the
    next admission of the same user, `late_comers` the mean value of the later half of the users by that of the
    earlier. `money` is what an answer in time cost (USD), over all users. `why` is the first reason of a plan that
    failed.
    """
    world, summary = result.run["world"], result.summary
    persons = people(result.queries, world)
    told = {user["name"]: user for user in world["users"]}
    seen = {user["user"]: user for user in summary["users"]}
    homes = _homes(result)
    values = {
        person.name: _dear(person, told[person.name], seen[person.name], dearest[person.name])
        if person.name in dearest
        else _value(person, told[person.name], seen[person.name], homes[person.name], _power(world, person.name))
        for person in persons
        if person.queries and person.name in homes
    }
    known = list(values.values())
    plans = result.plans.select(["status", "reason"]).to_pylist()
    failed = [row["reason"] for row in plans if row["status"] != "accepted"]
    uploads = result.table("uploads").select(["status"]).column("status").to_pylist()
    return {
        "value": _mean(known),
        "p95": percentile(known, 0.95) if known else None,
        "worst": max(known, default=None),
        "jain": jain([1.0 / max(value, 1e-9) for value in known]) if known else None,
        "missed": _missed(persons, told),
        "refused": uploads.count("refused") / len(uploads) if uploads else 0.0,
        "plans_failed": len(failed) / len(plans) if plans else 0.0,
        "disruptions": int_sum(user["disruptions"] for user in summary["users"]),
        "wasted_mb": int_sum(user["wasted_bytes"] for user in summary["users"]) / 2**20,
        "waited_s": _waited(result, float(summary["totals"]["virtual_s"])),
        "late_comers": _late_comers(persons, values),
        "money": _money(persons, told, seen),
        "why": failed[0][:300] if failed else "",
        "digest": result.digest,
    }


def timing(result: RunResult, cpu_s: float) -> dict[str, float]:
    """Seconds on this machine: of plans (of equal ones the first), and of the run."""
    rows = result.table("measured").select(["kind", "value"]).to_pylist()
    took = [row["value"] for row in rows if row["kind"] == "planning_s"]
    return {
        "cpu_s": cpu_s,
        "plan_s": statistics.median(took) if took else 0.0,
        "plan_most_s": max(took, default=0.0),
    }


def _homes(result: RunResult) -> dict[str, float]:
    """What a query takes at home (s), by the first plan of each user."""
    found: dict[str, float] = {}
    for row in result.plans.select(["user", "local_s"]).to_pylist():
        found.setdefault(row["user"], row["local_s"])
    return found


def _power(world: Mapping[str, Any], user: str) -> float:
    """Watts of a user's client while it computes."""
    client = next(each["client"] for each in world["users"] if each["name"] == user)
    node = next(each for each in world["nodes"] if each["name"] == client)
    return float(node["idle_w"]) + float(node["compute_w"])


def _dear(person: Person, told: Mapping[str, Any], seen: Mapping[str, Any], dearest: float) -> float:
    """What a query costs a user who wants little money, by what the dearest server takes for one, in [0, `MOST`].

    One that fails or comes late counts as if it had been bought there: who saves money by missing saves nothing.
    """
    timely, missed = _counted(person, told)
    spent = float(seen["money"]["total"] or 0.0) / dearest if dearest else 0.0
    return min((spent + missed) / (timely + missed), MOST) if timely + missed else 1.0


def _money(
    persons: Sequence[Person], told: Mapping[str, Mapping[str, Any]], seen: Mapping[str, Mapping[str, Any]]
) -> float | None:
    """What an answer in time cost (USD); None where nothing was paid, or there was none."""
    spent = left_sum([float(seen[person.name]["money"]["total"] or 0.0) for person in persons])
    timely = int_sum(_counted(person, told[person.name])[0] for person in persons)
    return spent / timely if spent and timely else None


def _value(person: Person, told: Mapping[str, Any], seen: Mapping[str, Any], home_s: float, watts: float) -> float:
    """What a query costs a user against the same at home, in [0, `MOST`].

    By the weights of its objective: mean latency over that at home; the client's energy for each answer over that of
    computing it at home. Money has no home, so it counts only where neither of these does (`_dear`).
    """
    wanted = told.get("objective") or {}
    latency, energy = float(wanted.get("latency", 1.0)), float(wanted.get("energy", 0.0))
    answered = int(seen["answered"])
    terms, weights = [], []
    if latency or not energy:
        terms.append(user_cost(person) / home_s if home_s else MOST)
        weights.append(latency or 1.0)
    if energy and watts:
        each_j = float(seen["energy_j"] or 0.0) / answered if answered else math.inf
        terms.append(each_j / (home_s * watts) if home_s else MOST)
        weights.append(energy)
    capped = [MOST if math.isnan(term) else min(term, MOST) for term in terms]
    parts = [weight * term for weight, term in zip(weights, capped, strict=True)]
    return left_sum(parts) / left_sum(weights) if weights else MOST


def _missed(persons: Sequence[Person], told: Mapping[str, Any]) -> float:
    """Share of the decided queries that failed, or were not answered by their deadline."""
    counted = [_counted(person, told[person.name]) for person in persons]
    timely, missed = (int_sum(each[at] for each in counted) for at in (0, 1))
    return missed / (timely + missed) if missed else 0.0


def _counted(person: Person, told: Mapping[str, Any]) -> tuple[int, int]:
    """How many of a user's queries were answered in time, and how many failed or came late."""
    limit = (told.get("objective") or {}).get("deadline_s")
    timely = missed = 0
    for query in person.queries:
        late = limit is not None and query.latency_s > limit
        missed += query.state == "failed" or late
        timely += query.state == "answered" and not late
    return timely, missed


def _waited(result: RunResult, ended_s: float) -> float:
    """The longest that a user went without what it asked servers for: to an admission, its leaving, or the end."""
    since: dict[str, float] = {}
    longest = 0.0
    for row in result.table("allocations").select(["at_s", "user", "event"]).to_pylist():
        if row["event"] in ("refused", "evicted"):
            since.setdefault(row["user"], row["at_s"])
        elif row["user"] in since:
            longest = max(longest, row["at_s"] - since.pop(row["user"]))
    left = {user["name"]: user["arrival_s"] + (user["stay_s"] or math.inf) for user in result.run["world"]["users"]}
    for user, at_s in since.items():
        longest = max(longest, min(ended_s, left.get(user, ended_s)) - at_s)
    return longest


def _late_comers(persons: Sequence[Person], values: Mapping[str, float]) -> float | None:
    """Mean value of the later half of users by that of the earlier; None where all come at once."""
    here = sorted((person for person in persons if person.name in values), key=lambda person: person.arrival_s)
    half = len(here) // 2
    if not half or here[0].arrival_s == here[-1].arrival_s:
        return None
    early, late = _mean([values[p.name] for p in here[:half]]), _mean([values[p.name] for p in here[-half:]])
    return late / early if late is not None and early else None


def _mean(values: Sequence[float]) -> float | None:
    return left_sum(values) / len(values) if values else None
