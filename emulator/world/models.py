"""Networks and what their layers cost, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from layerlift.models.graph.graph import LayerGraph


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A network and what its layers cost. `seconds[profile][layer]` are reference seconds."""

    name: str
    source: str
    """What `models.load` takes: a zoo name or a path."""
    graph: LayerGraph
    seconds: Mapping[str, tuple[float, ...]]
    reference_ghz: Mapping[str, float]
    """The speed that `seconds[profile]` stands for: a node of `ghz / cores` takes reference_ghz / that times longer."""
    digest: str = ""
    floor_s: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Seconds that no clock makes shorter, by profile: moving a layer's bytes through that device class's memory."""
    batches: Mapping[str, tuple[tuple[int, tuple[float, ...]], ...]] = field(default_factory=dict)
    """By profile, for each measured number of queries at once, ascending and above 1: reference seconds per layer for
    all of them. Only of profiles that servers use which batch."""
    floor_more_s: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """By profile, what each further query of a batch adds to `floor_s`."""
    predicted_s: tuple[float, ...] = ()
    """What a regression says of each layer, in seconds at `predicted_ghz`; empty unless predictions are regressions."""
    predicted_ghz: float = 1.0
    unpredicted: Mapping[str, int] = field(default_factory=dict)
    """Layers by operator that no regression of their own says anything of; empty unless predictions are regressions."""
    unpredicted_share: float = 0.0
    """Share of the predicted seconds that these layers have."""
