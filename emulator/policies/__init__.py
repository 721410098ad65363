"""Who gets how much of a server, by name: `make("drf")`, `make("alpha_fair:alpha=2")`, `make("my_module:Mine")`."""

from layerlift.emulator.policies.allocation import (
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
from layerlift.emulator.policies.registry import (
    available,
    batch_cap,
    has,
    make,
    register,
    spec,
    specs,
    takes_back,
    unregister,
)

__all__ = [
    "Capacity",
    "Claim",
    "Grant",
    "Policy",
    "PolicyBase",
    "PolicyError",
    "available",
    "batch_cap",
    "flow_weights",
    "has",
    "loses",
    "make",
    "register",
    "share_of",
    "spec",
    "specs",
    "takes_back",
    "unregister",
    "victims",
]
