"""Where a scenario's models and planners come from; tests and other tools may bring their own."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from emulator.sections import Model
from models.graph import LayerGraph
from models.loading import load
from models.network import Network


@dataclass(frozen=True, slots=True)
class Priced:
    """A network and the reference seconds of its layers, by device class."""

    graph: LayerGraph
    digest: str
    seconds: Mapping[str, tuple[float, ...]]
    ghz: Mapping[str, float]
    """The speed at which each class was measured."""


class Catalog(Protocol):
    """What `Scenario.resolve` asks for by name. Both raise a `LayerliftError` for what they do not have."""

    def price(self, source: str, options: Model, classes: tuple[str, ...]) -> Priced:
        """Return the network `source` (a zoo name or a file) with its seconds on each device class."""

    def planner(self, text: str) -> None:
        """Accept a planner such as `ionn` or `pso:particles=100`."""


class Shelf:
    """The zoo, ONNX files, profiles that ship with the project or lie in files, and the registered planners."""

    def price(self, source: str, options: Model, classes: tuple[str, ...]) -> Priced:
        """See `Catalog`. Networks are loaded once; their weights are not."""
        files = tuple(_version(name) for name in (source, *classes))
        return _price(source, tuple(sorted(options.dims.items())), classes, files)

    def planner(self, text: str) -> None:
        """See `Catalog`."""
        make = importlib.import_module("planners").make
        make(text)


def network(source: str, options: Model) -> Network:
    """Load a network as a scenario asks for it; its weights come when somebody runs it. Raises `ModelError`."""
    return load(source, dims=options.dims or None, seed=options.weights_seed, spectrum=options.spectrum)


def _version(name: str) -> tuple[int, int]:
    """What changes when a file is written again; zeros for names of the zoo."""
    try:
        found = Path(name).stat()
    except (OSError, ValueError):
        return 0, 0
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=64)
def _price(source: str, dims: tuple[tuple[str, int], ...], classes: tuple[str, ...], files: object) -> Priced:
    profile = importlib.import_module("models.profile")
    loaded = network(source, Model(dims=dict(dims)))
    profiles = {name: profile.reference(loaded) if name == "reference" else profile.load(name) for name in classes}
    return Priced(
        loaded.graph,
        loaded.digest,
        {name: tuple(found.seconds) for name, found in profiles.items()},
        {name: float(found.ghz) for name, found in profiles.items()},
    )
