"""The intervals of a menu: of networks with layers that must stay at home, each move once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from layerlift.planners.game.menu import _broken
from layerlift.planners.graphs.intervals import grains
from layerlift.planners.graphs.spans import spans_of
from layerlift.planners.testing.problems import battery


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["chain", "modules"])
def test_of_intervals_that_move_the_same_layers_the_first_is_kept(name: str, seed: int) -> None:
    whole = battery()[name]
    rng = np.random.default_rng(seed)
    allowed = whole.allowed.copy()
    allowed[:, 1] = rng.random(len(allowed)) < 0.6
    problem = replace(whole, allowed=allowed, memory_bytes=np.full(len(whole.nodes), np.inf))
    spans = spans_of(problem.graph, grains(problem), problem.header_bytes)
    chosen = np.arange(len(spans.first))
    first: dict[tuple[int, ...], tuple[int, int]] = {}
    for start, end in zip(spans.first.tolist(), spans.last.tolist(), strict=True):
        moved = tuple(layer for layer in range(start, end + 1) if allowed[layer, 1])
        if moved:
            first.setdefault(moved, (start, end))
    made = _broken(problem, spans, 1, chosen)
    assert sorted(zip(made.first.tolist(), made.last.tolist(), strict=True)) == sorted(first.values())
    assert len(first) < len(chosen)
