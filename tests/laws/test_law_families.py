"""Every law, in worlds of the families that ship: real networks, and what each family is about."""

from __future__ import annotations

import pytest
from test_law_wild import check_every_law

from layerlift.emulator.scenario import families

SHORT = ("users.*.planner=direct", "sample_s=1", "until_s=3")
# fmt: off
WORLDS = {
    "lone_random": (),
    "three_tiers": (),
    "crowd": ("users.0.count=6",),
    "short_stay": ("users.0.count=4", "users.0.stay_s={uniform: [0.5, 2]}"),
    "equal_servers": ("users.0.count=5", "nodes.0.count=4"),
    "stale_load": ("users.0.count=5", "users.0.arrival.start_s=0.2", "planner.heartbeat_s=0.5"),
    "tight_memory": ("users.0.count=5",),
    "bursts": ("users.0.count=5", "users.0.asks.burst.quiet_s=0.5", "users.0.arrival.per_s=5"),
    "late_comers": ("users.*.count=3", "users.*.arrival.per_s=5", "users.1.arrival.start_s=1"),
    "faults": ("users.0.count=4", "faults.0.on_s=0.8", "faults.0.off_s=0.1", "faults.2.at_s=1", "faults.3.at_s=1.5"),
    "moving": ("users.0.count=3", "faults.0.within_m=[60, 60]", "faults.0.hysteresis_m=1"),
    "money_deadline": ("users.0.count=4", "users.0.arrival.per_s=5"),
    "batteries": ("users.0.count=4", "users.0.device.battery_j=[5, 12]"),
    "wrong_predictions": (),
    "backhaul": ("users.0.count=5", "users.0.arrival.per_s=9"),
    "batching": (
        "users.*.planner=all_remote", "users.0.count=4", "users.0.arrival.per_s=9", "users.0.profile_runs=0",
        "users.0.think_s=0.01", "links.*.bandwidth_mb_s=800", "nodes.0.downlink_mb_s=2000",
        "users.0.device.ghz=30", "until_s=1.5",
    ),
}
# fmt: on
"""How each is made short."""


@pytest.mark.long
@pytest.mark.parametrize("family", WORLDS)
def test_every_law_in_a_world_of_a_family(family: str) -> None:
    seed = families.held_out_seeds(1)[0]
    world = families.draw(family, seed, [*SHORT, *WORLDS[family]]).resolve()
    check_every_law(world, [list(range(0, len(world.nodes), 2)), list(range(1, len(world.nodes), 2))])
