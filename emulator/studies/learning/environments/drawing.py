"""Small pictures of an episode, as arrays of pixels: numpy alone draws them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
CELL: Final = 12
"""Pixels of a cell's side; one of them is the line to the next cell."""
HIGH: Final = 10
"""Cells of the highest bar."""
PAPER, LINE, CLOSED, NEXT, HOME, SERVER = range(6)
COLOURS: Final = np.array(
    [(255, 255, 255), (225, 225, 225), (190, 190, 190), (255, 221, 120), (90, 120, 170), (216, 108, 58)], dtype=np.uint8
)
"""Of the numbers above: paper, lines, what is closed, what may be next, the client, servers."""


def picture(cells: NDArray[np.int64]) -> Pixels:
    """The picture of a table of colours' numbers, shape (rows, columns)."""
    wide = np.repeat(np.repeat(cells, CELL, axis=0), CELL, axis=1)
    wide[CELL - 1 :: CELL] = LINE
    wide[:, CELL - 1 :: CELL] = LINE
    return COLOURS[wide]


def walk_picture(way: Sequence[int], open_now: Sequence[bool], units: int) -> Pixels:
    """A row for each node, the client first, and a column for each unit: where it ran, or may run next."""
    cells = np.full((len(open_now), max(units, 1)), PAPER)
    for unit, node in enumerate(way):
        cells[node, unit] = HOME if node == 0 else SERVER
    if len(way) < units:
        cells[:, len(way)] = np.where(np.array(open_now, dtype=np.bool_), NEXT, CLOSED)
    return picture(cells)


def bars_picture(counts: Sequence[int], open_now: Sequence[bool]) -> Pixels:
    """A bar for each node, the client first, as high as its share of all; the ground says where one may go next."""
    cells = np.full((HIGH + 1, len(counts)), PAPER)
    most = max(*counts, 1)
    for node, count in enumerate(counts):
        high = -(-HIGH * count // most)
        cells[HIGH - high : HIGH, node] = HOME if node == 0 else SERVER
    cells[HIGH] = np.where(np.array(open_now, dtype=np.bool_), NEXT, CLOSED)
    return picture(cells)
