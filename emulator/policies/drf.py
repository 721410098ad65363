"""Dominant resource fairness over memory, CPU and link: for those who are there, and for those who come one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, inf

from layerlift.emulator.kernel.water_filling import fill, fill_dominant
from layerlift.emulator.policies.allocation import LEAST, Capacity, Claim, Grant, PolicyBase, PolicyError, part
from layerlift.emulator.policies.arrival import no_memory

Bundle = tuple[float, float, float]
"""Bytes of memory, cores, and part of the link."""

NOTHING: Bundle = (0.0, 0.0, 0.0)


class Drf(PolicyBase):
    """Dominant resource fairness: weighted dominant shares are raised together until nobody can have more.

    At full speed a user needs memory_bytes of memory, work_s / period_s cores and link_bytes / period_s of the link;
    the largest of these as a part of what the server has is its dominant share. At speed x it is granted x times them.

    `spare`: what is left then is given away too, memory like water up to what each wants, CPU and link by weight, since
    no query is faster for what nobody holds. `spare=false` grants the bundles of the paper, for which its axioms hold.
    """

    starves = False

    def __init__(self, spare: bool = True) -> None:
        self.spare = spare

    @classmethod
    def cite(cls) -> str:
        """The source of the rule."""
        return "Ghodsi et al., Dominant Resource Fairness, NSDI 2011"

    def divide(self, capacity: Capacity, claims: Sequence[Claim], before: Mapping[int, Grant]) -> list[Grant]:
        """See `PolicyBase.divide`."""
        needs = [needs_of(capacity, claim) for claim in claims]
        speeds = speeds_of(capacity, claims)
        bundles = [_scaled(need, speed) for need, speed in zip(needs, speeds, strict=True)]
        if self.spare:
            bundles = _with_spare(capacity, claims, bundles)
        return [_grant(capacity, claim, bundle) for claim, bundle in zip(claims, bundles, strict=True)]


class DynamicDrf(PolicyBase):
    """Dominant resource fairness for users who come and go: what is granted is not taken back.

    Dominant shares are raised together as in `drf`, but from what each user has already and still wants, so that a
    newcomer gets up to its fair share of what is free. With each arrival at most `disruptions` users, those who have
    most above their fair share, are cut down to it. With `expected` users, k users together get at most k / expected of
    each resource, and the rest is kept for those to come: without it, who comes late may be left with nothing.

    Nothing spare is given away: it could not be taken back. CPU and link that nobody is entitled to are still used.
    """

    revokes = False
    disruptions = 0

    def __init__(self, disruptions: int = 0, expected: int = 0) -> None:
        for name, value in (("disruptions", disruptions), ("expected", expected)):
            if value < 0:
                raise PolicyError(f"policy dynamic_drf: {name}={value} was given, expected 0 or more")
        self.disruptions = disruptions
        self.expected = expected
        self.revokes = disruptions > 0

    @classmethod
    def cite(cls) -> str:
        """The source of the rule."""
        return (
            "Kash, Procaccia, Shah, No Agent Left Behind, JAIR 51:579, 2014, doi:10.1613/jair.4405; "
            "disruptions: Friedman, Psomas, Vardi, EC 2015, doi:10.1145/2764468.2764495"
        )

    def divide(self, capacity: Capacity, claims: Sequence[Claim], before: Mapping[int, Grant]) -> list[Grant]:
        """See `PolicyBase.divide`."""
        needs = [needs_of(capacity, claim) for claim in claims]
        has = [_kept(claim, need, before.get(claim.user)) for claim, need in zip(claims, needs, strict=True)]
        room = min(1.0, len(claims) / self.expected) if self.expected else 1.0
        arrivals = sum(claim.user not in before for claim in claims)
        if self.disruptions * arrivals:
            speeds = speeds_of(capacity, claims, room=room)
            fair = [_scaled(need, speed) for need, speed in zip(needs, speeds, strict=True)]
            for n in _richest(capacity, claims, has, fair)[: self.disruptions * arrivals]:
                has[n] = _smaller(has[n], fair[n])
        speeds = speeds_of(capacity, claims, has, room)
        bundles = [_larger(has[n], _scaled(need, speeds[n])) for n, need in enumerate(needs)]
        return [_grant(capacity, claim, bundle) for claim, bundle in zip(claims, bundles, strict=True)]


def needs_of(capacity: Capacity, claim: Claim) -> Bundle:
    """What a user needs at full speed; an infinite part of a link that does not exist."""
    return claim.memory_bytes, claim.cpu, claim.link(capacity)


def speeds_of(
    capacity: Capacity, claims: Sequence[Claim], has: Sequence[Bundle] | None = None, room: float = 1.0
) -> list[float]:
    """How fast each user may go, in [0, 1]: see `layerlift.emulator.kernel.water_filling.fill_dominant`.

    A user who needs what the server does not have at all stands still.
    """
    parts = [_parts(capacity, needs_of(capacity, claim)) for claim in claims]
    able = [n for n, each in enumerate(parts) if max(each) < inf]
    taken = [_parts(capacity, has[n]) if has is not None else NOTHING for n in able]
    speeds = [0.0] * len(claims)
    filled = fill_dominant([parts[n] for n in able], [claims[n].weight for n in able], taken, room)
    for n, speed in zip(able, filled, strict=True):
        speeds[n] = speed
    return speeds


def _parts(capacity: Capacity, bundle: Bundle) -> Bundle:
    return part(bundle[0], capacity.memory_bytes), part(bundle[1], float(capacity.cores)), bundle[2]


def _kept(claim: Claim, need: Bundle, before: Grant | None) -> Bundle:
    """What a user has and still wants. Parts that it holds are wanted until they are gone."""
    if before is None:
        return NOTHING
    wanted = (max(claim.memory_bytes, claim.held_bytes), need[1], need[2])
    return _smaller((before.memory_bytes, before.cpu, before.link), wanted)


def _richest(capacity: Capacity, claims: Sequence[Claim], has: Sequence[Bundle], fair: Sequence[Bundle]) -> list[int]:
    """Users who have more than their fair bundle: by how much by weight, most first (ties: latest arrival first)."""
    above = []
    for n, claim in enumerate(claims):
        parts = zip(_parts(capacity, has[n]), _parts(capacity, fair[n]), strict=True)
        excess = max(mine - due for mine, due in parts) / claim.weight
        if excess > 1e-9:
            above.append((-excess, -claim.order, n))
    return [n for _, _, n in sorted(above)]


def _with_spare(capacity: Capacity, claims: Sequence[Claim], bundles: Sequence[Bundle]) -> list[Bundle]:
    """Give what is left of each resource away as well."""
    weights = [claim.weight for claim in claims]
    total = fsum(weights)
    if capacity.memory_bytes == inf:
        memory = [0.0] * len(claims)
    else:
        left = max(0.0, capacity.memory_bytes - fsum(bundle[0] for bundle in bundles))
        memory = fill(
            left, weights, [claim.memory_bytes - each[0] for claim, each in zip(claims, bundles, strict=True)]
        )
    cores = max(0.0, capacity.cores - fsum(bundle[1] for bundle in bundles))
    link = max(0.0, 1.0 - fsum(bundle[2] for bundle in bundles))
    return [
        (has[0] + memory[n], has[1] + cores * weights[n] / total, has[2] + link * weights[n] / total)
        for n, has in enumerate(bundles)
    ]


def _grant(capacity: Capacity, claim: Claim, bundle: Bundle) -> Grant:
    memory = inf if capacity.memory_bytes == inf else bundle[0]
    reason = ""
    if claim.memory_bytes > 0.0 >= memory:
        blocked = capacity.memory_bytes > 0.0
        reason = "drf: what it needs is granted to others" if blocked else no_memory(capacity)
    return Grant(memory, max(bundle[1], LEAST * capacity.cores), max(bundle[2], LEAST), reason=reason)


def _scaled(need: Bundle, speed: float) -> Bundle:
    if not speed:
        return NOTHING
    return need[0] * speed, need[1] * speed, need[2] * speed


def _larger(one: Bundle, other: Bundle) -> Bundle:
    return max(one[0], other[0]), max(one[1], other[1]), max(one[2], other[2])


def _smaller(one: Bundle, other: Bundle) -> Bundle:
    return min(one[0], other[0]), min(one[1], other[1]), min(one[2], other[2])
