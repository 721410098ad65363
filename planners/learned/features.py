"""What a policy sees of a priced problem: whole numbers from 0 to 1,023 of each piece, node and step.

A cost x is told as round(48 log2(1 + 512 x)), the logarithm drawn straight between powers of two, which needs + - * /
alone: a thousandth of staying local can be seen, and so can a thousandfold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from layerlift.models.graph.route import CLIENT
from layerlift.planners.learned.priced import DEAR, Priced
from layerlift.planners.problem.problem import Floats

VERSION: Final = 1
"""Of all that is below: a policy is used with the features that it was trained on."""
LARGEST: Final = 1023
OF_PIECE, OF_NODE, OF_STEP = 7, 8, 4
"""How many numbers there are of a piece, of a piece on a node, and of a step between nodes."""
_FINE: Final = 512.0
_PER_OCTAVE: Final = 48.0
_BITS_OF_ONE: Final = 1023 << 52
_LAST: Final = (2.0**21 * (1.0 + 15.0 / 48.0) - 1.0) / _FINE
"""The cost that is told as `LARGEST`, 21 octaves and 15 of 48 parts; a larger one is told as no more."""
_YES: Final = 512
Whole = NDArray[np.float32]
"""Whole numbers, held as onnxruntime wants them."""


@dataclass(frozen=True, slots=True)
class Features:
    """What is seen of P pieces and n nodes."""

    piece: Whole
    """Shape (P, OF_PIECE)."""
    node: Whole
    """Shape (P, n, OF_NODE)."""
    step: Whole
    """Of going from a node to a node in front of a piece, shape (P, n, n, OF_STEP)."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What the rest costs, in front of each piece on each node, where one moves seldom; shapes (P + 1, n)."""

    staying: Floats
    """On that node to the end."""
    one_move: Floats
    """With at most one more move, where and to where it is cheapest."""


def looked_ahead(priced: Priced) -> Ahead:
    """The costs of the rest (see `Ahead`): a plain policy's, which a better one begins with.

    (Bertsekas, Rollout Algorithms for Combinatorial Optimization, 1997.)
    """
    pieces, steps = priced.pieces, priced.steps
    nothing = np.zeros((1, pieces.shape[1]))
    staying = np.concatenate([np.cumsum(pieces[::-1], axis=0)[::-1], nothing])
    before = np.concatenate([nothing, np.cumsum(pieces, axis=0)])
    moving = (steps + staying[:-1, None, :]).min(axis=2)
    through = np.concatenate([before[:-1] + moving, before[-1:]])
    one_move = np.minimum.accumulate(through[::-1], axis=0)[::-1] - before
    return Ahead(staying, np.maximum(one_move, 0.0))


def features_of(priced: Priced) -> Features:
    """See the module."""
    ahead = looked_ahead(priced)
    return Features(_of_pieces(priced, ahead), _of_nodes(priced, ahead), _of_steps(priced, ahead))


def told(costs: Floats) -> Floats:
    """Costs as whole numbers from 0 to `LARGEST`."""
    seen: Floats = np.clip(costs, 0.0, _LAST)
    seen *= _FINE
    seen += 1.0
    # A float's bits, read as one whole number, are its logarithm drawn straight between powers of two.
    bits = seen.view(np.int64)
    bits -= _BITS_OF_ONE
    # Of a single number numpy makes a scalar, which nothing can be written into.
    octaves: Floats = np.asarray(bits * (_PER_OCTAVE * 2.0**-52), dtype=np.float64)
    return np.rint(octaves, out=octaves)


def _of_pieces(priced: Priced, ahead: Ahead) -> Whole:
    steps = priced.steps
    up, down = _least(steps[:, CLIENT, 1:]), _least(steps[:, 1:, CLIENT])
    made = [
        priced.pieces[:, CLIENT],
        ahead.staying[:-1, CLIENT],
        up,
        down,
        np.minimum.accumulate(up[::-1])[::-1],
        priced.pieces.min(axis=1),
        ahead.one_move[1:].min(axis=1),
    ]
    return told(np.stack(made, axis=1)).astype(np.float32)


def _of_nodes(priced: Priced, ahead: Ahead) -> Whole:
    leaving = priced.steps + DEAR * np.eye(priced.pieces.shape[1])
    costs = np.empty((*priced.pieces.shape, OF_NODE - 1))
    costs[..., 0] = priced.pieces
    costs[..., 1] = ahead.staying[1:]
    costs[..., 2] = priced.steps[:, :, CLIENT]
    costs[..., 3] = priced.steps[:, CLIENT, :]
    costs[..., 4] = ahead.one_move[1:]
    costs[..., 5] = ahead.staying[1:] - ahead.one_move[1:]
    costs[:-1, :, 6] = leaving[1:].min(axis=2)
    costs[-1, :, 6] = DEAR
    made = np.zeros((*priced.pieces.shape, OF_NODE), dtype=np.float32)
    made[..., :-1] = told(costs)
    made[:, CLIENT, -1] = _YES
    return made


def _of_steps(priced: Priced, ahead: Ahead) -> Whole:
    beyond = priced.steps + (priced.pieces + ahead.one_move[1:])[:, None, :]
    least = beyond.min(axis=2, keepdims=True)
    beyond -= least
    made = np.empty((*priced.steps.shape, OF_STEP), dtype=np.float32)
    made[..., 0] = told(priced.steps)
    made[..., 1] = told(beyond)
    # Beside the difference itself: as a share of what is still to come, which says more towards the end.
    beyond /= np.maximum(least, 1e-9)
    made[..., 2] = told(beyond)
    made[..., 3] = _YES * np.eye(priced.steps.shape[1])
    return made


def _least(costs: Floats) -> Floats:
    """The least of each row; `DEAR` where there is none."""
    made: Floats = np.minimum.reduce(costs, axis=1, initial=DEAR)
    return made
