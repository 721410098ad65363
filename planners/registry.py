"""Planners by name: `make("recursive")`, `make("pso:particles=100+recursive")`, `make("my_package.mine:Mine")`.

Grammar: `HALF[+HALF]` with `HALF = NAME[:OPTIONS] | MODULE:CLASS[:OPTIONS]` and `OPTIONS = name=value[,name=value]`.
The first half places the layers, the second orders their upload. Alone, a planner that only places uploads P1 in
one piece per server (`direct`), and one that orders uploads chooses its own P1.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from models.errors import PlanError, near
from planners.base import Planner, PlannerBase, Uploader
from planners.combine import Combined
from planners.options import Option, options_of, split_options, typed

GROUP = "layerlift.planners"
"""Entry-point group by which an installed package offers planners."""

NO_PLUGINS = "LAYERLIFT_NO_PLUGINS"
"""Environment variable that, when not empty, switches the planners of other packages off."""

BUILTIN = {
    "local": "planners.baselines:Local",
    "all_remote": "planners.baselines:AllRemote",
    "random": "planners.baselines:Random",
    "greedy": "planners.baselines:Greedy",
    "one_climb": "planners.intervals:OneClimb",
    "gibbs": "planners.gibbs:Gibbs",
    "best_response": "planners.best_response:BestResponse",
    "exhaustive": "planners.exhaustive:Exhaustive",
    "direct": "planners.one_step:Direct",
    "one_step": "planners.one_step:OneStep",
    "shortest_path": "planners.shortest_path:ShortestPath",
    "min_cut": "planners.min_cut:MinCut",
    "optimal": "planners.optimal:Optimal",
    "pso": "planners.pso:Pso",
    "ga": "planners.ga:Ga",
    "sa": "planners.sa:Sa",
    "ionn": "planners.ionn:Ionn",
    "efficiency": "planners.efficiency:Efficiency",
    "recursive": "planners.efficiency:Recursive",
}

Maker = Callable[..., Planner]


@dataclass(frozen=True, slots=True)
class Spec:
    """A planner's name and where it comes from; `load` imports it."""

    name: str
    target: str | Maker
    """`module:Class`, or the class itself."""
    source: str = "layerlift"
    """The package that offers it."""

    def load(self) -> Maker:
        """The class (or function) that makes the planner. Raises `PlanError` when it cannot be imported."""
        return self.target if not isinstance(self.target, str) else _import(self.name, self.target, self.source)

    def attribute(self, name: str) -> Any:
        """A capability (see `PlannerBase`), with its default where the planner does not say."""
        return getattr(self.load(), name, getattr(PlannerBase, name, None))

    @property
    def options(self) -> dict[str, Option]:
        """What can be set after the colon."""
        return options_of(self.load())

    @property
    def uploads(self) -> bool:
        """Whether it can be the second half of a pair."""
        return hasattr(self.load(), "upload")

    def cite(self) -> str:
        """The source of the algorithm, or nothing."""
        cite = getattr(self.load(), "cite", None)
        return str(cite()) if cite is not None else ""


_registered: dict[str, Spec] = {name: Spec(name, target) for name, target in BUILTIN.items()}


def register(name: str, target: str | Maker, source: str = "registered") -> None:
    """Offer a planner under `name`; `target` is `module:Class`, imported when first wanted, or the class itself.

    Raises `PlanError` for a name that is taken or has characters with a meaning in planner texts.
    """
    if not re.fullmatch(r"[A-Za-z_][\w-]*", name):
        raise PlanError(f"planner name {name!r} was given, expected letters, digits, - and _, beginning with a letter")
    if name in _known():
        raise PlanError(f"planner {name!r} exists already (from {_known()[name][0].source}): choose another name")
    _registered[name] = Spec(name, target, source)


def unregister(name: str) -> None:
    """Take back what `register` did. Raises `PlanError` for a name that was not registered or is built in."""
    if name in BUILTIN or name not in _registered:
        raise PlanError(f"planner {name!r} was not registered, so it cannot be unregistered")
    del _registered[name]


def available() -> list[str]:
    """Names of all planners, sorted; nothing is imported."""
    return sorted(_known())


