"""Boxes and lines of a picture: nothing overlaps, no line runs behind a box, and what is alone is straight."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerlift.models.report.layout import Line, Room, _rising, layout

ROOM = Room(box=100.0, lane=4.0, gap=10.0)


@st.composite
def pictures(draw: st.DrawFn) -> tuple[list[int], list[Line]]:
    count = draw(st.integers(2, 12))
    levels, lines = [0], []
    for box in range(1, count):
        sources = draw(st.lists(st.integers(0, box - 1), min_size=1, max_size=3, unique=True))
        levels.append(1 + max(levels[source] for source in sources))
        lines += [Line(source, (box,), 1.0) for source in sources]
    shared = [Line(lines[0].source, tuple(sorted({lines[0].targets[0], count - 1})), 1.0)]
    return levels, lines + (shared if levels[-1] > levels[lines[0].source] else [])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(pictures())
def test_nothing_overlaps_on_any_level(picture: tuple[list[int], list[Line]]) -> None:
    levels, lines = picture
    found = layout(levels, lines, ROOM)
    for level in range(max(levels) + 1):
        items = [(at, ROOM.box) for at, own in zip(found.across, levels, strict=True) if own == level]
        items += [(passing[level], ROOM.lane) for passing in found.passing if level in passing]
        items.sort()
        for (left, left_width), (right, right_width) in pairwise(items):
            assert right - left >= (left_width + right_width) / 2 + ROOM.gap - 1e-6
        assert all(wide / 2 - 1e-6 <= at <= found.width - wide / 2 + 1e-6 for at, wide in items)
    for line, passing in zip(lines, found.passing, strict=True):
        last = max(levels[target] for target in line.targets)
        assert sorted(passing) == list(range(levels[line.source] + 1, last))


def test_a_chain_is_straight() -> None:
    found = layout([0, 1, 2, 3], [Line(n, (n + 1,), 1.0) for n in range(3)], ROOM)
    assert len(set(found.across)) == 1
    assert found.width == ROOM.box


def test_branches_that_are_given_crosswise_are_uncrossed() -> None:
    levels = [0, 1, 1, 2, 2, 3]
    lines = [Line(0, (1, 2), 1.0), Line(1, (4,), 1.0), Line(2, (3,), 1.0), Line(3, (5,), 1.0), Line(4, (5,), 1.0)]
    found = layout(levels, lines, ROOM)
    assert (found.across[1] < found.across[2]) == (found.across[4] < found.across[3])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(0.1, 10)), min_size=1, max_size=12))
def test_rising_values_are_the_nearest_that_never_fall(given: list[tuple[float, float]]) -> None:
    """By the conditions of the optimum: pools are means, and what precedes within a pool is not below the rest."""
    wanted, weights = [value for value, _ in given], [weight for _, weight in given]
    found = _rising(wanted, weights)
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(found))
    start = 0
    for end in range(1, len(found) + 1):
        if end < len(found) and found[end] == found[start]:
            continue
        pool = range(start, end)
        mean = sum(wanted[n] * weights[n] for n in pool) / sum(weights[n] for n in pool)
        assert found[start] == pytest.approx(mean, abs=1e-6)
        for split in range(start + 1, end):
            head = range(start, split)
            assert sum((wanted[n] - mean) * weights[n] for n in head) >= -1e-6
        start = end
