"""Indices of fairness: hand-worked values, and the properties that each is known for."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerlift.emulator.studies.fairness.indices import (
    alpha_welfare,
    coefficient_of_variation,
    disruptions_per_arrival,
    even_equivalent,
    fairness_ratio,
    gini,
    jain,
    mean,
    min_max_ratio,
    percentile,
    price_of_fairness,
    spearman,
    starvation_share,
)
from layerlift.models.errors import RunError

INF = math.inf
BENEFITS = st.lists(st.floats(0, 1e6).map(lambda x: round(x, 3)), min_size=1, max_size=12)
POSITIVE = st.lists(st.floats(0.01, 1e4), min_size=1, max_size=10)
few = settings(max_examples=40, deadline=None)


@pytest.mark.parametrize(
    ("index", "values", "expected"),
    [
        (jain, [1, 2, 3], 36 / 42),
        (jain, [1, 0, 0, 0], 1 / 4),
        (jain, [5, 5, 0, 0], 2 / 4),
        (jain, [INF, 1, 1], 1 / 3),
        (jain, [INF, INF], 1.0),
        (jain, [1e300, 1e300], 1.0),
        (jain, [1e-300, 3e-300], 16 / 20),
        (min_max_ratio, [1, 2, 4], 1 / 4),
        (min_max_ratio, [0, 4], 0.0),
        (min_max_ratio, [3, INF], 0.0),
        (gini, [1, 2, 3], 8 / 36),
        (gini, [1, 0, 0, 0], 3 / 4),
        (gini, [0, 1], 1 / 2),
        (gini, [INF, 1, 1], 2 / 3),
        (coefficient_of_variation, [1, 3], 1 / 2),
        (coefficient_of_variation, [1, 0, 0, 0], math.sqrt(3)),
    ],
)
def test_worked_by_hand(index, values, expected):
    assert index(values) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("index", "equal"), [(jain, 1.0), (min_max_ratio, 1.0), (gini, 0.0), (coefficient_of_variation, 0.0)]
)
def test_nobody_one_user_zeros_and_nonsense(index, equal):
    assert math.isnan(index([]))
    for alike in ([7.0], [0.0], [0.0, 0.0], [2.5, 2.5, 2.5], [INF]):
        assert index(alike) == equal
    for nonsense in (math.nan, -1.0):
        with pytest.raises(RunError, match="at least 0"):
            index([1.0, nonsense])


@few
@given(BENEFITS, st.floats(0.001, 1000))
def test_scale_and_replication_change_nothing(values, factor):
    for index in (jain, min_max_ratio, gini, coefficient_of_variation):
        assert index([factor * v for v in values]) == pytest.approx(index(values), abs=1e-9)
        assert index(values * 3) == pytest.approx(index(values), abs=1e-9)
        assert index(values[::-1]) == pytest.approx(index(values), abs=1e-12)


@few
@given(BENEFITS)
def test_bounds_and_equality(values):
    n = len(values)
    assert 1 / n - 1e-12 <= jain(values) <= 1
    assert 0 <= min_max_ratio(values) <= 1
    assert 0 <= gini(values) <= 1 - 1 / n + 1e-12
    assert coefficient_of_variation(values) <= math.sqrt(n - 1) + 1e-9
    assert jain(values) == pytest.approx(1 / (1 + coefficient_of_variation(values) ** 2))
    pairs = math.fsum(abs(a - b) for a in values for b in values)
    if sum(values):
        assert gini(values) == pytest.approx(pairs / (2 * n * sum(values)), abs=1e-9)
    if max(values) - min(values) > 0.01 * max(values):
        assert jain(values) < 1
        assert gini(values) > 0


@few
@given(POSITIVE.filter(lambda values: len(values) > 1), st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0, 2.0, INF]))
def test_giving_from_rich_to_poor_never_is_less_fair(values, part, alpha):
    poor, *others, rich = sorted(values)
    moved = part * (rich - poor) / 2
    after = [poor + moved, *others, rich - moved]
    assert jain(after) >= jain(values) - 1e-9
    assert gini(after) <= gini(values) + 1e-9
    assert min_max_ratio(after) >= min_max_ratio(values) - 1e-9
    assert even_equivalent(after, alpha) >= even_equivalent(values, alpha) * (1 - 1e-9)


def test_welfare_worked_by_hand():
    assert alpha_welfare([1, 4], 0) == 5
    assert alpha_welfare([1, 4], 0.5) == pytest.approx((1 + 2) / 0.5)
    assert alpha_welfare([1, 4], 1) == pytest.approx(math.log(4))
    assert alpha_welfare([1, 4], 2) == pytest.approx(-(1 + 0.25))
    assert alpha_welfare([1, 4], INF) == 1
    assert [even_equivalent([1, 4], alpha) for alpha in (0, 0.5, 1, 2, INF)] == pytest.approx([2.5, 2.25, 2, 1.6, 1])


def test_welfare_of_zeros_and_infinities():
    assert alpha_welfare([0, 4], 0.5) == pytest.approx(4)
    assert alpha_welfare([0, 4], 1) == alpha_welfare([0, INF], 1) == alpha_welfare([0, 4], 2) == -INF
    assert alpha_welfare([1, INF], 1) == alpha_welfare([1, INF], 0) == INF
    assert alpha_welfare([1, INF], 2) == -1
    assert math.isnan(alpha_welfare([], 1))
    assert math.isnan(even_equivalent([], 1))
    assert even_equivalent([0, 4], 1) == even_equivalent([0, 4], 3) == even_equivalent([0, 0], 1) == 0
    assert even_equivalent([0, 4], 0) == 2
    assert even_equivalent([1, INF], 2) == pytest.approx(2)
    assert even_equivalent([1, INF], 1) == even_equivalent([INF, INF], 2) == INF
    assert even_equivalent([1, INF], INF) == 1
    for alpha in (-1, math.nan):
        with pytest.raises(RunError, match="alpha"):
            alpha_welfare([1], alpha)


@few
@given(POSITIVE, st.floats(0.1, 10))
def test_the_equivalent_falls_from_the_mean_to_the_minimum(values, factor):
    alphas = [0, 0.5, 1, 1.5, 3, 20, INF]
    found = [even_equivalent(values, alpha) for alpha in alphas]
    assert found[0] == pytest.approx(mean(values))
    assert found[-1] == min(values)
    assert all(b <= a * (1 + 1e-9) for a, b in pairwise(found))
    for alpha, value in zip(alphas, found, strict=True):
        assert even_equivalent(values * 2, alpha) == pytest.approx(value)
        assert even_equivalent([factor * v for v in values], alpha) == pytest.approx(factor * value)
    assert even_equivalent(values, 300) <= min(values) * len(values) ** (1 / 299) * (1 + 1e-9)


def test_spearman_with_ties():
    assert spearman([1, 2, 3], [10, 20, 30]) == 1
    assert spearman([1, 2, 3], [30, 20, 10]) == -1
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5).
    assert spearman([0, 5, 5, 9], [1, 2, 3, INF]) == pytest.approx(4.5 / math.sqrt(22.5))
    assert math.isnan(spearman([1, 1], [1, 2]))
    assert math.isnan(spearman([1], [1]))
    assert math.isnan(spearman([], []))
    with pytest.raises(RunError, match="as many"):
        spearman([1], [1, 2])


@few
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=10))
def test_spearman_is_symmetric_bounded_and_blind_to_monotone_change(pairs):
    first, second = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    found = spearman(first, second)
    if not math.isnan(found):
        assert -1 <= found <= 1
        assert spearman(second, first) == pytest.approx(found)
        assert spearman([a**3 for a in first], second) == pytest.approx(found)
        assert spearman([-a for a in first], second) == pytest.approx(-found)


def test_starvation_is_below_half_of_an_equal_part():
    assert starvation_share([0.5, 0.3, 0.1, 0.1]) == 0.5  # the limit is 1/8
    assert starvation_share([0.125, 0.2, 0.3, 0.375]) == 0
    assert starvation_share([0, 0, 0]) == 1
    assert math.isnan(starvation_share([]))


def test_fairness_ratio_is_the_worst_moment():
    assert fairness_ratio([[1.0], [0.5, 0.5], [0.5, 0.3, 0.2]]) == pytest.approx(0.6)
    assert fairness_ratio([[], [0.7, 0.3]]) == pytest.approx(0.6)
    assert math.isnan(fairness_ratio([]))


def test_disruptions_are_those_of_the_arrival_before_them():
    assert disruptions_per_arrival([0, 10, 10, 20], [-1, 0, 9.9, 10, 25, 30]) == [2, 1, 2]
    assert disruptions_per_arrival([], [1.0]) == []
    assert disruptions_per_arrival([3.0], []) == [0]


def test_price_is_the_lost_share_of_the_best():
    assert price_of_fairness(3, 4) == 0.25
    assert price_of_fairness(0, 4) == 1
    assert price_of_fairness(5, 4) == -0.25
    assert price_of_fairness(0, 0) == 0
    assert math.isnan(price_of_fairness(1, 0))


def test_percentiles_are_linear_between_ranks_and_take_infinity():
    assert percentile([4, 1, 3, 2], 0.5) == 2.5
    assert percentile([1, 2, INF], 0.5) == 2
    assert percentile([1, INF], 0.5) == percentile([INF, INF], 0.5) == INF
    assert percentile([7], 0.99) == 7
    assert math.isnan(percentile([], 0.5))
