"""Digests stay what `tests/golden/digests.json` says: whoever changes one on purpose writes them anew and says why."""

from __future__ import annotations

from functools import cache

import golden
import pytest

from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.scenario import bundled

known = cache(golden.known)
kept_worlds = cache(golden.kept_worlds)


@pytest.mark.parametrize("number", range(golden.COUNT))
def test_wild_worlds(number: int) -> None:
    assert golden.of_world(kept_worlds()[number]) == known()[f"world {number}"]


@pytest.mark.long
@pytest.mark.parametrize("name", bundled())
def test_bundled_scenarios(name: str) -> None:
    assert golden.of_scenario(name) == known()[f"scenario {name}"]


@pytest.mark.long
def test_figure5() -> None:
    memory = PlanMemory()
    found = {golden.name_of(case): golden.of_figure5(memory, case) for case in golden.figure5_cases()}
    assert found == {name: digests for name, digests in known().items() if name.startswith("figure5")}


def test_nothing_is_left_out() -> None:
    """What is written once and then no longer run would stay true for ever."""
    names = [*(f"world {number}" for number in range(golden.COUNT)), *(f"scenario {name}" for name in bundled())]
    assert set(known()) == {*names, *map(golden.name_of, golden.figure5_cases())}
