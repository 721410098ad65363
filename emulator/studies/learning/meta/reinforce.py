"""Reinforcement on episodes: an episode is a problem met once, on which a few walks are tried and paid for.

No label is looked up: what a step is worth is what its walk cost from there on, less what the others of the episode
cost from that piece on. What the rest would cost if all were as promised is taken off both, which takes noise away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import torch
from torch import Tensor

from layerlift.emulator.studies.learning.meta.places import Place
from layerlift.emulator.studies.learning.network import NATURAL, Network
from layerlift.models.graph.route import CLIENT
from layerlift.planners.learned.priced import came_from
from layerlift.planners.problem.problem import Floats, Ints

WALKS: Final = 8
"""Tried in an episode."""
RATE: Final = 6e-3
"""Of the optimiser within a task."""
REMEMBERED: Final = (0.0, 0.99)
"""Of its last steps, and of how large they were: no momentum, for a task is short (Nichol et al., Reptile, 2018)."""
MOST_WORTH: Final = 3.0
"""An episode says no more than that of a walk, for or against it, in spreads of what its steps are worth."""
CURIOSITY: Final = 0.003
"""What uncertainty of a step is worth, beside."""


def reinforced(network: Network, places: Iterable[Place], rng: np.random.Generator) -> Iterator[float]:
    """Change a network by an episode on each place; after each, by how much its walks were beyond the least."""
    optimiser = torch.optim.Adam(network.parameters.values(), RATE, REMEMBERED)
    for place in places:
        optimiser.zero_grad()
        loss, excess = episode(network, place, rng)
        loss.backward()
        optimiser.step()
        yield excess


def copied(network: Network) -> Network:
    """Another network with the same parameters."""
    made = Network(0, *network.parameters["inner"].shape)
    made.parameters = {name: each.detach().clone().requires_grad_() for name, each in network.parameters.items()}
    return made


def episode(network: Network, place: Place, rng: np.random.Generator) -> tuple[Tensor, float]:
    """Walks drawn by the network: what to descend so that the better ones become likelier, and their mean excess."""
    with torch.no_grad():
        odds = torch.softmax(logits(network, place, *every_state(place)), 1).numpy().astype(np.float64)
    nodes = place.true.pieces.shape[1]
    made = drawn(odds.reshape(-1, nodes, nodes), WALKS, rng)
    worth = worths(place, made)
    at = np.broadcast_to(np.arange(made.shape[1]), made.shape)
    states, row = np.unique(at * nodes + came_from(made), return_inverse=True)
    weight = np.zeros((len(states), nodes))
    np.add.at(weight, (row.reshape(-1), made.reshape(-1)), worth.reshape(-1))
    logarithm = torch.log_softmax(logits(network, place, states // nodes, states % nodes), 1)
    uncertain = -(logarithm.exp() * logarithm).sum(1).mean()
    gained = (torch.from_numpy(weight.astype(np.float32)) * logarithm).sum() / WALKS
    excess = float(place.true.totals(made).mean()) / place.exact - 1.0
    return -gained - CURIOSITY * uncertain, excess


def logits(network: Network, place: Place, at: Ints, before: Ints) -> Tensor:
    """Logarithms of how likely next nodes are, but for a constant, in some states (piece, node before it)."""
    seen = place.seen
    tables = {
        "piece": seen.piece[at], "source": seen.node[at, before], "target": seen.node[at], "step": seen.step[at, before]
    }  # fmt: skip
    closed = torch.from_numpy(place.true.forbidden[at])
    scores = network.scores({name: torch.from_numpy(table) for name, table in tables.items()})
    return (scores * NATURAL).masked_fill(closed, -1e9)


def every_state(place: Place) -> tuple[Ints, Ints]:
    """Every piece with every node before it, as two rows: which piece, and which node."""
    pieces, nodes = place.true.pieces.shape
    return np.repeat(np.arange(pieces), nodes), np.tile(np.arange(nodes), pieces)


def drawn(odds: Floats, count: int, rng: np.random.Generator) -> Ints:
    """So many walks, by how likely each next node is from each node in front of each piece, shape (P, n, n)."""
    at = np.full(count, CLIENT)
    made = np.empty((len(odds), count), dtype=np.int64)
    for number, table in enumerate(np.cumsum(odds, axis=2)):
        under = rng.random(count) * table[at, -1]
        at = (table[at] <= under[:, None]).sum(axis=1)
        made[number] = at
    return made.T


def worths(place: Place, walks: Ints) -> Floats:
    """How much better each step of some walks was than the others' at that piece, in spreads; shape of `walks`."""
    costs = place.true
    each, before = np.arange(walks.shape[1]), came_from(walks)
    spent = costs.steps[each, before, walks] + costs.pieces[each, walks]
    to_come = np.cumsum(spent[:, ::-1], axis=1)[:, ::-1]
    beyond = to_come - place.promised[each, before]
    better = (beyond.mean(axis=0) - beyond) * (len(walks) / (len(walks) - 1))
    spread = float(np.sqrt(np.mean(better**2)))
    made: Floats = np.clip(better / spread, -MOST_WORTH, MOST_WORTH) if spread > 0.0 else better
    return made
