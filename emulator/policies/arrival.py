"""Who came first has: the emulator's default, and the greedy occupation that the paper complains of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, inf

from layerlift.emulator.policies.allocation import Capacity, Claim, Grant, PolicyBase, PolicyError


class FirstCome(PolicyBase):
    """Memory to whoever comes first, while it fits; CPU and link equally per piece and per flow.

    What is held stays. What is free goes to the claims in order of arrival. It is the default: a server that follows it
    asks nobody what they want, and admits a part when there is room.
    """

    claims = False
    revokes = False
    weighs_cpu = False
    weighs_links = False
    disruptions = 0

    @classmethod
    def cite(cls) -> str:
        """The source of the rule."""
        return "egalitarian processor sharing: Kleinrock, JACM 14(2):242, 1967, doi:10.1145/321386.321388"

    def divide(self, capacity: Capacity, claims: Sequence[Claim], before: Mapping[int, Grant]) -> list[Grant]:
        """See `PolicyBase.divide`."""
        free = capacity.memory_bytes - fsum(claim.held_bytes for claim in claims)
        granted = []
        for claim in claims:
            more = max(0.0, min(claim.memory_bytes - claim.held_bytes, free))
            free -= more
            quota = claim.held_bytes + more
            reason = no_memory(capacity) if claim.memory_bytes > 0.0 >= quota else ""
            granted.append(
                Grant(
                    memory_bytes=inf if capacity.memory_bytes == inf else quota,
                    cpu=capacity.cores / len(claims),
                    link=1.0 / len(claims),
                    reason=reason,
                )
            )
        return granted


class Greedy(PolicyBase):
    """Whoever comes first reserves memory and `cores` cores, and keeps both until it leaves; who finds nothing waits.

    A user is admitted when that many cores are not reserved and, if it wants memory, some is: it then has as much as
    there is of what it wants. It uses its cores and no others, idle or not. The rest are refused, and tried again in
    order of arrival whenever somebody has left. The link is shared equally per flow.
    """

    revokes = False
    weighs_links = False
    disruptions = 0

    def __init__(self, cores: float = 1.0) -> None:
        if not 0.0 < cores < inf:
            raise PolicyError(f"policy greedy: cores={cores} was given, expected more than 0 (1 is one core per user)")
        self.cores = cores

    @classmethod
    def cite(cls) -> str:
        """The source of the rule."""
        return "greedy occupation, as Xue, Wu, Li describe it, IEEE CE Magazine 2023, doi:10.1109/MCE.2022.3159348"

    def divide(self, capacity: Capacity, claims: Sequence[Claim], before: Mapping[int, Grant]) -> list[Grant]:
        """See `PolicyBase.divide`."""
        kept = {claim.user: before.get(claim.user, Grant(0.0, 0.0, 0.0)) for claim in claims}
        bytes_of = {claim.user: max(kept[claim.user].memory_bytes, claim.held_bytes) for claim in claims}
        reserved = fsum(grant.cpu for grant in kept.values())
        endless = capacity.memory_bytes == inf
        free = inf if endless else capacity.memory_bytes - fsum(bytes_of.values())
        granted = []
        for claim in claims:
            quota, cpu, reason = bytes_of[claim.user], kept[claim.user].cpu, ""
            more = max(0.0, min(claim.memory_bytes - quota, free))
            if not cpu:
                cpu, reason = self._reserve(capacity, reserved, short=claim.memory_bytes > 0.0 >= quota + more)
                reserved += cpu
            elif claim.memory_bytes > 0.0 >= quota + more:
                reason = no_memory(capacity)
            if cpu:
                free -= more
                quota = inf if endless else quota + more
            granted.append(Grant(quota, cpu, 1.0 / len(claims), cpu_cap=cpu, reason=reason))
        return granted

    def _reserve(self, capacity: Capacity, reserved: float, short: bool) -> tuple[float, str]:
        """Cores for one who has none yet, and why there are none."""
        wanted, free = min(self.cores, float(capacity.cores)), capacity.cores - reserved
        if short:
            return 0.0, no_memory(capacity)
        if free >= wanted * (1.0 - 1e-9):
            return wanted, ""
        if free <= 1e-9:
            return 0.0, f"cpu: all {capacity.cores} cores are reserved"
        return 0.0, f"cpu: {wanted:g} cores wanted, {free:g} of {capacity.cores} are not reserved"


def no_memory(capacity: Capacity) -> str:
    """Why somebody may hold nothing."""
    if capacity.memory_bytes <= 0.0:
        return "memory: the server has none"
    return f"memory: all {capacity.memory_bytes:.0f} bytes are taken"
