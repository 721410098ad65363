"""The conformance kit: proves of any allocation policy, ours or a stranger's, that a server can rely on it.

From a test:       `conform("my_package.mine:Mine")` or `conform(Mine(...))`
From a shell:      `python -m layerlift.emulator.policies.testing my_package.mine:Mine`
"""

from __future__ import annotations

import copy
import pickle
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum, inf, isfinite
from typing import Any

from layerlift.emulator.policies.allocation import Capacity, Claim, Grant, Policy, PolicyBase, PolicyError, loses
from layerlift.emulator.policies.cases import Case, battery, capacities, comings_and_goings
from layerlift.emulator.policies.registry import make
from layerlift.planners.testing.runner import run_kit, trouble_of

TOLERANCE = 1e-9
"""Relative slack: rounding, not more than there is."""

STEPS = 60
"""Arrivals and leavings in a sequence."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One demand, checked on one case."""

    case: str
    demand: str
    trouble: str
    """What is wrong; empty when the demand is met."""


def conform(policy: str | Policy, cases: Mapping[str, Case] | None = None) -> int:
    """Check every demand on every case (`layerlift.emulator.policies.cases` by default); returns how many demands
    were met.

    Demands: one sound grant per claim (finite, not negative); quotas that fit into the memory as far as they are
    wanted; nothing for somebody only with a reason, and something for somebody; nobody starved unless the policy
    `starves`; the same answer for the same question, for copies and in whatever order claims are listed; claims and
    earlier grants untouched; CPU and link equal where it does not weigh them; grants that survive pickling. And over
    random arrivals and leavings: no quota below what is held unless it `revokes`, and no more `disruptions` than said.
    Raises `PolicyError` that names the first demand not met, the case and the trouble.
    """
    met = 0
    for finding in findings(policy, cases):
        if finding.trouble:
            name = policy if isinstance(policy, str) else type(policy).__name__
            raise PolicyError(f"{name} on {finding.case!r}: {finding.demand}: {finding.trouble}")
        met += 1
    return met


def findings(policy: str | Policy, cases: Mapping[str, Case] | None = None) -> Iterator[Finding]:
    """Check and tell, one finding per demand and case; a demand that fails ends its case."""
    made = make(policy) if isinstance(policy, str) else policy
    for name, case in (battery() if cases is None else cases).items():
        yield from _check(made, name, case)
    for name, capacity in capacities().items():
        case_name = f"users who come and go on {name}"
        trouble = trouble_of(lambda capacity=capacity, name=name: _live(made, capacity, name))  # type: ignore[misc]
        yield Finding(case_name, "what was granted is kept as far as promised", trouble)


def sound(capacity: Capacity, claims: Sequence[Claim], grants: object, starves: bool = True) -> list[Grant]:
    """Return `grants` when a server can use them; raises `PolicyError` that says why not.

    What a single answer must satisfy, without its policy being asked again: cheap enough for every answer in a run.
    """
    if not isinstance(grants, list) or not all(isinstance(grant, Grant) for grant in grants):
        raise PolicyError("it returned something else than a list of Grant")
    if len(grants) != len(claims):
        raise PolicyError(f"{len(grants)} grants for {len(claims)} claims")
    for claim, grant in zip(claims, grants, strict=True):
        if trouble := _unsound(capacity, claim, grant, starves):
            raise PolicyError(f"user {claim.user} with {grant}: {trouble}")
    used = fsum(min(grant.memory_bytes, claim.memory_bytes) for claim, grant in zip(claims, grants, strict=True))
    if used > capacity.memory_bytes * (1.0 + TOLERANCE):
        raise PolicyError(f"quotas, as far as they are wanted, come to {used} bytes of {capacity.memory_bytes}")
    return grants


def _unsound(capacity: Capacity, claim: Claim, grant: Grant, starves: bool) -> str:
    numbers = (grant.memory_bytes, grant.cpu, grant.link, grant.cpu_cap)
    if any(type(number) not in (int, float) for number in numbers):
        return "expected plain numbers"
    if not all(number >= 0.0 for number in numbers):
        return "expected numbers that are not negative"
    if not (isfinite(grant.cpu) and isfinite(grant.link)):
        return "expected finite cpu and link"
    if grant.memory_bytes == inf and capacity.memory_bytes < inf:
        return "an infinite quota of a finite memory"
    if not 0.0 < grant.link <= 1.0 + TOLERANCE:
        return "link must be in (0, 1]"
    if grant.cpu > capacity.cores * (1.0 + TOLERANCE):
        return f"more than the server's {capacity.cores} cores"
    if grant.cpu and not grant.cpu_cap:
        return "entitled to CPU, but cpu_cap is 0"
    nothing = not grant.cpu or (claim.memory_bytes > 0.0 and not grant.memory_bytes)
    if nothing and not grant.reason:
        return "it gets nothing, and no reason is given"
    if nothing and not starves and (not grant.cpu or capacity.memory_bytes > 0.0):
        return "it gets nothing, although the policy says starves=False"
    return ""


def _check(policy: Policy, name: str, case: Case) -> Iterator[Finding]:
    capacity, claims = case.capacity, list(case.claims)
    answer: list[Grant] = []

    def asked() -> None:
        answer.extend(sound(capacity, claims, policy.grants(capacity, claims, {}), _says(policy, "starves")))

    demands: list[tuple[str, Callable[[], object]]] = [
        ("one sound grant per claim", asked),
        ("something for somebody", lambda: _somebody(capacity, claims, answer)),
        ("equal shares of what it does not weigh", lambda: _unweighed(policy, answer)),
        ("the same answer for the same question", lambda: _same(policy, capacity, claims, answer)),
        ("the same grants in whatever order claims are listed", lambda: _listed(policy, capacity, claims, answer)),
        ("grants that survive pickling", lambda: _pickled(answer)),
    ]
    for demand, check in demands:
        trouble = trouble_of(check)
        yield Finding(name, demand, trouble)
        if trouble:
            return


