"""Allocation policies by name, as planners are: `NAME[:OPTIONS] | MODULE:CLASS[:OPTIONS]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import ClassVar

from layerlift.emulator.policies.allocation import Policy, PolicyBase, PolicyError
from layerlift.planners.registry import plugins
from layerlift.planners.registry.options import Wording
from layerlift.planners.registry.plugins import NO_PLUGINS

__all__ = [
    "BUILTIN",
    "GROUP",
    "NO_PLUGINS",
    "Spec",
    "asked",
    "available",
    "batch_cap",
    "make",
    "register",
    "spec",
    "specs",
    "takes_back",
    "unregister",
]

GROUP = "layerlift.policies"
"""Entry-point group by which an installed package offers policies."""

BUILTIN = {
    "first_come": "layerlift.emulator.policies.arrival:FirstCome",
    "greedy": "layerlift.emulator.policies.arrival:Greedy",
    "equal": "layerlift.emulator.policies.quotas:Equal",
    "priority": "layerlift.emulator.policies.quotas:Priority",
    "max_min": "layerlift.emulator.policies.alpha_fair:MaxMin",
    "proportional": "layerlift.emulator.policies.alpha_fair:Proportional",
    "alpha_fair": "layerlift.emulator.policies.alpha_fair:AlphaFair",
    "drf": "layerlift.emulator.policies.drf:Drf",
    "dynamic_drf": "layerlift.emulator.policies.drf:DynamicDrf",
}


@dataclass(frozen=True, slots=True)
class Spec(plugins.Spec):
    """A policy's name and where it comes from."""

    wording: ClassVar[Wording] = Wording("policy", PolicyError, "alpha=2")
    base: ClassVar[type] = PolicyBase


_registry = plugins.Registry(Spec, GROUP, BUILTIN, "grants(capacity, claims, before)")
_plugins = _registry.plugins
register, unregister = _registry.register, _registry.unregister
available, asked, spec, specs = _registry.available, _registry.asked, _registry.spec, _registry.specs


def make(text: str, options: Mapping[str, object] | None = None) -> Policy:
    """Make the policy that `text` describes; `options` adds to those in the text.

    Raises `PolicyError` for an unknown name or option (with near names), a value that does not do, or a class that is
    no policy.
    """
    made = _registry.make(text.strip(), options)
    if not isinstance(made, Policy):
        raise PolicyError(
            f"policy {text!r} makes a {type(made).__name__}, which has no method grants(capacity, claims, before)"
        )
    return made


def has(policy: Policy, capability: str) -> bool:
    """Whether a policy has a capability (see `PolicyBase`), by default where it does not say."""
    return bool(getattr(policy, capability, getattr(PolicyBase, capability)))


def batch_cap(text: str) -> float:
    """How many queries the policy that `text` describes lets run together, at least 1; infinite where it does not say.

    Raises what `make` raises, and `PolicyError` for anything else than a number of queries.
    """
    most = getattr(make(text), "max_batch", PolicyBase.max_batch)
    if most is None:
        return inf
    if not isinstance(most, int) or isinstance(most, bool) or most < 1:
        raise PolicyError(
            f"policy {text!r} has the max_batch {str(most)[:40]}, expected a whole number from 1, or None"
        )
    return float(most)


def takes_back(text: str) -> bool:
    """Whether the policy that `text` describes may take memory back. Raises what `make` raises."""
    policy = make(text)
    return has(policy, "claims") and has(policy, "revokes")
