"""Who gets how much of a server: what a policy is asked, what it answers, and what an answer means. Knows no node.

A server has memory, CPU and a link. Memory is held, so it is divided by quotas. CPU and link are used now and then, so
they are divided by weights: whoever does not use them leaves them to the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum, inf
from typing import Protocol, runtime_checkable

from layerlift.emulator.kernel.water_filling import fill
from layerlift.models.errors import LayerliftError

LEAST = 1e-6
"""The least part of a server's CPU or link that a user is entitled to who is not refused: with no weight at all, work
that its claim did not foresee would never end."""


class PolicyError(LayerliftError):
    """A policy that cannot be had, or whose answer the emulator cannot use."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one server has. Infinite memory or link constrains nobody."""

    memory_bytes: float
    cores: int
    link_bytes_s: float
    """The smaller of its up- and downlink."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one user wants of one server."""

    user: int
    order: int
    """Order of arrival at this server, 0 first; unique."""
    weight: float
    """Priority weight of the user, above 0."""
    memory_bytes: float
    """Parameters that its plan places here in all."""
    work_s: float
    """CPU seconds of one query here, on one core, alone."""
    link_bytes: float
    """Bytes of one query over this server's link."""
    period_s: float
    """Seconds from query to query if it were alone, above 0."""
    held_bytes: float = 0.0
    """Parameters that it holds now."""

    @property
    def cpu(self) -> float:
        """Cores that it keeps busy on average when it is not slowed down."""
        return self.work_s / self.period_s

    def link(self, capacity: Capacity) -> float:
        """Part of the server's link that it fills on average when it is not slowed down; may be above 1."""
        return part(self.link_bytes / self.period_s, capacity.link_bytes_s)


@dataclass(frozen=True, slots=True)
class Grant:
    """What one user gets of one server."""

    memory_bytes: float
    """Quota: it may hold up to this much. Infinite only where the server's memory is."""
    cpu: float
    """Cores that it is entitled to, and its weight in processor sharing. 0 means that it is refused: see `reason`."""
    link: float
    """Part of the server's link that it is entitled to, in (0, 1]; `flow_weights` makes weights of flows of it."""
    cpu_cap: float = inf
    """Cores that it can use at most, even if others idle (`greedy` reserves)."""
    reason: str = ""
    """Why it gets nothing, where it gets nothing."""


@runtime_checkable
class Policy(Protocol):
    """A class with `grants`. Nothing else is required: the attributes of `PolicyBase` are read where present."""

    def grants(self, capacity: Capacity, claims: Sequence[Claim], before: Mapping[int, Grant]) -> list[Grant]:
        """Divide `capacity`: one grant per claim, in their order. Pure: it keeps nothing from call to call.

        `before` holds the last grants by user: of those still there, and perhaps of some who have left. A user whose
        claim is not in it has just arrived.
        """


class PolicyBase:
    """Capabilities with their defaults, and `grants` for who wants to see claims in order of arrival only.

    A subclass defines `divide`, or `grants` itself; deriving from this class is a courtesy, not a duty.
    """

    claims: bool = True
    """Whether it needs claims. Without, the server admits what fits and shares CPU and link equally per piece."""
    revokes: bool = True
    """Whether a quota may fall below what somebody holds, so that parts are evicted."""
    weighs_cpu: bool = True
    """Whether CPU is shared by user and weight; otherwise equally per piece."""
    weighs_links: bool = True
    """Whether flows have the weights of their users; otherwise all weigh the same."""
    disruptions: int | None = None
    """How many users may lose something that they want when one arrives (see `loses`); None: no bound."""
    max_batch: int | None = None
    """How many queries of one network it lets a server run together at most; None: as many as the server does."""
    starves: bool = True
    """Whether somebody who wants memory or CPU may be granted none of it."""
    REQUIRED_MODULES: tuple[str, ...] = ()
    """Modules outside the core that it imports."""
    extra: str = ""
    """What to install when one of them is missing, as in `pip install EXTRA`."""

    def grants(self, capacity: Capacity, claims: Sequence[Claim], before: Mapping[int, Grant]) -> list[Grant]:
        """See `Policy`. The answer does not depend on the order in which claims are listed."""
        if not claims:
            return []
        listed = sorted(range(len(claims)), key=lambda index: claims[index].order)
        granted = self.divide(capacity, [claims[index] for index in listed], before)
        made = dict(zip(listed, granted, strict=True))
        return [made[index] for index in range(len(claims))]

    def divide(self, capacity: Capacity, claims: Sequence[Claim], before: Mapping[int, Grant]) -> list[Grant]:
        """One grant per claim; there is at least one claim, and they come in order of arrival."""
        raise NotImplementedError

    @classmethod
    def cite(cls) -> str:
        """The source of the rule, as one line."""
        return ""


