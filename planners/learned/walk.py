"""Ways drawn from scores: the one that always takes the best step, and many that chance leads away from it.

A step of score s is drawn with a weight of about 2^(s / 8), read from a table of whole numbers; what is drawn is the
same on every processor. Every other way is drawn more boldly, with 2^(s / 32): a policy may be sure and wrong.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from layerlift.models.graph.route import CLIENT
from layerlift.planners.learned.policy import Table
from layerlift.planners.problem.problem import Bools, Floats, Ints

PER_HALVING: Final = 8
"""By how much less a score is where a step is half as likely."""
_EIGHTHS: Final = (16777216, 15384774, 14107900, 12937002, 11863283, 10878678, 9975792, 9147842)
"""2^24 times 2^(-i / 8)."""
_BOLD: Final = 2
"""By how many halvings of its scores every other way is bolder."""
_BITS: Final = 31
"""Of a number by which a step is drawn."""
WEIGHTS: Final = np.array([_EIGHTHS[at % 8] >> (at // 8) for at in range(8 * 24)] + [0], dtype=np.int64)
"""How likely a step is, by how much worse than the best its score is."""
_BOLD_WEIGHTS: Final = np.append(np.repeat(WEIGHTS[:-1], 2**_BOLD), 0)
"""The same on a bold way."""
CLOSED: Final = -(2**20)
"""Instead of the score of a step that is not to be taken: further from the best than any weight reaches."""


def ways(scores: Table, closed: Bools, count: int, rng: np.random.Generator, held: Floats, room: Floats) -> Ints:
    """`count` ways, the first without chance; shape (count, P).

    `scores` has shape (P, n, n); `closed`, shape (P, n), says where a piece may not be. A piece that holds `held` bytes
    (shape (P,)) is not put where that would be more than `room` (shape (n,)); the client takes what nobody else can.
    """
    drawn = rng.integers(0, 2**_BITS, size=(len(scores), count), dtype=np.int64)
    tied = np.where(closed[:, None, :], CLOSED, scores)
    if np.isfinite(room[1:]).any():
        return _within(tied, drawn, held, room)
    first = _first(tied)
    return _beside(first, tied, drawn) if count > 1 else first[None, :]


def _first(tied: Table) -> Ints:
    """The way of the best steps, shape (P,)."""
    at, made = CLIENT, []
    for best in tied.argmax(axis=2).tolist():
        at = best[at]
        made.append(at)
    return np.array(made, dtype=np.int64)


def _beside(first: Ints, tied: Table, drawn: Ints) -> Ints:
    """The first way, and others that are drawn; shape (count, P).

    The rows of a piece, those of careful ways and then those of bold ones, are added up in one line: a place on it is
    a row and a node, and one look-up after the other serves all ways at once.
    """
    pieces, nodes = tied.shape[:2]
    line = np.cumsum(_rows(tied).reshape(pieces, -1), axis=1)
    begins = np.concatenate([np.zeros((pieces, 1), dtype=np.int64), line[:, nodes - 1 : -1 : nodes]], axis=1)
    lengths = line[:, nodes - 1 :: nodes] - begins
    after = np.concatenate([np.tile(np.arange(nodes), nodes), np.tile(np.arange(nodes, 2 * nodes), nodes)])
    offset = np.arange(drawn.shape[1]) % 2 * nodes
    made, row = np.empty(drawn.shape, dtype=np.int64), CLIENT + offset
    steps = zip(line, begins, lengths, drawn, first.tolist(), made, strict=True)
    for summed, begin, length, numbers, best, to in steps:
        place = length[row]
        place *= numbers
        place >>= _BITS
        place += begin[row]
        row = after.take(summed.searchsorted(place, "right"), out=to, mode="clip")
        row[0] = best
    made -= offset
    return made.T


def _rows(tied: Table) -> Ints:
    """How likely each step is on careful ways and on bold ones, shape (P, 2 n, n)."""
    behind = tied.max(axis=2, keepdims=True) - tied
    return np.concatenate([_weights(behind, WEIGHTS), _weights(behind, _BOLD_WEIGHTS)], axis=1)


def _weights(behind: Ints, weights: Ints) -> Ints:
    made: Ints = weights.take(np.minimum(behind, len(weights) - 1))
    return made


def _within(tied: Table, drawn: Ints, held: Floats, room: Floats) -> Ints:
    """The same where memory has an end."""
    count, nodes = drawn.shape[1], tied.shape[2]
    every = np.arange(count)
    used = np.zeros((count, nodes))
    at = np.full(count, CLIENT, dtype=np.int64)
    made = np.empty(drawn.shape, dtype=np.int64)
    for number, row in enumerate(tied):
        full = used + held[number] > room
        full[:, CLIENT] = False
        scores = np.where(full, CLOSED, row[at])
        behind = scores.max(axis=1, keepdims=True) - scores
        weights = _weights(behind, WEIGHTS)
        weights[1::2] = _weights(behind[1::2], _BOLD_WEIGHTS)
        at = _drawn(np.cumsum(weights, axis=1), drawn[number], int(scores[0].argmax()))
        used[every, at] += held[number]
        made[number] = at
    return made.T


def _drawn(summed: Ints, drawn: Ints, best: int) -> Ints:
    """The node of each way, by its sums of weights (count, n) and its random number; the first way's is given."""
    under = (drawn * summed[:, -1]) >> _BITS
    chosen: Ints = (summed <= under[:, None]).sum(axis=1)
    chosen[0] = best
    return chosen