def spec(name: str) -> Spec:
    """The planner registered as `name`.

    Raises `PlanError` with the near names when there is none, or with both packages when two offer the name.
    """
    known = _known()
    if name not in known:
        raise PlanError(f"there is no planner {name!r}{near(name, known)}; a class of your own is written module:Class")
    first, *others = known[name]
    if others:
        packages = " and ".join(each.source for each in known[name])
        raise PlanError(f"planner {name!r} is offered twice, by {packages}: uninstall one or set {NO_PLUGINS}=1")
    return first


def specs() -> Iterator[Spec]:
    """All planners that can be imported, by name; one that cannot is skipped with a warning."""
    for name in available():
        try:
            found = spec(name)
            found.load()
        except PlanError as problem:
            warnings.warn(str(problem), stacklevel=2)
            continue
        yield found


def make(text: str, options: Mapping[str, object] | None = None) -> Planner:
    """Make the planner that `text` describes (see the grammar above).

    `options` adds to those of the first half. Raises `PlanError` for an unknown name or option (with near names),
    a value of the wrong type, a class that is no planner, a second half that cannot order uploads, or a missing module.
    """
    halves = re.split(r"\+(?!\d)", text.strip())
    if len(halves) > 2 or not all(half.strip() for half in halves):
        raise PlanError(f"planner {text!r} was given, expected NAME or OFFLOADING+UPLOADING (as in min_cut+recursive)")
    first = _make_half(halves[0].strip(), options or {})
    if not isinstance(first, Planner):
        raise PlanError(f"planner {halves[0]!r} makes a {type(first).__name__}, which has no method plan(problem, rng)")
    if len(halves) == 1:
        return first
    second = _make_half(halves[1].strip(), {})
    if not isinstance(second, Uploader):
        uploaders = ", ".join(found.name for found in specs() if found.uploads)
        raise PlanError(f"planner {halves[1]!r} cannot order uploads, expected one of: {uploaders}")
    return Combined(first, second)


def _make_half(text: str, options: Mapping[str, object]) -> object:
    name, _, rest = text.partition(":")
    if name in _known() or not rest or "=" in rest.split(":")[0]:
        found = spec(name)
    else:
        class_name, _, rest = rest.partition(":")
        name = f"{name}:{class_name}"
        found = Spec(name, name, "the command line")
    given: dict[str, object] = {**(split_options(name, rest) if rest else {}), **options}
    maker = found.load()
    _require(name, maker)
    return maker(**typed(name, maker, given))


def _require(name: str, maker: Maker) -> None:
    missing = [module for module in getattr(maker, "REQUIRED_MODULES", ()) if find_spec(module.split(".")[0]) is None]
    if missing:
        wanted = getattr(maker, "extra", "") or missing[0]
        raise PlanError(f"planner {name} needs the module {missing[0]}, which is not installed: pip install '{wanted}'")


def _known() -> dict[str, list[Spec]]:
    known = {name: [found] for name, found in _registered.items()}
    for found in _plugins():
        known.setdefault(found.name, []).append(found)
    return known


@lru_cache(maxsize=1)
def _plugins() -> tuple[Spec, ...]:
    """What installed packages offer; read once, imported only when wanted."""
    if os.environ.get(NO_PLUGINS):
        return ()
    points = metadata.entry_points(group=GROUP)
    return tuple(Spec(p.name, p.value, p.dist.name if p.dist else "an unknown package") for p in points)


def _import(name: str, target: str, source: str) -> Maker:
    module_name, _, attribute = target.partition(":")
    try:
        found: Any = _module(module_name)
    except Exception as problem:
        raise PlanError(
            f"planner {name!r} (from {source}) cannot be imported: {type(problem).__name__}: {problem}"
        ) from problem
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise PlanError(f"planner {name!r} (from {source}): {module_name} has no {part}{near(part, dir(found))}")
        found = getattr(found, part)
    if not callable(found):
        raise PlanError(f"planner {name!r} (from {source}) is a {type(found).__name__}, expected a class")
    maker: Maker = found
    return maker


def _module(name: str) -> object:
    """Import `name`; a module beside the user's files counts, although a console script does not look there."""
    here = os.getcwd()
    if here in sys.path or find_spec(name.split(".")[0]) is not None:
        return importlib.import_module(name)
    sys.path.append(here)
    importlib.invalidate_caches()
    return importlib.import_module(name)
