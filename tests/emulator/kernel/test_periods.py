"""Instants that come again and again: which period a moment belongs to."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerlift.emulator.kernel import periods

_periods = st.one_of(st.sampled_from((0.1, 0.3, 1.0, 1.125)), st.floats(1e-3, 10.0))


@given(_periods, st.integers(0, 10**6), st.sampled_from((0.0, 0.5, 1.0)))
def test_a_moment_belongs_to_the_period_that_it_lies_in_or_ends(period_s: float, count: int, share: float) -> None:
    at_s = count * period_s if share == 1.0 else (count + share) * period_s
    from_, after = periods.ending_from(at_s, period_s), periods.ending_after(at_s, period_s)
    assert from_ >= 1
    assert from_ * period_s >= at_s
    assert from_ == 1 or (from_ - 1) * period_s < at_s
    assert (after - 1) * period_s <= at_s < after * period_s


def test_an_infinite_period_is_the_only_one() -> None:
    assert periods.ending_from(5.0, inf) == periods.ending_after(5.0, inf) == 1
    assert periods.beginning_s(1, inf) == 0.0
    assert periods.beginning_s(3, 0.5) == 1.0


@pytest.mark.parametrize("at_s", [1e12, 1e15])
def test_numbers_too_large_for_doubles_still_have_an_end(at_s: float) -> None:
    assert periods.ending_after(at_s, 1e-9) * 1e-9 > at_s
