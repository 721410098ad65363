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
CLOSED: Final = -(2**20)
"""Instead of the score of a step that is not to be taken."""


def ways(scores: Table, closed: Bools, count: int, rng: np.random.Generator, held: Floats, room: Floats) -> Ints:
    """`count` ways, the first without chance; shape (count, P).

    `scores` has shape (P, n, n); `closed`, shape (P, n), says where a piece may not be. A piece that holds `held` bytes
    (shape (P,)) is not put where that would be more than `room` (shape (n,)); the client takes what nobody else can.
    """
    drawn = rng.integers(0, 2**_BITS, size=(len(scores), count), dtype=np.int64)
    tied = np.where(closed[:, None, :], CLOSED, scores)
    if np.isfinite(room[1:]).any():
        return _within(tied, drawn, held, room)
    best = tied.argmax(axis=2)
    nodes = tied.shape[2]
    # Careful ways read the first `nodes` rows of a piece, bold ones the others: every other way.
    summed = np.cumsum(np.concatenate([_weights(tied, 0), _weights(tied, _BOLD)], axis=1), axis=2)
    offset = np.arange(count) % 2 * nodes
    made = np.empty((len(scores), count), dtype=np.int64)
    at = np.full(count, CLIENT, dtype=np.int64)
    for number, rows in enumerate(summed):
        at = _drawn(rows.take(at + offset, axis=0), drawn[number], int(best[number, at[0]]))
        made[number] = at
    return made.T


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
        weights = _weights(scores, 0)
        weights[1::2] = _weights(scores[1::2], _BOLD)
        at = _drawn(np.cumsum(weights, axis=1), drawn[number], int(scores[0].argmax()))
        used[every, at] += held[number]
        made[number] = at
    return made.T


def _weights(scores: Table, bold: int) -> Ints:
    behind = scores.max(axis=-1, keepdims=True) - scores
    # What is closed stays so: a step is never so much worse than the best as that, unless it is closed.
    weights: Ints = WEIGHTS[np.minimum(np.where(behind > -CLOSED // 2, behind, behind >> bold), len(WEIGHTS) - 1)]
    return weights


def _drawn(summed: Ints, drawn: Ints, best: int) -> Ints:
    """The node of each way, by its sums of weights (count, n) and its random number; the first way's is given."""
    under = (drawn * summed[:, -1]) >> _BITS
    chosen: Ints = (summed <= under[:, None]).sum(axis=1)
    chosen[0] = best
    return chosen
