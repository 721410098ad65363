"""Who gets how much of a server, by name: `make("drf")`, `make("alpha_fair:alpha=2")`, `make("my_module:Mine")`."""

from emulator.allocation import (
    Capacity,
    Claim,
    Grant,
    Policy,
    PolicyBase,
    PolicyError,
    flow_weights,
    loses,
    share_of,
    victims,
)
from emulator.policies.registry import available, make, register, spec, specs, unregister

__all__ = [
    "Capacity",
    "Claim",
    "Grant",
    "Policy",
    "PolicyBase",
    "PolicyError",
    "available",
    "flow_weights",
    "loses",
    "make",
    "register",
    "share_of",
    "spec",
    "specs",
    "unregister",
    "victims",
]
