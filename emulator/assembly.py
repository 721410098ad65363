"""What a run is put together from: hosts, plans and data plane, in this process or over Ray."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from layerlift.emulator.cluster.plans import RayPlans
from layerlift.emulator.execution.backends import LocalBackend
from layerlift.emulator.execution.dataplane import DataPlane as Tensors
from layerlift.emulator.execution.dataplane import Execution
from layerlift.emulator.planning.asking import PlanLog
from layerlift.emulator.planning.local import LocalPlans
from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.planning.workers import workers_of
from layerlift.emulator.results.rows import Write
from layerlift.emulator.runtime.local_hosts import LocalHosts
from layerlift.emulator.runtime.placing import Placing, count_of, place
from layerlift.emulator.runtime.ports import Hosts, Plans
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.world.world import World
from layerlift.models.errors import RunError, near


@dataclass(frozen=True, slots=True)
class Options:
    """What a run may differ in without being another scenario."""

    local: bool = False
    """No Ray: everything in this process."""
    actors: str | int = "auto"
    time_plane: str = "auto"
    address: str | None = None
    """A running Ray cluster to join; None: start one on this machine."""
    pace: float | None = None
    """Virtual seconds per second of wall clock; None: as fast as it goes."""
    strict: bool = False
    """Make a failed planning, or a paced run that is not to be trusted, an error."""
    plan_workers: str | int = 1
    """Processes in which planners that take long plan beside each other; `auto`: one for each CPU."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        """Make options of what a caller gave. Raises `RunError` for one that there is not."""
        names = [field.name for field in fields(cls)]
        for name in given:
            if name not in names:
                raise RunError(f"run has no option {name!r}, expected some of {', '.join(names)}{near(name, names)}")
        made = cls(**given)
        count_of(made.actors)  # whether or not there will be actors
        workers_of(made.plan_workers)
        return made


@dataclass(slots=True)
class Assembly:
    """What a run needs, ready to begin."""

    hosts: Callable[[], Hosts]
    """Called once the results have a place: nodes that begin to live must be run."""
    plans: Plans
    tensors: Tensors | None
    placing: str
    one_process: bool
    """Whether the time plane is in this process."""


def assemble(
    stack: ExitStack,
    scenario: Scenario,
    world: World,
    options: Options,
    execution: Execution,
    write: Write,
    say: Callable[[str], None],
    memory: PlanMemory | None,
    log: PlanLog,
    stopped: Mapping[str, str] | None,
    lost: Callable[[str], None],
) -> Assembly:
    """Put together what a run of `world` needs; `stack` closes it.

    `execution` is what of the layers really runs, whose rows `write` takes; `say` is told what takes long, `memory`
    holds what has been planned before, `log` notes plannings, and `stopped` are those that a replayed run stopped;
    `lost` is told, from another thread, when Ray dies. Raises a `LayerliftError` for what cannot be had: a model's
    weights, Ray.
    """
    executes, workers = execution != "none", workers_of(options.plan_workers)
    networks = [scenario.network(model.name) for model in world.models] if executes else []
    settings: dict[str, Any] = {
        "execution": execution,
        "inputs": scenario.inputs,
        "optimization": scenario.graph_optimization,
    }
    if options.local:
        placing = place(world, 1, "local")
        tensors = None
        if executes:
            for network in networks:
                network.weights()  # what cannot be read is refused before anything is written
            backend = LocalBackend(networks, scenario.graph_optimization)
            tensors = Tensors(world, networks, backend, write, **settings)
        hosts = partial(LocalHosts, world, placing.groups, executes)
        plans = stack.enter_context(closing(LocalPlans(world, memory, log, stopped, workers)))
        return Assembly(hosts, plans, tensors, "in one process, without Ray", True)
    plan = partial(RayPlans, world, log=log, stopped=stopped, aside=workers > 1)
    return _over_ray(stack, scenario, world, options, networks, settings, write, say, plan, lost)


def _over_ray(
    stack: ExitStack,
    scenario: Scenario,
    world: World,
    options: Options,
    networks: list[Any],
    settings: dict[str, Any],
    write: Write,
    say: Callable[[str], None],
    plan: Callable[[Any], RayPlans],
    lost: Callable[[str], None],
) -> Assembly:
    placing: Placing = place(world, options.actors, options.time_plane)
    say(f"Starting Ray: running {placing.why}")
    from layerlift.emulator.cluster.backend import RayBackend
    from layerlift.emulator.cluster.hosts import RayHosts
    from layerlift.emulator.cluster.session import RayCluster

    stack.enter_context(RayCluster(options.address, say=say, lost=lost))
    actors = RayHosts(world, placing.groups, bool(networks), scenario.graph_optimization)
    stack.callback(actors.close)
    actors.wait()
    tensors = None
    if networks:
        say("Putting weights into the object store")
        backend = RayBackend(actors, networks)
        networks.clear()
        tensors = Tensors(world, backend.networks, backend, write, **settings)
    here = placing.time_plane == "local"
    local = partial(LocalHosts, world, [[node.index for node in world.nodes]], tensors is not None)
    hosts: Callable[[], Hosts] = local if here else lambda: actors
    plans = stack.enter_context(closing(plan(actors)))
    return Assembly(hosts, plans, tensors, placing.why, here)
