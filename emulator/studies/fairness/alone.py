"""Each kind of user alone in its world: the latencies that a slowdown is measured against."""

from __future__ import annotations

import dataclasses
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import PrivateAttr

from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.run import run
from layerlift.emulator.runtime.interruption import Stopped
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.inputs import Inputs
from layerlift.emulator.scenario.resolving.catalog import Catalog
from layerlift.emulator.studies.fairness.people import people
from layerlift.emulator.world.users import UserSpec
from layerlift.emulator.world.world import World
from layerlift.models.errors import RunError


def alone_latencies(
    scenario: Scenario,
    *,
    each: bool = False,
    notice: Callable[[str], None] | None = None,
    memory: PlanMemory | None = None,
) -> dict[str, list[float]]:
    """Run users alone and return what their queries took (s), by query number;
    `layerlift.emulator.studies.fairness.people.Alone`.

    Of each kind one user per model runs, the one whose device has the median speed (of two, the slower): the key is
    the kind, or `kind/model` for a kind of several models. Other users of the kind are measured against it, so that
    a slowdown then has the difference of their devices in it. With `each` every user runs, by its name; users of
    equal machines, links and habits share a run.

    The user meets the same world, seed, arrival instant, faults and end; the other clients stay idle. Runs are local,
    with execution none. A query that is open when the run ends is not in the list, unless it is the only one: then
    its age is. `notice` gets a sentence before each run; `memory` holds what has been planned already. Raises
    `RunError` for `compute: measured`, which has no latencies before it executes, what `layerlift.emulator.run.run`
    raises, and `KeyboardInterrupt` when one of the runs was interrupted.
    """
    if scenario.compute == "measured":
        raise RunError("the scenario has compute: measured, so users cannot run alone without execution: try profiled")
    world, memory = scenario.resolve(), memory or PlanMemory()
    chosen = _classes(world) if each else _typical(world)
    found: dict[str, list[float]] = {}
    for names, user in chosen:
        if notice is not None:
            notice(f"Running {user.name} alone ({user.kind}, {world.models[user.model].name})")
        latencies = _latencies(scenario, world, user, memory)
        if latencies:
            found.update(dict.fromkeys(names, latencies))
    return found


def alone_world(world: World, user: UserSpec) -> World:
    """Return the world in which this user is the only one; machines and links stay."""
    return dataclasses.replace(world, users=(dataclasses.replace(user, index=0),))


class _Solitude(Scenario):
    """A scenario that resolves to a world already known."""

    _world: World | None = PrivateAttr(None)

    def resolve(self, catalog: Catalog | None = None, inputs: Inputs | None = None) -> World:
        assert self._world is not None
        return self._world


def _latencies(scenario: Scenario, world: World, user: UserSpec, memory: PlanMemory) -> list[float]:
    one = _Solitude.from_dict(scenario.model_dump(mode="json") | {"execution": "none"})
    assert isinstance(one, _Solitude)
    one._world = alone_world(world, user)
    result = run(one, local=True, memory=memory)
    if not result.complete:
        raise Stopped.told(result.run)
    person = people(result.queries, result.run["world"])[0]
    answered = [query.latency_s for query in person.queries if query.state == "answered"]
    return answered or [query.latency_s for query in person.waits if query.latency_s > 0][:1]


def _typical(world: World) -> list[tuple[list[str], UserSpec]]:
    groups: dict[str, dict[int, list[UserSpec]]] = defaultdict(lambda: defaultdict(list))
    for user in world.users:
        groups[user.kind][user.model].append(user)
    chosen: list[tuple[list[str], UserSpec]] = []
    for kind, models in groups.items():
        for model, users in models.items():
            key = kind if len(models) == 1 else f"{kind}/{world.models[model].name}"
            chosen.append(([key], _median(world, users)))
    return chosen


def _median(world: World, users: list[UserSpec]) -> UserSpec:
    speeds = {user.name: world.nodes[user.client].ghz for user in users}
    middle = statistics.median_low(speeds.values())
    return next(user for user in users if speeds[user.name] == middle)


def _classes(world: World) -> list[tuple[list[str], UserSpec]]:
    """Users who would have the same latencies alone, by one of them."""
    shared: dict[Any, tuple[list[str], UserSpec]] = {}
    for user in world.users:
        shared.setdefault(_habits(world, user), ([], user))[0].append(user.name)
    return list(shared.values())


def _habits(world: World, user: UserSpec) -> tuple[Any, ...]:
    node = dataclasses.replace(world.nodes[user.client], index=0, name="")
    drawn = user.asks is not None or user.think_law is not None or world.faults or world.mobility
    name = user.name if drawn else ""  # whose instants or conditions are its own has latencies of its own
    own = dataclasses.replace(user, index=0, name=name, client=0)
    return repr(own), repr(node), _own_links(world.pairs, user.client)


def _own_links(pairs: Mapping[tuple[int, int], Any], client: int) -> tuple[Any, ...]:
    there = sorted((to, repr(link)) for (source, to), link in pairs.items() if source == client)
    back = sorted((source, repr(link)) for (source, to), link in pairs.items() if to == client)
    return tuple(there), tuple(back)
