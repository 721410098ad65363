"""MRLCO as published: PPO within a task, and the start moved towards where tasks led, to the first order.

Constants are those of the public code (linkpark/metarl-offloading). Declared, since they are not its own: tasks and
rewards are of this emulator, where a unit costs what it adds to the objective, in shares of a unit's at home.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerlift.emulator.studies.learning.meta.places import Place, Task
from layerlift.emulator.studies.learning.meta.reinforce import WALKS
from layerlift.emulator.studies.learning.meta.sequences import Sequences, tables_of
from layerlift.emulator.studies.learning.parameters import as_arrays, fitting, like, one_thread, remembered
from layerlift.emulator.world import streams
from layerlift.models.sums import left_sum
from layerlift.planners.learned.literal.seq2seq import SEQ2SEQ, best_server, embedding, legal
from layerlift.planners.learned.policy_file import Weights
from layerlift.planners.learned.priced import came_from
from layerlift.planners.problem.problem import Floats, Ints

RATE: Final = 5e-4
"""Of both optimisers, within tasks and between them."""
TASKS: Final = 10
"""Of a round; a lesson may have more, which are left."""
CLIP: Final = 0.3
GAMMA: Final = 0.99
LAMBDA: Final = 0.95
OF_WORTH: Final = 0.5
"""What the worth's loss counts."""
LONGEST: Final = 0.5
"""Gradients are cut to that length."""


class Mrlco:
    """The published training; see `Training` of methods."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rounds = seed, 0
        self._core = Sequences(seed)
        self._outer = torch.optim.Adam(self._core.parameters(), RATE)

    def round(self, tasks: Sequence[Task]) -> float:
        """One round: every task from the start, which then goes towards where each led; the mean loss within them."""
        rng = np.random.default_rng(streams.family(self.seed, "mrlco", f"round {self.rounds}").getrandbits(64))
        losses = []
        with one_thread():
            gone: list[list[Tensor]] = []
            for task in tasks[:TASKS]:
                network = Sequences(self.seed)
                network.load_state_dict(self._core.state_dict())
                losses.append(_inner(network, task, rng))
                gone.append([each.detach() for each in network.parameters()])
            for reached in gone:
                for parameter, each in zip(self._core.parameters(), reached, strict=True):
                    parameter.grad = (parameter.detach() - each) / (RATE * len(gone))
                self._outer.step()
        self.rounds += 1
        return left_sum(losses) / max(len(losses), 1)

    def policy(self, notes: Mapping[str, str]) -> Weights:
        """The policy so far."""
        return Weights(SEQ2SEQ, tables_of(dict(self._core.named_parameters())), dict(notes))

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays: what `resume` goes on from, bit for bit."""
        return as_arrays(self.seed, self.rounds, dict(self._core.named_parameters()), self._outer)

    def resume(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where `state` was taken. Raises `RunError` for one that does not fit."""
        with fitting(state, self.seed) as rounds:
            for name, parameter in self._core.named_parameters():
                parameter.copy_(like(state[f"parameter_{name}"], parameter))
                if rounds:
                    self._outer.state[parameter] = remembered(state, name, parameter)
            self.rounds = rounds


def _inner(network: Sequences, task: Task, rng: np.random.Generator) -> float:
    """Episodes on a task's places, and a step of PPO on them."""
    units, answers, rewards = _played(network, task, rng)
    with torch.no_grad():
        before, worth, _ = network(units, answers)
    returns, better = _credited(rewards, worth.numpy().astype(np.float64))
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    loss = _loss(network, units, answers, (before, worth), (_tensor(returns), _tensor(better)))
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), LONGEST)
    optimiser.step()
    return float(loss.detach())


def _loss(
    network: Sequences, units: Tensor, answers: Tensor, before: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]
) -> Tensor:
    logits, worth, _ = network(units, answers)
    (logits_before, worth_before), (returns, better) = before, wanted
    ratio = torch.exp(_chosen(logits, answers) - _chosen(logits_before, answers))
    gained = torch.minimum(ratio * better, torch.clamp(ratio, 1.0 - CLIP, 1.0 + CLIP) * better).mean()
    kept = worth_before + torch.clamp(worth - worth_before, -CLIP, CLIP)
    missed = torch.maximum((worth - returns) ** 2, (kept - returns) ** 2).mean()
    return -gained + OF_WORTH * 0.5 * missed


def _chosen(logits: Tensor, answers: Tensor) -> Tensor:
    return torch.log_softmax(logits, 2).gather(2, answers[:, :, None])[:, :, 0]


def _played(network: Sequences, task: Task, rng: np.random.Generator) -> tuple[Tensor, Tensor, Floats]:
    """Walks on each place, drawn by the network: units (P, B, SEEN), answers (P, B), rewards (P, B)."""
    servers = [best_server(place.told) for place in task]
    seen = [embedding(place.told, server) for place, server in zip(task, servers, strict=True)]
    units = torch.from_numpy(np.repeat(np.stack(seen, axis=1), WALKS, axis=1))
    with torch.no_grad():
        _, _, answers = network(units, draws=_tensor(rng.random(units.shape[:2])))
    rewards = [
        -_paid(place, server, answers[:, at : at + WALKS].numpy())
        for at, place, server in zip(range(0, len(task) * WALKS, WALKS), task, servers, strict=True)
    ]
    return units, answers, np.concatenate(rewards, axis=1)


def _paid(place: Place, server: int, answers: Ints) -> Floats:
    """What each unit adds, in shares of a unit's at home, shape (P, B)."""
    count = len(answers)
    nothing, free = np.zeros(count), np.full(place.true.pieces.shape[1], np.inf)
    walks = np.stack([legal(each == 1, server, place.true, nothing, free) for each in answers.T])
    each, before = np.arange(count), came_from(walks)
    paid: Floats = (place.true.steps[each, before, walks] + place.true.pieces[each, walks]).T * count
    return paid


def _credited(rewards: Floats, worth: Floats) -> tuple[Floats, Floats]:
    """What is to come from each state, discounted, and how much better it went than thought, of mean 0 and spread 1."""
    after = np.zeros(rewards.shape[1])
    returns, better = np.empty_like(rewards), np.empty_like(rewards)
    ahead, credit = after, after
    for number in range(len(rewards) - 1, -1, -1):
        following = worth[number + 1] if number + 1 < len(worth) else after
        ahead = rewards[number] + GAMMA * ahead
        credit = rewards[number] + GAMMA * following - worth[number] + GAMMA * LAMBDA * credit
        returns[number], better[number] = ahead, credit
    return returns, (better - better.mean()) / (better.std() + 1e-8)


def _tensor(array: Floats) -> Tensor:
    return torch.from_numpy(array.astype(np.float32))
