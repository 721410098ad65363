"""What the queries of a run may hold in memory at once, before any of them begins."""

from __future__ import annotations

from layerlift.emulator.world.world import World
from layerlift.models.graph.cuts import cuts
from layerlift.models.running import limits
from layerlift.models.sums import int_sum


def held_by_queries(world: World) -> int:
    """Bytes of tensors between the pieces of queries, when each user has one under way at its network's widest cut."""
    widest = [max((cut.bytes for cut in cuts(model.graph)), default=0) for model in world.models]
    return int_sum(widest[user.model] for user in world.users)


def warning(world: World) -> str | None:
    """A sentence when that is more than `LAYERLIFT_LIVE_MEMORY_GB`; None when it is not."""
    held_gb, most_gb = held_by_queries(world) / 1e9, limits.live_gb()
    if held_gb <= most_gb:
        return None
    return (
        f"Queries of {len(world.users)} users may hold {held_gb:.1f} GB of tensors at once, more than {most_gb:g} GB: "
        f"choose execution: once or fewer users, or set {limits.LIVE_MEMORY} to what this machine has"
    )
