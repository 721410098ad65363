"""A profile that nobody measured: one millisecond a layer, on a quiet machine."""

from __future__ import annotations

from layerlift.models.running.network import Network
from layerlift.models.timing.profile import Profile, described


def made_profile(network: Network, *, coverage: float = 1.0, layer_s: float = 0.001) -> Profile:
    """The profile of a network, at 2 GHz."""
    count = len(network.graph)
    return Profile(
        network=network.name,
        digest=network.topology,
        ghz=2.0,
        host="a machine that is not",
        **described(network.graph),
        seconds=(layer_s,) * count,
        spread_s=(0.0,) * count,
        blocks=(),
        uncut_s=layer_s * count,
        fused_s=layer_s * count,
        coverage=coverage,
        runs=1,
        date="2026-01-31",
        method="made up",
    )
