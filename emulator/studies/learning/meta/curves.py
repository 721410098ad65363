"""How a policy gets on with some episodes: its gap before any, and after so many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

from layerlift.emulator.studies.learning.meta.places import Place
from layerlift.emulator.studies.learning.meta.reinforce import every_state, logits, reinforced
from layerlift.emulator.studies.learning.network import Network, network_of, policy_of
from layerlift.emulator.studies.learning.parameters import one_thread
from layerlift.models.graph.route import CLIENT
from layerlift.models.sums import left_sum
from layerlift.planners.learned.policy import Policy

MARKS: Final = (0, 1, 2, 4, 8, 16, 32, 64)
"""Episodes after which a curve has a point."""


def adapted(
    policy: Policy, played: Sequence[Place], among: Sequence[Place], draws: np.random.Generator
) -> tuple[Policy, float, float]:
    """The policy after an episode on each place of `played`; its gap on `among` before and after."""
    with one_thread():
        network = network_of(policy)
        before = gap(network, among)
        for _ in reinforced(network, played, draws):
            pass
        return policy_of(network.parameters), before, gap(network, among)


def curve(
    policy: Policy, played: Sequence[Place], among: Sequence[Place], draws: np.random.Generator
) -> tuple[float, ...]:
    """Its gap on `among` after as many episodes as `MARKS` says, one on each place of `played` in turn."""
    with one_thread():
        network = network_of(policy)
        made = [gap(network, among)]
        for number, _ in enumerate(reinforced(network, played, draws), start=1):
            if number in MARKS:
                made.append(gap(network, among))
        return tuple(made)


def untouched(policy: Policy, among: Sequence[Place]) -> float:
    """Its gap on `among` before any episode."""
    return gap(network_of(policy), among)


def gap(network: Network, among: Sequence[Place]) -> float:
    """By how much the walk without chance costs more than the least, in truth; the mean over places."""
    return left_sum([_walked(network, place) / place.exact - 1.0 for place in among]) / len(among)


def _walked(network: Network, place: Place) -> float:
    """What the walk without chance costs in truth."""
    nodes = place.true.pieces.shape[1]
    with torch.no_grad():
        best = logits(network, place, *every_state(place)).argmax(1).numpy().reshape(-1, nodes)
    at, way = CLIENT, []
    for row in best:
        at = int(row[at])
        way.append(at)
    return float(place.true.totals(np.array([way]))[0])
