"""Two rules that look at nothing but who is there: the same for all, and by weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, inf

from layerlift.emulator.policies.allocation import Capacity, Claim, Grant, PolicyBase
from layerlift.emulator.policies.arrival import no_memory


class Equal(PolicyBase):
    """Each of n users may hold 1/n of the memory and is entitled to 1/n of CPU and link, whatever it wants.

    CPU that somebody does not use goes to the others; memory does not. Unlike `first_come`, a user with many pieces at
    once has no more CPU than one with a single piece.
    """

    weighs_links = False
    starves = False

    @classmethod
    def cite(cls) -> str:
        """The source of the rule."""
        return "the equal split that sharing incentive is measured against: Ghodsi et al., DRF, NSDI 2011"

    def divide(self, capacity: Capacity, claims: Sequence[Claim], before: Mapping[int, Grant]) -> list[Grant]:
        """See `PolicyBase.divide`."""
        reason = no_memory(capacity) if capacity.memory_bytes <= 0.0 else ""
        count = len(claims)
        return [
            Grant(
                capacity.memory_bytes / count,
                capacity.cores / count,
                1.0 / count,
                reason=reason if claim.memory_bytes > 0.0 else "",
            )
            for claim in claims
        ]


class Priority(PolicyBase):
    """By weight: memory to the heaviest first, as much as it wants (ties: who came first); CPU and link in proportion.

    Whoever is light may get no memory at all.
    """

    @classmethod
    def cite(cls) -> str:
        """The source of the rule."""
        return "generalised processor sharing: Parekh, Gallager, IEEE/ACM ToN 1(3):344, 1993, doi:10.1109/90.234856"

    def divide(self, capacity: Capacity, claims: Sequence[Claim], before: Mapping[int, Grant]) -> list[Grant]:
        """See `PolicyBase.divide`."""
        total, free = fsum(claim.weight for claim in claims), capacity.memory_bytes
        quotas: dict[int, float] = {}
        for claim in sorted(claims, key=lambda claim: (-claim.weight, claim.order)):
            quotas[claim.user] = min(claim.memory_bytes, free)
            free -= quotas[claim.user]
        endless = capacity.memory_bytes == inf
        return [
            Grant(
                memory_bytes=inf if endless else quotas[claim.user],
                cpu=capacity.cores * claim.weight / total,
                link=claim.weight / total,
                reason=no_memory(capacity) if claim.memory_bytes > 0.0 >= quotas[claim.user] else "",
            )
            for claim in claims
        ]
