"""The users of a scenario: one line of it becomes hundreds that differ in what they draw from the seed.

Every drawn number has a substream of its own, named after its purpose and the kind of users, so that another kind,
or another field, changes none of them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from layerlift.emulator.scenario.checks.names import kind_name
from layerlift.emulator.scenario.resolving.catalog import Catalog
from layerlift.emulator.scenario.schema import sections
from layerlift.emulator.scenario.schema.arrivals import Law
from layerlift.emulator.scenario.schema.description import Description
from layerlift.emulator.scenario.schema.document import FieldPath
from layerlift.emulator.scenario.schema.durations import draw_of
from layerlift.emulator.scenario.schema.fields import CodeFlaw, Flaw, shown
from layerlift.emulator.scenario.schema.files import Files
from layerlift.emulator.scenario.schema.loops.slow import SlowSection
from layerlift.emulator.scenario.schema.trust import Trust
from layerlift.emulator.scenario.schema.unions import key_of
from layerlift.emulator.world import streams
from layerlift.emulator.world.laws import Asks, Draw, Fixed
from layerlift.emulator.world.machines import INF, NodeSpec
from layerlift.emulator.world.users import Slow, UserSpec
from layerlift.models.errors import CodeRefused, LayerliftError, ScenarioError
from layerlift.planners.problem.problem import Objective
from layerlift.planners.registry.plugins import code_allowed


@dataclass
class Population:
    """The users, and the models that they ask for, in the order of first mention."""

    made: tuple[UserSpec, ...]
    models: list[tuple[str, FieldPath]]


def population(scenario: Description, clients: Sequence[NodeSpec], shelf: Catalog, files: Files) -> Population:
    """Give each user a client: those a kind brings, or the next listed ones.

    Raises `Flaw` for an unknown planner, or a trace that cannot be used or is too short.
    """
    brought = {index: _brought(scenario, index, clients) for index in range(len(scenario.users))}
    listed = iter(_listed(scenario, clients))
    models: dict[str, FieldPath] = {}
    made: list[UserSpec] = []
    for index, kind in enumerate(scenario.users):
        _known_planner(kind.planner, ("users", index, "planner"), shelf, scenario.trust)
        for name in kind.model:
            models.setdefault(name, ("users", index, "model"))
        own = brought[index] if kind.device else list(islice(listed, kind.count))
        made.extend(_kind(scenario, index, own, list(models), len(made), files))
    return Population(tuple(made), list(models.items()))


def _listed(scenario: Description, nodes: Sequence[NodeSpec]) -> list[int]:
    count = sum(group.count or 1 for group in scenario.nodes if group.tier == "client")
    return [node.index for node in nodes[:count]]


def _brought(scenario: Description, index: int, nodes: Sequence[NodeSpec]) -> list[int]:
    before = len(_listed(scenario, nodes))
    before += sum(kind.count or 1 for kind in scenario.users[:index] if kind.device)
    return list(range(before, before + (scenario.users[index].count or 1)))


def _known_planner(text: str, path: FieldPath, shelf: Catalog, trust: Trust) -> None:
    try:
        with code_allowed(trust.allows(text)):
            shelf.planner(text)
    except CodeRefused as error:
        raise CodeFlaw(path, f"is {shown(text)}: {error}") from None
    except LayerliftError as error:
        raise Flaw(path, f"is {text!r}: {error}") from None


def _kind(
    scenario: Description, index: int, clients: list[int], models: list[str], first: int, files: Files
) -> list[UserSpec]:
    kind, drawn = scenario.users[index], _Drawn(scenario, index, len(clients), files)
    arrivals, objectives, stays = drawn.arrivals(), drawn.objectives(), drawn.stays()
    asked, asks, think = drawn.models(models), drawn.asks(), draw_of(kind.think_s)
    return [
        UserSpec(
            index=first + number,
            name=f"{drawn.name}-{number + 1}",
            client=client,
            model=asked[number],
            planner=kind.planner,
            objective=objectives[number],
            arrival_s=arrivals[number],
            queries=kind.queries,
            think_s=think.mean_s,
            kind=drawn.name,
            profile_runs=kind.profile_runs,
            query=kind.query,
            uploads_at_once=kind.uploads_at_once,
            cr_timeout_s=INF if kind.cr_timeout_s is None else kind.cr_timeout_s,
            retries=kind.retries,
            on_refusal=kind.on_refusal,
            retry_wait_s=kind.retry_wait_s,
            think_law=None if isinstance(think, Fixed) else think,
            asks=asks,
            in_flight=kind.in_flight,
            queue=kind.queue,
            late=kind.late,
            stay=stays[number],
            stay_law=None if kind.stay_s is None else draw_of(kind.stay_s),
            weight=kind.weight,
            backoff_s=kind.backoff_s,
            resume=kind.resume,
            **_replan(kind.replan),
        )
        for number, client in enumerate(clients)
    ]


def _replan(given: str | float | SlowSection) -> dict[str, Any]:
    if isinstance(given, SlowSection):
        return {"replan": "slow", "slow": Slow(given.factor, given.for_s, given.cooldown_s)}
    return {"replan": given} if isinstance(given, str) else {"replan": "every", "replan_s": given}


class _Drawn:
    """What the members of one kind draw, each purpose from its own substream of the seed."""

    def __init__(self, scenario: Description, index: int, count: int, files: Files) -> None:
        self.kind = scenario.users[index]
        self.name = kind_name(scenario, index)
        self._path: FieldPath = ("users", index)
        self._seed, self._files, self._count = scenario.seed, files, count

    def arrivals(self) -> list[float]:
        times = self._law("arrival", self.kind.arrival).times(self._count, self._stream("arrival"))
        if len(times) < self._count:
            key = key_of(type(self.kind.arrival))
            raise Flaw(
                (*self._path, "arrival", key),
                f"is {getattr(self.kind.arrival, key)!r}, which has {len(times):,} arrivals for {self._count:,} users: "
                "expected a row for each (or give repeat_s)",
            )
        return times

    def models(self, known: list[str]) -> list[int]:
        mix = self.kind.model
        rng = self._stream("model")
        return rng.choices([known.index(name) for name in mix], list(mix.values()), k=self._count)

    def objectives(self) -> list[Objective]:
        given = self.kind.objective
        if isinstance(given, sections.ObjectiveSection):
            return [_objective(given)] * self._count
        shares = [each.share for each in given]
        return self._stream("objective").choices(list(map(_objective, given)), shares, k=self._count)

    def stays(self) -> list[Draw | None]:
        if self.kind.stay_s is None:
            return [None] * self._count
        law, rng = draw_of(self.kind.stay_s), self._stream("stay")
        return [Fixed(law.value(rng)) for _ in range(self._count)]

    def asks(self) -> Asks | None:
        return None if self.kind.asks is None else self._law("asks", self.kind.asks)

    def _stream(self, purpose: str) -> random.Random:
        return streams.kind(self._seed, purpose, self.name)

    def _law(self, field: str, section: Law) -> Asks:
        try:
            return section.law(self._files)
        except ScenarioError as error:
            raise Flaw((*self._path, field, key_of(type(section))), f"cannot be used: {error}") from None


def _objective(given: sections.ObjectiveSection) -> Objective:
    return Objective(**given.model_dump(exclude={"share"}))
