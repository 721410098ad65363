"""What a policy promises its users, measured on random servers and claims: no run, only its own answers.

A user's speed is how fast it could go with nothing but its grant, 1 being full speed: the least, over memory, CPU and
link, of what it has by what it needs.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Final

from layerlift.emulator.policies.allocation import LEAST, Capacity, Claim, Grant, Policy
from layerlift.emulator.policies.registry import make
from layerlift.emulator.policies.testing import sound
from layerlift.emulator.world import streams
from layerlift.models.sums import left_sum

SERVERS: Final = 200
_SLACK: Final = 1e-6
_MB: Final = float(2**20)


@dataclass(frozen=True, slots=True)
class Axioms:
    """Over so many random servers; shares are of users, or of pairs of users, in [0, 1]."""

    policy: str
    servers: int
    sharing_broken: float
    """Share of users who would be faster alone with 1/n of everything: no incentive to share."""
    sharing_worst: float
    """The least speed of a user by that alone with 1/n; 1 and above: the incentive is kept."""
    envious: float
    """Share of pairs in which one would be faster with the other's grant."""
    liars: float
    """Share of users who are faster when they claim twice what they need of everything."""
    liars_gain: float
    """Mean speed of who claims twice what it needs, by that of who claims what it needs."""
    starved: float
    """Share of users who want something and can do next to nothing with their grant."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def axioms(text: str, servers: int = SERVERS) -> Axioms:
    """Measure them. Raises what `make` raises, and `PolicyError` for answers that no server can use."""
    policy = make(text)
    alone: list[float] = []
    envious: list[bool] = []
    lied: list[tuple[float, float]] = []
    speeds: list[float] = []
    for number in range(servers):
        capacity, claims = _crowd(number)
        grants = _grants(policy, capacity, claims)
        own = [speed(capacity, *each) for each in zip(claims, grants, strict=True)]
        speeds += own
        alone += [mine / _share(capacity, claim, len(claims)) for mine, claim in zip(own, claims, strict=True)]
        envious += [
            speed(capacity, claim, other) > mine * (1 + _SLACK) + 2 * LEAST
            for claim, mine, grant in zip(claims, own, grants, strict=True)
            for other in grants
            if other is not grant
        ]
        liar = number % len(claims)
        told = [*claims]
        told[liar] = _doubled(claims[liar])
        lied.append((speed(capacity, claims[liar], _grants(policy, capacity, told)[liar]), own[liar]))
    return Axioms(
        text,
        servers,
        _share_of([value < 1 - _SLACK for value in alone]),
        min(alone),
        _share_of(envious),
        _share_of([liar > honest * (1 + _SLACK) + 2 * LEAST for liar, honest in lied]),
        left_sum([liar for liar, _ in lied]) / max(left_sum([honest for _, honest in lied]), LEAST),
        _share_of([value < 10 * LEAST for value in speeds]),
    )


def speed(capacity: Capacity, claim: Claim, grant: Grant) -> float:
    """How fast a user could go with nothing but this grant, in [0, 1]; 0 for one that is refused."""
    memory = 1.0 if capacity.memory_bytes == inf else grant.memory_bytes / capacity.memory_bytes
    granted = (memory, min(grant.cpu, grant.cpu_cap) / capacity.cores, grant.link)
    pairs = zip(granted, _needed(capacity, claim), strict=True)
    return min([1.0] + [has / need for has, need in pairs if need > 0.0])


def _needed(capacity: Capacity, claim: Claim) -> tuple[float, float, float]:
    """What a user needs at full speed, as parts of what there is."""
    return claim.memory_bytes / capacity.memory_bytes, claim.cpu / capacity.cores, claim.link(capacity)


def _share(capacity: Capacity, claim: Claim, users: int) -> float:
    """The speed of a user alone with 1/n of everything."""
    return min([1.0] + [1.0 / users / need for need in _needed(capacity, claim) if need > 0.0])


def _doubled(claim: Claim) -> Claim:
    return replace(claim, memory_bytes=2 * claim.memory_bytes, work_s=2 * claim.work_s, link_bytes=2 * claim.link_bytes)


def _grants(policy: Policy, capacity: Capacity, claims: Sequence[Claim]) -> list[Grant]:
    return sound(capacity, claims, policy.grants(capacity, claims, {}))


def _crowd(number: int) -> tuple[Capacity, list[Claim]]:
    """A server, and two to eight users who together want between little and several times what it has."""
    rng = streams.family(number, "axioms", "server")
    capacity = Capacity(rng.uniform(100, 4000) * _MB, rng.randint(1, 8), rng.uniform(5, 100) * _MB)
    users = rng.randint(2, 8)
    return capacity, [_claim(rng, capacity, users, order) for order in range(users)]


def _claim(rng: random.Random, capacity: Capacity, users: int, order: int) -> Claim:
    """Users differ in what they need most of: each need is up to three times its even share."""
    period_s = rng.uniform(0.1, 2.0)
    memory, cpu, link = (rng.uniform(0.05, 3.0) / users for _ in range(3))
    return Claim(
        user=order,
        order=order,
        weight=1.0,
        memory_bytes=memory * capacity.memory_bytes,
        work_s=cpu * capacity.cores * period_s,
        link_bytes=link * capacity.link_bytes_s * period_s,
        period_s=period_s,
    )


def _share_of(marks: Sequence[bool]) -> float:
    return marks.count(True) / len(marks) if marks else 0.0
