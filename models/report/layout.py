"""Where boxes and lines go in a picture of layers from top to bottom: no line runs behind a box, none overlaps another.

Boxes lie on levels, each below all that it reads. A line that passes a level has a place of its own on it (after
Sugiyama, Tagawa and Toda 1981, 10.1109/TSMC.1981.4308636), one for all who read the same tensor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

from layerlift.models.sums import left_sum

_ROUNDS: Final = 12
_STRAIGHT: Final = 6.0
"""How much more a passing line keeps to its course than a box keeps below what it reads."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one box hands to others; `weight` says how thick it is, in a unit of the caller's."""

    source: int
    targets: tuple[int, ...]
    weight: float


@dataclass(frozen=True, slots=True)
class Room:
    """What boxes and lines need across, in pixels."""

    box: float
    lane: float
    gap: float


@dataclass(frozen=True, slots=True)
class Layout:
    """The middle of each box across, in pixels from 0; its level; and of each line its middle at levels it passes."""

    level: tuple[int, ...]
    across: tuple[float, ...]
    passing: tuple[Mapping[int, float], ...]
    width: float


def layout(levels: Sequence[int], lines: Sequence[Line], room: Room) -> Layout:
    """Place boxes, whose levels are given, and `lines` between them so that few cross and most are straight."""
    grid = _Grid(levels, lines, room)
    for number in range(_ROUNDS):
        grid.sweep(down=number % 2 == 0, sort=number < _ROUNDS // 2)
    left = min(at - width / 2 for at, width in zip(grid.at, grid.width, strict=True))
    right = max(at + width / 2 for at, width in zip(grid.at, grid.width, strict=True))
    passing = tuple({level: grid.at[item] - left for level, item in items.items()} for items in grid.lanes)
    return Layout(tuple(levels), tuple(at - left for at in grid.at[: len(levels)]), passing, right - left)


class _Grid:
    """Items on levels: boxes first, then for each line one at every level between its ends."""

    def __init__(self, levels: Sequence[int], lines: Sequence[Line], room: Room) -> None:
        self.width = [room.box] * len(levels)
        self.gap = room.gap
        self.rows: list[list[int]] = [[] for _ in range(max(levels) + 1)]
        for item, level in enumerate(levels):
            self.rows[level].append(item)
        self.above: list[list[tuple[int, float]]] = [[] for _ in levels]
        self.below: list[list[tuple[int, float]]] = [[] for _ in levels]
        self.lanes: list[dict[int, int]] = []
        for line in lines:
            self._lay(line, levels, room.lane)
        self.at = [0.0] * len(self.width)
        for row in self.rows:
            self._settle(row, [0.0] * len(row), [1.0] * len(row))

    def _lay(self, line: Line, levels: Sequence[int], lane: float) -> None:
        items: dict[int, int] = {}
        upper = line.source
        for level in range(levels[line.source] + 1, max(levels[target] for target in line.targets)):
            item = len(self.width)
            self.width.append(lane)
            self.above.append([])
            self.below.append([])
            self.rows[level].append(item)
            items[level] = item
            self._join(upper, item, _STRAIGHT if level - 1 in items else 1.0)
            upper = item
        for target in line.targets:
            self._join(items.get(levels[target] - 1, line.source), target, 1.0)
        self.lanes.append(items)

    def _join(self, upper: int, lower: int, weight: float) -> None:
        self.below[upper].append((lower, weight))
        self.above[lower].append((upper, weight))

    def sweep(self, down: bool, sort: bool) -> None:
        """Draw every level towards the one before it, from the top down or from the bottom up."""
        beside = self.above if down else self.below
        for row in self.rows if down else reversed(self.rows):
            wanted = {item: self._wanted(item, beside[item]) for item in row}
            if sort:
                row.sort(key=lambda item: wanted[item][0])
            self._settle(row, [wanted[item][0] for item in row], [wanted[item][1] for item in row])

    def _wanted(self, item: int, beside: Sequence[tuple[int, float]]) -> tuple[float, float]:
        """Where an item would like to be, and how much."""
        weight = left_sum(weight for _, weight in beside)
        if not weight:
            return self.at[item], 0.1
        return left_sum(self.at[other] * weight for other, weight in beside) / weight, weight

    def _settle(self, row: Sequence[int], wanted: Sequence[float], weights: Sequence[float]) -> None:
        """Place a level's items, in their order and without overlap, as near to where they would be as can be."""
        steps = [(self.width[left] + self.width[right]) / 2 + self.gap for left, right in pairwise(row)]
        offsets = [0.0, *accumulate(steps)]
        levelled = _rising([at - offset for at, offset in zip(wanted, offsets, strict=False)], weights)
        for item, at, offset in zip(row, levelled, offsets, strict=False):
            self.at[item] = at + offset


def _rising(wanted: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The values nearest to those wanted that never fall (isotonic regression, by pooling adjacent violators)."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(wanted, weights, strict=True):
        pools.append((value, weight, 1))
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            (left, heavy, some), (right, light, more) = pools[-2:]
            pools[-2:] = [((left * heavy + right * light) / (heavy + light), heavy + light, some + more)]
    return [value for value, _, count in pools for _ in range(count)]
