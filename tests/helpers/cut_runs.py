"""Networks cut anywhere, run piece by piece."""

from __future__ import annotations

import random

import numpy as np

from layerlift import models
from layerlift.models import Network, Session


def run_cut(network: Network, placement: list[int], inputs: dict[str, np.ndarray], **how: object) -> dict:
    """Run every segment in order, passing on declared outputs only, and return all that was seen."""
    graph = network.graph
    held, seen = dict(inputs), {}
    for segment in graph.segments(placement):
        piece = models.subgraph(network, segment.first, segment.last)
        entering, leaving = graph.boundary(segment.first, segment.last)
        assert piece.inputs == tuple(graph.tensors[t].name for t in entering)
        assert piece.outputs == tuple(graph.tensors[t].name for t in leaving)
        feeds = {name: held[name] for name in piece.inputs}
        feeds.update({name: network.weights()[name] for name in piece.big})
        made = Session(piece.model, **how).run(feeds)
        seen.update(made)
        held.update({name: made[name] for name in piece.outputs})
    return seen


def long_runs(network: Network, rng: random.Random, stay: float, nodes: int = 4) -> list[int]:
    placement = [rng.randrange(nodes)]
    for _ in network.graph.layers[1:]:
        placement.append(placement[-1] if rng.random() < stay else rng.randrange(nodes))
    return placement
