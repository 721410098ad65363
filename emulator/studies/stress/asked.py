"""What was asked of a stress study, checked before anything runs: contenders, worlds, and how they are pushed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from layerlift.emulator.scenario import Scenario, families
from layerlift.emulator.scenario.families import Family
from layerlift.emulator.scenario.schema.document import Given
from layerlift.emulator.studies.stress import battery, sources
from layerlift.emulator.studies.stress.battery import Push
from layerlift.emulator.studies.stress.changes import changed
from layerlift.emulator.studies.stress.jobs import Job
from layerlift.models.errors import CodeRefused, RunError
from layerlift.planners import make
from layerlift.planners.registry.base import capability

GATHER_S: Final = 2.0
"""How long planners that know of others only where they plan them together wait for them, in worlds of many users."""


@dataclass(frozen=True)
class Asked:
    """Contenders, and the worlds that they are to meet."""

    contenders: tuple[str, ...]
    """Planners; policies where `of_policies`."""
    references: tuple[str, ...]
    of_policies: bool
    planner: str
    """Of all users, where contenders are policies."""
    policy: str
    """Of all servers, where contenders are planners; empty: the families' own."""
    families: Mapping[str, Family]
    worlds: Mapping[str, int]
    """How many of each family everybody meets, by name."""
    further: int
    """How many times as many those meet who are undecided by then."""
    pushes: tuple[Push, ...]
    gather_s: float
    thorough: bool
    codes: Mapping[str, str]
    """What tells apart the code that everybody brings; empty for what ships (`sources.of_own`)."""

    @property
    def everybody(self) -> tuple[str, ...]:
        """Contenders and references, each once."""
        return tuple(dict.fromkeys([*self.contenders, *self.references]))

    def users(self, family: str) -> int:
        """How many users the first world of a family has."""
        return battery.users_in(self.families[family].document(families.HELD_OUT_FROM))

    def first(self) -> Iterator[Job]:
        """The first world of every family under everybody."""
        yield from (self.job(who, name, 0) for name in self.worlds for who in self.everybody)

    def others(self, who: str, family: str, known: int, count: int) -> Iterator[Job]:
        """The worlds of a family after those that are `known`, `count` in all."""
        yield from (self.job(who, family, world) for world in range(known, count))

    def step(self, who: str, push: Push, factor: float) -> Iterator[Job]:
        """One step of a ladder."""
        yield from (self.job(who, push.family, world, push.change, factor) for world in range(push.worlds))

    def job(self, who: str, family: str, world: int, change: str = "", factor: float = 1.0) -> Job:
        """One run, of a held-out seed: nothing that is judged was trained on it.

        Raises a `LayerliftError` for a world that cannot be, or a contender that cannot be had.
        """
        seed = families.HELD_OUT_FROM + world
        document = self.document(who, family, seed)
        if change:
            document = changed(document, change, factor)
        scenario = self.scenario(who, family, document)
        limit_s = battery.RUN_S * (battery.THOROUGH if self.thorough else 1)
        plain = scenario.model_dump(mode="json")
        # Worlds are proved under one contender, so that a proof is made once.
        prove = not change and who == self.references[0] and world < battery.PROVED
        code = self.codes[who]
        shared = not code and not self.families[family].folder
        return Job(who, family, world, seed, plain, scenario.trust, limit_s, change, factor, prove, code, shared)

    def document(self, who: str, family: str, seed: int) -> dict[str, Any]:
        """A drawn world; in one of many users who knows of others only by planning them together waits for them."""
        document = self.families[family].document(seed)
        planner = self.planner if self.of_policies else who
        if self.gather_s and battery.users_in(document) > 1 and _gathers(planner):
            document["planner"] = {"gather_s": self.gather_s, **document.get("planner", {})}
        return document | {"execution": "none"}

    def scenario(self, who: str, family: str, document: Mapping[str, Any]) -> Scenario:
        """The scenario of a drawn world with the contender in its place."""
        planner, policy = (self.planner, who) if self.of_policies else (who, self.policy)
        users = range(len(document.get("users", ()))) if planner else ()
        own = [Given.by(f"planner {planner}", f"users.{n}.planner={planner}") for n in users]
        groups = enumerate(document.get("nodes", ())) if policy else ()
        servers = [n for n, group in groups if group.get("tier") != "client"]
        own += [Given.by(f"policy {policy}", f"nodes.{n}.policy={policy}") for n in servers]
        return Scenario.from_dict(document, own, origin=f"{family}, seed {document.get('seed')}")


@cache
def _gathers(planner: str) -> bool:
    """Whether a planner plans users together, and is told of the others by nothing else."""
    made = make(planner)
    return bool(capability(made, "multi_user")) and capability(made, "wants_crowd") is not True


def asked(
    planners: Sequence[str],
    *,
    against: Sequence[str],
    names: Sequence[str | os.PathLike[str]],
    policies: Sequence[str],
    worlds: int | None,
    thorough: bool,
    push: bool,
    gather_s: float,
) -> Asked:
    """Check what was asked for. Raises a `LayerliftError` for whatever cannot be run, before anything does."""
    of_policies = not planners
    if of_policies and not policies:
        raise RunError("nobody is to be judged, expected a planner such as ionn, or a policy alone with --policy")
    if not of_policies and len(policies) > 1:
        raise RunError(f"{len(policies)} policies beside a planner: expected one, under which planners are judged")
    if worlds is not None and not 1 <= worlds <= battery.MOST_WORLDS:
        raise RunError(f"{worlds} worlds a family were asked for, expected 1 to {battery.MOST_WORLDS}")
    if not 0.0 <= gather_s < 1e6:
        raise RunError(f"planners are to wait {gather_s:g} s for others, expected seconds of at least 0")
    found = battery.chosen(names, battery.FOR_POLICIES if of_policies else ())
    count = {
        name: battery.worlds_of(family.document(families.HELD_OUT_FROM), worlds, thorough)
        for name, family in found.items()
    }
    ladders = battery.pushes(found, bool(names), thorough) if push and not of_policies else []
    # Ladders may be of families that are not among those of the card.
    for ladder in ladders:
        if ladder.family not in found:
            found[ladder.family] = families.load(ladder.family)
    references = tuple(against) or ((battery.POLICY,) if of_policies else battery.REFERENCES)
    contenders = tuple(dict.fromkeys(policies if of_policies else planners))
    policy = "" if of_policies else "".join(policies)
    codes = {who: sources.of_own(who) + sources.of_own(policy or battery.POLICY) for who in (*contenders, *references)}
    made = Asked(
        contenders,
        references,
        of_policies,
        battery.PLANNER if of_policies else "",
        policy,
        found,
        count,
        1 if worlds is not None or thorough else battery.FURTHER,
        tuple(ladders),
        gather_s,
        thorough,
        codes,
    )
    for who in made.everybody:
        if not of_policies:
            make(who)  # one that cannot be had would fail in every world, and the study would end well
        for name in count:
            made.job(who, name, 0)
            if found[name].folder:
                _resolved(made, who, name)
    return made


def _resolved(made: Asked, who: str, name: str) -> None:
    """See that the first world of a family from a file can be: its networks and policies are somebody's own."""
    try:
        made.scenario(who, name, made.document(who, name, families.HELD_OUT_FROM)).resolve()
    except CodeRefused:
        raise RunError(
            f"the family {name} names code, which a family may not: leave it out, and name the planner or --policy here"
        ) from None
