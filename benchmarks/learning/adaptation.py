"""docs/learned.md: what episodes are worth to a policy that was made for them, and to one that was trained plainly.

Held-out families, in whose worlds links carry a quarter of what is said of them: what no planner is told, and only
episodes show. `python -m benchmarks.learning.adaptation` prints the tables.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.docs.blocks import DocsError, table
from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.scenario import families
from layerlift.emulator.studies.learning.meta.places import Place, Truth, place_of
from layerlift.emulator.studies.learning.worlds import varied
from layerlift.models.sums import left_sum
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.policy import Policy
from layerlift.planners.learned.steps import STEPS, policies_of

CONTROL = Path(__file__).with_name("meta_drl_plain.onnx")
"""`layerlift train meta_drl_plain`, with the worlds, rounds and seed of the policy that ships."""
WRONG = Truth(links=4.0)
SEEDS = 5
WORLDS = 16
"""That a point is measured on, in each family."""
PLAYED = 64
NEAR = 0.05


@dataclass(frozen=True)
class Held:
    """A family that neither policy was trained on."""

    like: str
    let: Mapping[str, Any] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()


FAMILIES = {
    "slow links": Held("lone_slow_asym"),
    "24 servers": Held("lone_random", {"servers": 24}),
    "serial": Held("lone_random", overrides=("users.0.query=serial",)),
    "other networks": Held("new_networks"),
    "three tiers": Held("three_tiers"),
}


def places(name: str, first: int, count: int, truth: Truth) -> Iterator[Place]:
    """Problems of a family in which something costs anything, one of each of its worlds from a held-out seed on."""
    held = FAMILIES[name]
    drawn = families.load(held.like)
    family = replace(drawn, let={**drawn.let, **held.let})
    seeds = families.held_out_seeds(first + count)[first:]
    for seed in seeds:
        world = family.draw(seed, ["users.0.count=1", *held.overrides]).resolve()
        told = varied(problem_of(world, 0), random.Random(seed))
        place = place_of(told, truth.of(told))
        if place.exact > 0.0:
            yield place


def _curves() -> ModuleType:
    """What plays episodes. Raises `DocsError` where torch is not installed."""
    try:
        return import_module("layerlift.emulator.studies.learning.meta.curves")
    except ImportError:
        raise DocsError("episodes need torch, which is not installed: pip install 'layerlift[learn]'") from None


def policies() -> dict[str, Policy]:
    """The policy that ships, and its control."""
    contents = {"`meta_drl`": policy_file.shipped("meta_drl"), "control": policy_file.read(CONTROL, (STEPS,))}
    return {name: policies_of(policy_file.parsed(content, (STEPS,)))[0] for name, content in contents.items()}


@cache
def curves() -> dict[tuple[str, str], tuple[float, ...]]:
    """The mean gap over seeds after as many episodes as MARKS says, by family and policy."""
    curve = _curves().curve
    made = {}
    for name in FAMILIES:
        among = list(places(name, 0, WORLDS, WRONG))
        played = list(places(name, WORLDS, PLAYED, WRONG))
        for arm, policy in policies().items():
            found = []
            for seed in range(SEEDS):
                draws = np.random.default_rng(seed)
                order = [played[at] for at in draws.permutation(np.resize(np.arange(len(played)), PLAYED))]
                found.append(curve(policy, order, among, draws))
            made[name, arm] = tuple(left_sum(column) / SEEDS for column in zip(*found, strict=True))
        print(f"{name}: done", file=sys.stderr)
    return made


def adaptation() -> str:
    """The gaps in percent, and after how many episodes they are within `NEAR`; the verdict below."""
    marks = _curves().MARKS
    rows, sooner = [], []
    for name in FAMILIES:
        first = {}
        for arm in policies():
            gaps = curves()[name, arm]
            near = [mark for mark, gap in zip(marks, gaps, strict=True) if gap <= NEAR]
            first[arm] = near[0] if near else None
            told = str(near[0]) if near else f"more than {marks[-1]}"
            rows.append([name, arm, *(f"{100 * gap:.1f}" for gap in gaps), told])
        sooner.append(_half(*first.values()))
    head = ["family", "start", *(str(mark) for mark in marks), f"within {100 * NEAR:.0f} % after"]
    kept = len([each for each in sooner if each])
    verdict = "**Meta pays**" if kept >= 3 else "**Meta does not pay**"
    return table(head, rows) + (
        f"\n\n{verdict}: with at most half the episodes of its control it is within {100 * NEAR:.0f} % in {kept} of "
        f"{len(FAMILIES)} families (3 were wanted)."
    )


def _half(meta: int | None, control: int | None) -> bool:
    """Whether one comes to the bound with at most half the episodes of the other, which needs some."""
    return meta is not None and (control is None or (control > 0 and 2 * meta <= control))


def promised() -> str:
    """The gaps of both before any episode where all is as told, in percent."""
    gap = _curves().untouched
    rows = []
    for name in FAMILIES:
        among = list(places(name, 0, WORLDS, Truth()))
        rows.append([name, *(f"{100 * gap(policy, among):.2f}" for policy in policies().values())])
    return table(["family", *policies()], rows)


if __name__ == "__main__":
    print("\n\n".join(part() for part in (promised, adaptation)))