def _somebody(capacity: Capacity, claims: Sequence[Claim], answer: Sequence[Grant]) -> None:
    if claims and not any(grant.cpu > 0.0 for grant in answer):
        wanting = any(claim.memory_bytes == 0.0 for claim in claims)
        if capacity.memory_bytes > 0.0 or wanting:
            raise PolicyError("nobody has any CPU")
    wanted = any(claim.memory_bytes > 0.0 for claim in claims)
    if wanted and capacity.memory_bytes > 0.0 and not any(grant.memory_bytes > 0.0 for grant in answer):
        raise PolicyError("nobody has any memory")


def _unweighed(policy: Policy, answer: Sequence[Grant]) -> None:
    if not _says(policy, "weighs_cpu") and len({(grant.cpu, grant.cpu_cap) for grant in answer}) > 1:
        raise PolicyError("weighs_cpu is False, but cpu differs between users")
    if not _says(policy, "weighs_links") and len({grant.link for grant in answer}) > 1:
        raise PolicyError("weighs_links is False, but link differs between users")


def _same(policy: Policy, capacity: Capacity, claims: list[Claim], answer: Sequence[Grant]) -> None:
    before = {claim.user: grant for claim, grant in zip(claims[1:], answer[1:], strict=True)}
    given, kept = copy.deepcopy(claims), dict(before)
    first = policy.grants(capacity, claims, before)
    if policy.grants(capacity, claims, before) != first or policy.grants(capacity, claims, {}) != list(answer):
        raise PolicyError("two equal calls differ: keep nothing between calls, and draw no random numbers")
    if claims != given or before != kept:
        raise PolicyError("it wrote to what it was given")
    again = pickle.loads(pickle.dumps(policy)).grants(copy.deepcopy(capacity), given, kept)
    if again != first:
        raise PolicyError("a copy of the policy answers differently: is id() or hash() used?")


def _listed(policy: Policy, capacity: Capacity, claims: list[Claim], answer: Sequence[Grant]) -> None:
    expected = {claim.user: grant for claim, grant in zip(claims, answer, strict=True)}
    rng = random.Random(1)
    for shuffled in (claims[::-1], rng.sample(claims, len(claims)), rng.sample(claims, len(claims))):
        grants = policy.grants(capacity, shuffled, {})
        got = {claim.user: grant for claim, grant in zip(shuffled, grants, strict=True)}
        if differing := [user for user in expected if got[user] != expected[user]]:
            raise PolicyError(
                f"user {differing[0]} gets {got[differing[0]]} or {expected[differing[0]]}, depending on where its "
                "claim is listed: sort the claims by their order"
            )


def _pickled(answer: list[Grant]) -> None:
    if pickle.loads(pickle.dumps(answer)) != answer:
        raise PolicyError("grants differ after pickling")


def _live(policy: Policy, capacity: Capacity, seed: str) -> None:
    """Users come, take up what they may hold, and leave; every answer is checked against the one before."""
    rng = random.Random(f"testing/{seed}")
    present: dict[int, Claim] = {}
    before: dict[int, Grant] = {}
    for newcomer, leaver in comings_and_goings(seed, STEPS):
        if newcomer is not None:
            present[newcomer.user] = newcomer
        else:
            del present[leaver]
        claims = list(present.values())
        made = sound(capacity, claims, policy.grants(capacity, claims, before), _says(policy, "starves"))
        now = {claim.user: grant for claim, grant in zip(claims, made, strict=True)}
        _kept(policy, capacity, present, before, now)
        for user, grant in now.items():
            present[user] = _holding(present[user], grant, rng.random())
        before = now if rng.random() < 0.5 else {**before, **now}  # who has left may still be in it


def _kept(
    policy: Policy,
    capacity: Capacity,
    present: Mapping[int, Claim],
    before: Mapping[int, Grant],
    now: Mapping[int, Grant],
) -> None:
    if not _says(policy, "revokes"):
        for user, claim in present.items():
            if now[user].memory_bytes < claim.held_bytes * (1.0 - TOLERANCE):
                raise PolicyError(
                    f"revokes is False, but user {user} holds {claim.held_bytes} bytes and may hold {now[user]}"
                )
    most = _says(policy, "disruptions")
    if most is None:
        return
    arrivals = sum(user not in before for user in present)
    lost = [
        user for user in present if user in before and loses(capacity, present[user], before[user], now[user], policy)
    ]
    if len(lost) > most * arrivals:
        user = lost[0]
        raise PolicyError(
            f"disruptions={most}, but when {arrivals} came, {len(lost)} users lost something that they want, "
            f"as user {user} with {before[user]} and now {now[user]}"
        )


def _holding(claim: Claim, grant: Grant, eagerness: float) -> Claim:
    """Take up a part of what may be held; hold no more than may be held."""
    may = min(grant.memory_bytes, claim.memory_bytes)
    return replace(claim, held_bytes=min(may, claim.held_bytes + eagerness * max(0.0, may - claim.held_bytes)))


def _says(policy: Policy, capability: str) -> Any:
    return getattr(policy, capability, getattr(PolicyBase, capability))


def main(arguments: Sequence[str]) -> int:
    """`python -m layerlift.emulator.policies.testing POLICY...`: 0 all demands met, 1 one not met, 2 no such policy."""
    usage = (
        "usage: python -m layerlift.emulator.policies.testing POLICY... (a name, with options or not, or module:Class)"
    )
    return run_kit(usage, arguments, lambda text: ((f.case, f.demand, f.trouble) for f in findings(text)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
