"""The vectorised cost model says what the scalar one says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planner_problems import problems
from strategies import placements

from layerlift.planners import cost
from layerlift.planners.cost import batch


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_every_column_equals_the_scalar_model(data: st.DataObject) -> None:
    problem = data.draw(problems())
    nodes = len(problem.nodes)
    rows = [data.draw(placements(problem.graph, nodes)) for _ in range(data.draw(st.integers(1, 5)))]
    table = batch.evaluate(problem, np.array(rows))
    for row, placement in enumerate(rows):
        single = cost.evaluate(problem, placement)
        close = pytest.approx
        assert table.latency_s[row] == close(single.latency_s, rel=1e-12, abs=1e-15)
        assert table.energy_j[row] == close(single.energy_j, rel=1e-12, abs=1e-15)
        assert table.money[row] == close(single.money, rel=1e-12, abs=1e-15)
        assert table.balance[row] == close(single.balance, rel=1e-9, abs=1e-12)
        assert table.busy_s[row] == close(single.busy_s, rel=1e-12, abs=1e-15)
    assert batch.fits(problem, np.array(rows)).tolist() == [cost.fits(problem, p) for p in rows]
    assert batch.held_bytes(problem, np.array(rows)).tolist() == [cost.held_bytes(problem, p) for p in rows]
