"""Training as Huang et al. have it: every network decides, the cheapest decision is remembered, all learn from it.

Adam at 0.01 with a beta of 0.09, a memory of 1,024 that is shared, batches of 128 that each network draws for itself,
a step every ten problems once 512 are remembered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits

from layerlift.emulator.studies.learning.letters.dense import Dense
from layerlift.emulator.studies.learning.parameters import fitting, one_thread
from layerlift.emulator.studies.learning.proposals.shown import Shown
from layerlift.emulator.world import streams
from layerlift.models.sums import left_sum
from layerlift.planners.learned.literal.ddlo import DECISIONS, LAYERS, MEMBERS, TASKS, numbers_of, tasks_of
from layerlift.planners.learned.policy_file import Weights

RATE: Final = 0.01
BETAS: Final = (0.09, 0.999)
MEMORY: Final = 1024
BATCH: Final = 128
EVERY: Final = 10
BEGINS: Final = 512
"""Problems that are remembered when learning begins."""
_SEEDS: Final = 1000
"""Between those of two trainings' networks."""


class Training:
    """The networks on their way, and what they remember together."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rounds = seed, 0
        numbers = range(1, MEMBERS + 1)
        self._networks = [Dense(LAYERS, _SEEDS * seed + number, RATE, BETAS, f"_{number}") for number in numbers]
        self._problems = 0
        self._tasks = np.zeros((MEMORY, TASKS), dtype=np.float32)
        self._decided = np.zeros((MEMORY, TASKS), dtype=np.float32)

    def round(self, shown: Sequence[Shown]) -> float:
        """Decide the worlds shown one after the other, and learn now and then; the mean loss, 0 before that begins."""
        rng = np.random.default_rng(streams.family(self.seed, "learning", f"decisions {self.rounds}").getrandbits(64))
        losses = []
        with one_thread():
            for each in shown:
                self._decide(each)
                if self._problems >= BEGINS and self._problems % EVERY == 0:
                    losses += [self._step(network, rng) for network in self._networks]
        self.rounds += 1
        return left_sum(losses) / max(len(losses), 1)

    def _decide(self, shown: Shown) -> None:
        tasks = tasks_of(shown.costs)
        told = numbers_of(tasks)
        with torch.no_grad():
            said = [network.said(torch.from_numpy(told)[None]).numpy() > 0.0 for network in self._networks]
        decided = np.concatenate(said)
        ways = tasks.spread(decided[:, : len(tasks.first)].astype(np.int64), len(shown.costs.pieces))
        at = self._problems % MEMORY
        self._tasks[at], self._decided[at] = told, decided[int(shown.costs.totals(ways).argmin())]
        self._problems += 1

    def _step(self, network: Dense, rng: np.random.Generator) -> float:
        chosen = rng.integers(0, min(self._problems, MEMORY), size=BATCH)
        said = network.said(torch.from_numpy(self._tasks[chosen]))
        return network.step(binary_cross_entropy_with_logits(said, torch.from_numpy(self._decided[chosen])))

    def policy(self, notes: Mapping[str, str]) -> Weights:
        """The policy so far."""
        return Weights(
            DECISIONS, {name: table for each in self._networks for name, table in each.tables.items()}, dict(notes)
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays: what `resume` goes on from, bit for bit."""
        made: dict[str, NDArray[Any]] = {"seed": np.array(self.seed), "rounds": np.array(self.rounds)}
        made |= {"problems": np.array(self._problems), "tasks": self._tasks.copy(), "decided": self._decided.copy()}
        for network in self._networks:
            made |= network.state()
        return made

    def resume(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where `state` was taken. Raises `RunError` for one that does not fit."""
        with fitting(state, self.seed) as rounds:
            self._take(state, rounds)

    def _take(self, state: Mapping[str, NDArray[Any]], rounds: int) -> None:
        problems = int(state["problems"])
        remembered = [np.array(state[name], dtype=np.float32) for name in ("tasks", "decided")]
        if problems < 0 or any(table.shape != (MEMORY, TASKS) or not np.isfinite(table).all() for table in remembered):
            raise ValueError(problems)
        for network in self._networks:
            network.take(state)
        self._tasks, self._decided = remembered
        self.rounds, self._problems = rounds, problems
