"""Policies of the letters of publications, which do not ship: trained once, kept in the cache folder.

Training needs torch (`pip install 'layerlift[learn]'`); what is kept is used without.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Final

from layerlift.emulator.studies.learning import kept
from layerlift.emulator.studies.learning.study import train
from layerlift.models.loading.disk_cache import cache_dir

ROUNDS: Final = {"dil": 80, "ddlo": 160, "drl": 320, "ddpqn": 320, "meta_drl": 60}
"""Rounds that each is trained for: of 64 problems, of `meta_drl` of ten tasks."""


@cache
def policy(planner: str) -> Path:
    """The file of a literal policy, trained now if it is not there yet."""
    rounds = ROUNDS[planner]
    folder = cache_dir() / "letters" / f"{planner}-{rounds}"
    found = folder / kept.POLICY
    if not found.exists():
        print(f"training {planner} to the letter, {rounds} rounds", file=sys.stderr)
        part = folder.with_name(f"{folder.name}.part")
        train(planner, literal=True, rounds=rounds, out=part, force=True)
        part.rename(folder)
    return found
