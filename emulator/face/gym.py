"""Gymnasium environments: importing this registers `Layerlift/Placement-v0` and `Layerlift/Crowd-v0` (docs/gym.md).

Raises `ImportError` where gymnasium is not installed; it comes with `pip install 'layerlift[learn]'`.
"""

from __future__ import annotations

try:
    import gymnasium
except ModuleNotFoundError as error:
    if error.name != "gymnasium":
        raise
    raise ImportError(
        "layerlift.gym needs gymnasium, which is not installed: pip install 'layerlift[learn]'", name="gymnasium"
    ) from None

from layerlift.emulator.studies.learning.environments.crowd import Crowd
from layerlift.emulator.studies.learning.environments.placement import Placement
from layerlift.emulator.studies.learning.environments.vector import Placements

__all__ = ["CROWD", "PLACEMENT", "Crowd", "Placement", "Placements"]

PLACEMENT, CROWD = "Layerlift/Placement-v0", "Layerlift/Crowd-v0"

if PLACEMENT not in gymnasium.registry:
    gymnasium.register(PLACEMENT, Placement, vector_entry_point=Placements)
    gymnasium.register(CROWD, Crowd)
