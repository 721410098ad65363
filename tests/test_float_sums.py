"""Nothing that reaches a digest is added by the builtin `sum`, which rounds otherwise under Python 3.12 and later."""

from __future__ import annotations

import math

import house
import pytest
from float_sums import float_sums
from hypothesis import given
from hypothesis import strategies as st

from layerlift.models.sums import int_sum, left_sum

MODULE = "layerlift.planners.cost.query"


def test_no_digested_number_is_added_by_the_builtin() -> None:
    assert float_sums(house.tree_on_disk()) == []


@pytest.mark.parametrize(
    "line",
    [
        "x = sum(seconds)",
        "x = sum(spent_s for spent_s in all)",
        "x = sum([price * size_bytes for price in all])",
        "x = reduced(sum, rows)",
        "x = sum(map(price, all))",
        "x = sum(size_bytes / holders for size_bytes in all)",
        "x = math.sumprod(left, right)",
        "x = statistics.fmean(all)",
    ],
)
def test_the_rule_fails_on_floats(line: str) -> None:
    assert len(float_sums({MODULE: line})) == 1
    assert float_sums({"layerlift.emulator.report.page": line}) == []


@pytest.mark.parametrize(
    "line",
    [
        "x = sum(1 for each in all)",
        "x = sum(map(len, all))",
        "x = sum(each.held_bytes for each in all)",
        "x = sum(group.count or 1 for group in all)",
        "x = sum(each not in before for each in all)",
        "x = sum(graph.upload_bytes(each) for each in all)",
        "x = array.sum(axis=1)",
    ],
)
def test_the_rule_lets_integers_pass(line: str) -> None:
    assert float_sums({MODULE: line}) == []


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100, max_value=1e100)))
def test_left_sum_rounds_after_each_step(values: list[float]) -> None:
    added = 0.0
    for value in values:
        added += value
    assert left_sum(values) == added


def test_left_sum_is_not_compensated() -> None:
    assert left_sum([0.1] * 10) == 0.9999999999999999
    assert math.fsum([0.1] * 10) == 1.0
    assert int_sum([True, 2]) == 3
