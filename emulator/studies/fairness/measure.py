"""How fair a run was: from its result tables, for all users and each kind, at the end and over time.

What is measured of a user is its cost (`layerlift.emulator.studies.fairness.people`): slowdown against running alone
when the latencies alone are given, else mean latency. Indices (`layerlift.emulator.studies.fairness.indices`) are of
the benefits 1 / cost. Pure functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.studies.fairness.indices import (
    alpha_welfare,
    disruptions_per_arrival,
    even_equivalent,
    indices,
    mean,
    percentile,
    price_of_fairness,
    spearman,
)
from layerlift.emulator.studies.fairness.people import (
    Alone,
    Person,
    benefit,
    deadline_attainment,
    envy_share,
    people,
    query_costs,
    user_cost,
)
from layerlift.emulator.studies.fairness.shares import (
    disruptions,
    window_edges,
)
from layerlift.emulator.studies.fairness.windows import over_time
from layerlift.models.errors import RunError

ALPHAS: Final = (0.0, 1.0, 2.0, math.inf)
TOLERANCE: Final = 0.05
"""How much sooner (relative) another must be done before the report calls it envy."""


def fairness(
    result: RunResult, alone: Alone | None = None, *, best_total: float | None = None, most_windows: int = 60
) -> dict[str, Any]:
    """Return the fairness of a run as JSON (None where something has no value, `"inf"` for infinity).

    `cost`: what is measured, `slowdown` or `latency_s`. `all`: everybody (`group`). `kinds`: the same per kind of user,
    with energy (J) and money (USD). `users`: each one. `windows`: over time, at most `most_windows` of them.
    `starved`: starvation share over the waiting users of all windows; `fairness_ratio`: its spread over windows.
    `servers`: utilisation in [0, 1]; `node_balance`: its coefficient of variation over servers. `disruptions`: how
    many in all, and the most and the mean per arrival. `best_total` is the best sum of benefits known for the same
    users (of another run); without it the price of fairness is against everybody running alone, a bound on it.
    Raises `RunError` when the run's tables cannot be read.
    """
    world = result.run.get("world")
    if world is None:
        raise RunError("the run has no `world` in its run.json, expected that of a finished run: run it again")
    result.check_names()
    summary = result.summary
    persons = people(result.queries, world)
    deadlines = deadlines_of(world)
    by_kind = {entry["kind"]: entry for entry in summary["kinds"]}
    kinds = []
    for kind, entry in by_kind.items():
        members = [person for person in persons if person.kind == kind]
        spent = {"energy_j": entry["energy_j"], "money": entry["money"]}
        kinds.append({"kind": kind, **group(members, alone, deadlines), **spent})
    ended_s = float(summary["totals"]["virtual_s"])
    edges = window_edges(ended_s, float(world["sample_s"]), most_windows)
    taken = disruptions_per_arrival((person.arrival_s for person in persons), disruptions(result.table))
    servers = summary["servers"]
    windows = over_time(result.table, world, persons, edges, alone)
    waiting = [row for row in windows if row["waiting"]]
    found = {
        "cost": "latency_s" if alone is None else "slowdown",
        "all": group(persons, alone, deadlines, best_total),
        "kinds": kinds,
        "users": [_user(person, alone) for person in persons],
        "windows": windows,
        "starved": mean(row["starved"] for row in waiting for _ in range(row["waiting"])),
        "fairness_ratio": spread_of(row["fairness_ratio"] for row in waiting),
        "servers": [
            {key: entry[key] for key in ("name", "tier", "busy_share", "energy_j", "money")} for entry in servers
        ],
        "busy_share": summary["totals"]["busy_share"],
        "node_balance": summary["totals"]["node_balance"],
        "energy_j": summary["totals"]["energy_j"],
        "money": summary["totals"]["money"],
        "disruptions": {"all": sum(taken), "most": max(taken, default=0), "mean": mean(taken)},
    }
    return dict(_jsonable(found))


def group(
    persons: Sequence[Person],
    alone: Alone | None = None,
    deadlines: Mapping[str, float] | None = None,
    best_total: float | None = None,
) -> dict[str, Any]:
    """Return the fairness among some users over the whole run.

    `latency_s` and `slowdown` over queries and over users (each user's mean first); the indices of the benefits;
    `welfare` and its `even_equivalent` by alpha; `envy`: share of comparable pairs (`envy_share`, 5 % tolerance);
    `unanswered`: share of the users with a query who had no answer at all; `arrival_bias`: Spearman of arrival
    instant with cost, above 0 when late users fare worse; `deadline`: attainment over queries and over users, by
    users' own deadlines; `price`: price of fairness. Users without any query are left out. Welfare and price against
    everybody alone need slowdowns: 1 - mean(1/s).
    """
    asked = [person for person in persons if person.queries]
    costs = [user_cost(person, alone) for person in asked]
    known = [(person, value) for person, value in zip(asked, costs, strict=True) if not math.isnan(value)]
    benefits = [benefit(value) for _, value in known]
    total = math.fsum(benefits)
    best = best_total if best_total is not None else float(len(known)) if alone is not None else math.nan
    states = [query.state for person in asked for query in person.queries]
    slow = _both(asked, alone) if alone is not None else None
    return {
        "users": len(persons),
        "asked": len(states),
        **{state: states.count(state) for state in ("answered", "open", "failed")},
        "latency_s": _both(asked, None),
        "slowdown": slow,
        **indices(benefits),
        "welfare": {f"{alpha:g}": alpha_welfare(benefits, alpha) for alpha in ALPHAS},
        "even_equivalent": {f"{alpha:g}": even_equivalent(benefits, alpha) for alpha in ALPHAS},
        "envy": envy_share([person for person, _ in known], [value for _, value in known], TOLERANCE),
        "unanswered": mean(all(query.state != "answered" for query in person.queries) for person in asked),
        "arrival_bias": spearman([person.arrival_s for person, _ in known], [value for _, value in known]),
        "deadline": deadline_of(asked, deadlines or {}),
        "price": price_of_fairness(total, best) if best > 0 else math.nan,
    }


def deadline_of(persons: Iterable[Person], deadlines: Mapping[str, float]) -> dict[str, float]:
    """Return deadline attainment over queries and over users (the mean of the users' own), each in [0, 1].

    `deadlines` are seconds by user; users without one are left out.
    """
    bound = [person for person in persons if person.name in deadlines]
    marks: list[tuple[float, int]] = []
    for person in bound:
        limit = deadlines[person.name]
        decided = [q for q in person.queries if q.state != "open" or q.latency_s > limit]
        if decided:
            marks.append((deadline_attainment(decided, limit), len(decided)))
    count = sum(number for _, number in marks)
    met = math.fsum(share * number for share, number in marks)
    return {"queries": met / count if count else math.nan, "users": mean(share for share, _ in marks)}


def deadlines_of(world: Mapping[str, Any]) -> dict[str, float]:
    """Return the deadlines (s) of the users whose objective has one, by name, from a described world."""
    found = {user["name"]: (user.get("objective") or {}).get("deadline_s") for user in world["users"]}
    return {name: float(limit) for name, limit in found.items() if limit is not None}


def spread_of(values: Iterable[float]) -> dict[str, float] | None:
    """Return count, mean, min, median, p95, p99 and max (percentiles linear between ranks); None of nothing.

    Values may be infinite; nan are left out.
    """
    found = [value for value in values if not math.isnan(value)]
    if not found:
        return None
    points = {"min": 0.0, "median": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {"count": len(found), "mean": mean(found), **{name: percentile(found, at) for name, at in points.items()}}


def _both(persons: Sequence[Person], alone: Alone | None) -> dict[str, Any]:
    return {
        "queries": spread_of(value for person in persons for value in query_costs(person, alone)),
        "users": spread_of(user_cost(person, alone) for person in persons),
    }


def _user(person: Person, alone: Alone | None) -> dict[str, Any]:
    states = [query.state for query in person.queries]
    return {
        "user": person.name,
        "kind": person.kind,
        "model": person.model,
        "arrival_s": person.arrival_s,
        **{state: states.count(state) for state in ("answered", "open", "failed")},
        "latency_s": user_cost(person),
        "slowdown": user_cost(person, alone) if alone is not None else None,
    }


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value
