"""Who waited how long: users and their queries from the result tables, and what a user's waiting costs it.

A user's *cost* is its slowdown where the latencies of users alone are known, else its mean latency in seconds; its
*benefit* is 1 / cost. Open queries (failed with `run ended`) enter at their age, which is less than they would have
taken; queries that failed otherwise have no latency, and are counted apart.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from layerlift.emulator.results.rows import OPEN

Alone = Mapping[str, Sequence[float]]
"""Latencies (s) that queries 0, 1, 2, ... of a user take while nobody else is there; the last one stands for later
ones. By user name, by `kind/model`, or by kind: the first of them that is there counts."""


class Waited(NamedTuple):
    """A query, times in virtual seconds."""

    number: int
    asked_s: float
    ended_s: float
    latency_s: float
    """ended - asked; of an open one, its age."""
    state: str
    """answered | open | failed."""


class Person(NamedTuple):
    """A user and its queries in the order of asking."""

    name: str
    kind: str
    model: str
    arrival_s: float
    queries: tuple[Waited, ...]

    @property
    def waits(self) -> tuple[Waited, ...]:
        """The queries that have a latency or an age."""
        return tuple(query for query in self.queries if query.state != "failed")


def people(queries: Any, world: Mapping[str, Any]) -> list[Person]:
    """Return the users of a described world (`layerlift.emulator.world.describe`) in its order, with their rows of
    `queries`.
    """
    asked: dict[str, list[Waited]] = defaultdict(list)
    columns = ("user", "query", "asked_s", "ended_s", "latency_s", "status", "reason")
    for part in queries.select(list(columns)).to_batches():
        for user, number, asked_s, ended_s, latency_s, status, reason in zip(
            *(column.to_pylist() for column in part.columns), strict=True
        ):
            state = "answered" if status == "answered" else "open" if reason == OPEN else "failed"
            asked[user].append(Waited(number, asked_s, ended_s, latency_s, state))
    return [
        Person(
            user["name"],
            user["kind"],
            user["model"],
            float(user["arrival_s"]),
            tuple(sorted(asked[user["name"]], key=lambda query: (query.asked_s, query.number))),
        )
        for user in world["users"]
    ]


def alone_of(person: Person, alone: Alone) -> Sequence[float] | None:
    """Return the latencies of this user alone (s, by query number); None when nobody measured them."""
    for key in (person.name, f"{person.kind}/{person.model}", person.kind):
        if alone.get(key):
            return alone[key]
    return None


def cost(person: Person, waits: Iterable[Waited], alone: Alone | None) -> float:
    """Return what these queries of a user cost it: slowdown (without unit) given `alone`, else mean latency (s).

    Slowdown s = T_shared / T_alone: the sum of the queries' latencies over the sum of what the same queries (by
    number) take alone. An open query younger than it would be alone enters at that: it cannot come sooner. Range
    [0, inf], and below 1 only by luck. nan for no queries, or when `alone` does not know the user.
    Source: slowdown or stretch, M. Bender, S. Chakrabarti, S. Muthukrishnan, SODA 1998.
    """
    chosen = list(waits)
    if not chosen:
        return math.nan
    if alone is None:
        return math.fsum(query.latency_s for query in chosen) / len(chosen)
    known = alone_of(person, alone)
    if known is None:
        return math.nan
    pairs = [(query, known[min(query.number, len(known) - 1)]) for query in chosen]
    shared = math.fsum(max(query.latency_s, least * (query.state == "open")) for query, least in pairs)
    return _over(shared, math.fsum(least for _, least in pairs))


def user_cost(person: Person, alone: Alone | None = None) -> float:
    """Return the cost of a user over the whole run; inf for one whose every query failed, nan for one without any."""
    if person.queries and not person.waits:
        return math.inf
    return cost(person, person.waits, alone)


def query_costs(person: Person, alone: Alone | None = None) -> list[float]:
    """Return the cost of each single query that has a latency or an age."""
    return [cost(person, [query], alone) for query in person.waits]


def benefit(value: float) -> float:
    """Return 1 / cost: the speed of a user as a share of its speed alone, or its queries per second of waiting."""
    return _over(1.0, value)


def envy_pairs(persons: Sequence[Person], costs: Sequence[float], tolerance: float = 0.0) -> list[tuple[str, str]]:
    """Return the pairs (i, j) in which i would have finished sooner with what j was granted, as far as tables tell.

    Tables hold what j got from its grant, not what i would have got from it. For users of one kind and one model,
    who differ in drawn numbers only, that is the same but for the device, which slowdown divides out: i would have had
    j's slowdown. So i envies j if they are of one kind and model and cost_i > (1 + tolerance) cost_j. Between users of
    different kinds or models nothing is said: what one would have made of the other's layers is not in the tables.
    `costs` belong to `persons`; users without a cost (nan) envy nobody. Source: envy-freeness, D. Foley, 1967; as an
    axiom of shared servers, Ghodsi et al., NSDI 2011.
    """
    pairs = []
    for group in _alike(persons, costs):
        for own, name in group:
            pairs += [(name, other) for less, other in group if own > (1 + tolerance) * less]
    return pairs


def envy_share(persons: Sequence[Person], costs: Sequence[float], tolerance: float = 0.0) -> float:
    """Return the share of the comparable pairs (one kind and model) in which one envies the other, in [0, 1].

    Envy is that of `envy_pairs`, counted without listing it. nan when no two users are comparable.
    """
    envious = possible = 0
    for group in _alike(persons, costs):
        limits = [(1 + tolerance) * less for less, _ in group]
        envious += sum(bisect_left(limits, own) for own, _ in group)
        possible += len(group) * (len(group) - 1) // 2
    return envious / possible if possible else math.nan


def deadline_attainment(waits: Iterable[Waited], deadline_s: float) -> float:
    """Return the share of queries answered within the deadline (s, from asking), in [0, 1].

    A failed query and an open one that is older than the deadline have missed it; a younger open one is undecided and
    left out. nan without queries. Source: miss ratio, J. Stankovic et al., Deadline Scheduling for Real-Time Systems.
    """
    decided = [query for query in waits if query.state != "open" or query.latency_s > deadline_s]
    met = sum(query.state == "answered" and query.latency_s <= deadline_s for query in decided)
    return met / len(decided) if decided else math.nan


def _alike(persons: Sequence[Person], costs: Sequence[float]) -> list[list[tuple[float, str]]]:
    groups: dict[tuple[str, str], list[tuple[float, str]]] = defaultdict(list)
    for person, value in zip(persons, costs, strict=True):
        if not math.isnan(value):
            groups[person.kind, person.model].append((value, person.name))
    return [sorted(group) for group in groups.values()]


def _over(above: float, below: float) -> float:
    if above == below:
        return 1.0
    return above / below if below else math.inf
