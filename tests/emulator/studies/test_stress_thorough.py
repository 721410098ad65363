"""Planners that are bad in one way are found bad in the family about it; their healthy twins are not."""

from __future__ import annotations

import pytest

from layerlift.emulator.studies.stress.result import bad
from layerlift.emulator.studies.stress.study import stress

FAULTS = [
    ("bad_planners:NoMemory", "ionn", "tight_memory", "lone_random", 3),
    ("bad_planners:Herd", "spread+ionn", "equal_servers", "lone_random", 3),
    ("bad_planners:StaleLoad", "best_response+ionn", "stale_load", "lone_random", 8),
    ("bad_planners:NoUploadTime", "units:stay_s=known+direct", "short_stay", "late_comers", 6),
]


@pytest.mark.slow
@pytest.mark.parametrize(("planner", "twin", "bites", "spares", "worlds"), FAULTS)
def test_a_fault_is_found_in_the_family_about_it_and_nowhere_else(
    planner: str, twin: str, bites: str, spares: str, worlds: int
) -> None:
    found = stress([planner, twin], against=[twin, "direct"], families=[bites, spares], worlds=worlds, push=False,
                   local=True)  # fmt: skip
    assert bad(found, planner) == [bites]
    assert bad(found, twin) == []
    [spared] = [row for row in found.of(planner) if row.family == spares]
    [healthy] = [row for row in found.of(twin) if row.family == spares]
    assert spared.ratio.low <= healthy.ratio.mean <= spared.ratio.high


@pytest.mark.slow
def test_who_is_slow_is_told_so_and_judged_alike() -> None:
    found = stress(["bad_planners:Slow", "ionn"], against="ionn", families=["lone_random"], worlds=3, push=False,
                   local=True)  # fmt: skip
    slow, _healthy = (found.of(name)[0] for name in found.contenders)
    assert found.slow_families("bad_planners:Slow") == ["lone_random"]
    assert not found.slow_families("ionn")
    assert slow.ratio.mean == 1.0
    assert slow.verdict == "as good"


@pytest.mark.slow
def test_chance_is_bad_where_no_fault_is_needed() -> None:
    names = ["lone_random"]
    found = stress(["random", "ionn"], against="ionn", families=names, worlds=6, push=False, local=True)
    assert bad(found, "random") == names
    assert bad(found, "ionn") == []


@pytest.mark.slow
def test_nobody_is_below_the_optimum() -> None:
    """A lone user of a network whose optimum is proved cannot be served faster than that, whoever plans."""
    names = ["lone_random", "lone_big", "lone_slow_asym"]
    found = stress(["ionn", "optimal", "all_remote"], against="ionn", families=names, worlds=6, push=False, local=True)
    known = [row.optimum for row in found.rows if row.optimum.n]
    assert len(known) >= 6
    assert all(each.mean >= 1.0 for each in known)