def part(amount: float, capacity: float) -> float:
    """Which part of a capacity an amount is: 0 of an infinite one, infinite where there is none."""
    if amount <= 0.0 or capacity == inf:
        return 0.0
    return amount / capacity if capacity > 0.0 else inf


def loses(capacity: Capacity, claim: Claim, before: Grant, now: Grant, policy: object = PolicyBase) -> bool:
    """Whether a user is disrupted: its grant shrinks below what it had and still wants.

    Memory counts always, CPU and link where the policy weighs them, by more than rounding. A user who wants less than
    it had, and so has less, loses nothing.
    """
    had = [(before.memory_bytes, now.memory_bytes, claim.memory_bytes)]
    if getattr(policy, "weighs_cpu", PolicyBase.weighs_cpu):
        had += [(before.cpu, now.cpu, claim.cpu), (before.cpu_cap, now.cpu_cap, 1.0)]
    if getattr(policy, "weighs_links", PolicyBase.weighs_links):
        had.append((before.link, now.link, claim.link(capacity)))
    return any(after < min(earlier, wanted) * (1.0 - 1e-9) for earlier, after, wanted in had)


def victims(
    capacity: Capacity,
    claims: Sequence[Claim],
    grants: Sequence[Grant],
    wanted_bytes: float,
    user: int,
    most: int | None = None,
) -> list[tuple[int, float]] | None:
    """Whom to take how many bytes from, so that `user` can hold `wanted_bytes` more; None when that cannot be.

    Empty when there is room already. Only other users who hold more than their quota are taken from, largest
    overshoot first (ties: latest arrival first), each no more than its overshoot or than is still missing, and at most
    `most` of them. Whether `user` stays within its own quota is not looked at.
    """
    missing = fsum(claim.held_bytes for claim in claims) + wanted_bytes - capacity.memory_bytes
    over = [
        (grant.memory_bytes - claim.held_bytes, -claim.order, claim.user)
        for claim, grant in zip(claims, grants, strict=True)
        if claim.user != user and claim.held_bytes > grant.memory_bytes
    ]
    taken: list[tuple[int, float]] = []
    for overshoot, _, owner in sorted(over)[:most]:
        if missing <= 0.0:
            break
        taken.append((owner, min(-overshoot, missing)))
        missing += overshoot
    return taken if missing <= 0.0 else None


def share_of(capacity: Capacity, grants: Sequence[Grant], index: int) -> tuple[float, float]:
    """The CPU share and link share that a grant means when everybody is busy, both in (0, 1].

    The CPU share is what `Problem.share` is: a piece takes 1 / share times as long as alone on one core, one piece per
    user being there. A user who is refused has the share `LEAST`, so that planners keep away.
    """
    caps = [min(1.0, grant.cpu_cap) for grant in grants]
    rates = fill(float(capacity.cores), [grant.cpu for grant in grants], caps)
    link = grants[index].link / (fsum(grant.link for grant in grants) or 1.0)
    return min(1.0, max(LEAST, rates[index])), min(1.0, max(LEAST, link))


def flow_weights(grants: Sequence[Grant]) -> list[float]:
    """Weights of the users' flows over the server's link, 1 on average.

    So a user's flows to a crowded server do not weigh less than those to an empty one, where they meet on the user's
    own link.
    """
    total = fsum(grant.link for grant in grants)
    return [grant.link * len(grants) / total if total > 0.0 else 1.0 for grant in grants]
