"""Planners by name: `make("recursive")`, `make("pso:particles=100+recursive")`, `make("my_package.mine:Mine")`.

Grammar: `HALF[+HALF]` with `HALF = NAME[:OPTIONS] | MODULE:CLASS[:OPTIONS]` and `OPTIONS = name=value[,name=value]`.
The first half places the layers, the second orders their upload. Alone, a planner that only places uploads P1 in
one piece per server (`direct`), and one that orders uploads chooses its own P1.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from layerlift.models.errors import PlanError
from layerlift.planners.registry import plugins
from layerlift.planners.registry.base import Planner, PlannerBase, Uploader
from layerlift.planners.registry.combine import Combined
from layerlift.planners.registry.plugins import NO_PLUGINS, Maker

__all__ = [
    "BUILTIN",
    "GROUP",
    "NO_PLUGINS",
    "Maker",
    "Spec",
    "asked",
    "available",
    "make",
    "register",
    "spec",
    "specs",
    "unregister",
]

GROUP = "layerlift.planners"
"""Entry-point group by which an installed package offers planners."""

BUILTIN = {
    "local": "layerlift.planners.offloading.baselines:Local",
    "all_remote": "layerlift.planners.offloading.baselines:AllRemote",
    "random": "layerlift.planners.offloading.baselines:Random",
    "greedy": "layerlift.planners.offloading.baselines:Greedy",
    "one_climb": "layerlift.planners.graphs.intervals:OneClimb",
    "gibbs": "layerlift.planners.game.gibbs:Gibbs",
    "spread": "layerlift.planners.game.spread:Spread",
    "best_response": "layerlift.planners.game.best_response:BestResponse",
    "exhaustive": "layerlift.planners.exact.exhaustive:Exhaustive",
    "direct": "layerlift.planners.offloading.one_step:Direct",
    "one_step": "layerlift.planners.offloading.one_step:OneStep",
    "shortest_path": "layerlift.planners.offloading.shortest_path:ShortestPath",
    "units": "layerlift.planners.offloading.units:Units",
    "labels": "layerlift.planners.offloading.labels:Labels",
    "pipeline": "layerlift.planners.offloading.pipeline:Pipeline",
    "min_cut": "layerlift.planners.offloading.min_cut:MinCut",
    "optimal": "layerlift.planners.exact.optimal:Optimal",
    "pso": "layerlift.planners.swarm.pso:Pso",
    "ga": "layerlift.planners.swarm.ga:Ga",
    "sa": "layerlift.planners.swarm.sa:Sa",
    "dil": "layerlift.planners.learned.dil:Dil",
    "ddlo": "layerlift.planners.learned.ddlo:Ddlo",
    "meta_drl": "layerlift.planners.learned.meta_drl:MetaDrl",
    "drl": "layerlift.planners.learned.drl:Drl",
    "ddpqn": "layerlift.planners.learned.ddpqn:Ddpqn",
    "crowd": "layerlift.planners.learned.crowd.planner:Mixed",
    "ionn": "layerlift.planners.uploading.ionn:Ionn",
    "efficiency": "layerlift.planners.uploading.efficiency:Efficiency",
    "recursive": "layerlift.planners.uploading.efficiency:Recursive",
}


@dataclass(frozen=True, slots=True)
class Spec(plugins.Spec):
    """A planner's name and where it comes from."""

    base: ClassVar[type] = PlannerBase

    @property
    def uploads(self) -> bool:
        """Whether it can be the second half of a pair."""
        return self.attribute("upload") is not None

    @property
    def orders(self) -> bool:
        """Whether it may be the second half of a pair: a function that makes planners has yet to show what."""
        return self.uploads or not inspect.isclass(self.load())


_registry = plugins.Registry(Spec, GROUP, BUILTIN, "plan(problem, rng)")
_plugins = _registry.plugins
register, unregister = _registry.register, _registry.unregister
available, asked, spec, specs = _registry.available, _registry.asked, _registry.spec, _registry.specs


def make(text: str, options: Mapping[str, object] | None = None) -> Planner:
    """Make the planner that `text` describes (see the grammar above).

    `options` adds to those of the first half. Raises `PlanError` for an unknown name or option (with near names),
    a value of the wrong type, a class that is no planner, a second half that cannot order uploads, or a missing module.
    """
    halves = re.split(r"\+(?!\d)", text.strip())
    if len(halves) > 2 or not all(half.strip() for half in halves):
        raise PlanError(f"planner {text!r} was given, expected NAME or OFFLOADING+UPLOADING (as in min_cut+recursive)")
    first = _half(halves[0], options)
    if not isinstance(first, Planner):
        raise PlanError(f"planner {halves[0]!r} makes a {type(first).__name__}, which has no method plan(problem, rng)")
    if len(halves) == 1:
        return first
    if not _registry.named(halves[1].strip())[0].orders:
        raise _no_uploader(halves[1])
    second = _half(halves[1], None, "upload(problem, placement, rng)")
    if not isinstance(second, Uploader):
        raise _no_uploader(halves[1])
    return Combined(first, second)


def _no_uploader(half: str) -> PlanError:
    uploaders = ", ".join(found.name for found in specs() if found.uploads)
    return PlanError(f"planner {half!r} cannot order uploads, expected one of: {uploaders}")


def _half(text: str, options: Mapping[str, object] | None, method: str | None = None) -> object:
    made: object = _registry.make(text.strip(), options, method)
    return made
