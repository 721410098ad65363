"""Training of several scorers on the best of what all of them propose: `ddlo`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from layerlift.emulator.studies.learning.learner import Learner
from layerlift.emulator.studies.learning.parameters import fitting, one_thread
from layerlift.emulator.studies.learning.proposals.labels import learned_from, plain, proposed
from layerlift.emulator.studies.learning.proposals.memory import Memory
from layerlift.emulator.studies.learning.proposals.shown import Shown
from layerlift.emulator.world import streams
from layerlift.models.sums import left_sum
from layerlift.planners.learned.features import features_of
from layerlift.planners.learned.flips import FLIPS, flipped
from layerlift.planners.learned.policy_file import Weights
from layerlift.planners.learned.scorer import Scorer
from layerlift.planners.learned.steps import weights_of

MEMBERS: Final = 4
"""Scorers."""
WIDE: Final = 16
NARROW: Final = 8
"""The sizes of a scorer inside."""
STEPS: Final = 24
"""Of each optimiser, in a round."""
BATCH: Final = 256
"""Examples that a step looks at: every scorer draws its own."""
LEAST: Final = 8
MOST: Final = 64
"""Proposals of a scorer for a problem."""
ADAPTED: Final = 32
"""Problems between two times that the number of proposals is set anew: twice as many as were of use."""
_SEEDS: Final = 1000
"""Between those of two trainings' scorers."""


class Training:
    """Scorers on their way, what they remember together, and how much they propose."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rounds = seed, 0
        self._learners = [
            Learner(_SEEDS * seed + number, WIDE, NARROW, f"_{number}") for number in range(1, MEMBERS + 1)
        ]
        self._memory = Memory()
        self._count, self._furthest = MOST, 0
        """Proposals of a scorer, and the number of the furthest that was best since this was set."""

    def round(self, shown: Sequence[Shown]) -> float:
        """Look for the best of the worlds shown, remember them, and take some steps; the mean loss over them."""
        rng = np.random.default_rng(streams.family(self.seed, "learning", f"proposals {self.rounds}").getrandbits(64))
        self._look_at(shown, rng)
        losses = []
        with one_thread():
            for number in range(self.rounds * STEPS, (self.rounds + 1) * STEPS):
                for learner in self._learners:
                    some = self._memory.some(rng.integers(0, self._memory.rows, size=BATCH))
                    losses.append(learner.step(some, number))
        self.rounds += 1
        return left_sum(losses) / len(losses)

    def _look_at(self, shown: Sequence[Shown], rng: np.random.Generator) -> None:
        scorer = Scorer(self.policy({}))
        for each in shown:
            costs, seen = each.costs, features_of(each.costs)
            nothing, room = np.zeros(len(costs.pieces)), np.full(len(costs.nodes), np.inf)
            made = [flipped(table, costs.forbidden, self._count, nothing, room) for table in scorer.scores(seen)]
            found = proposed(costs, np.concatenate([*made, plain(costs)]))
            self._memory.put(learned_from(found, seen, costs, rng))
            self._adapt([len(ways) for ways in made], found.best)

    def _adapt(self, counts: list[int], best: int) -> None:
        """Propose fewer where the best are found among the first, and more again where they are not."""
        for count in counts:
            if best < count:
                self._furthest = max(self._furthest, best)
                break
            best -= count
        if self._memory.problems % ADAPTED == 0:
            self._count = min(max(LEAST, 2 * (self._furthest + 1)), MOST)
            self._furthest = 0

    def policy(self, notes: Mapping[str, str]) -> Weights:
        """The policy so far."""
        return weights_of([learner.policy for learner in self._learners], notes, FLIPS)

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays: what `resume` goes on from, bit for bit."""
        made: dict[str, NDArray[Any]] = {"seed": np.array(self.seed), "rounds": np.array(self.rounds)}
        made |= {"count": np.array(self._count), "furthest": np.array(self._furthest)}
        for learner in self._learners:
            made |= learner.state()
        return made | self._memory.state()

    def resume(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where `state` was taken. Raises `RunError` for one that does not fit."""
        with fitting(state, self.seed) as rounds:
            self._take(state, rounds)

    def _take(self, state: Mapping[str, NDArray[Any]], rounds: int) -> None:
        count, furthest = int(state["count"]), int(state["furthest"])
        if not (LEAST <= count <= MOST and 0 <= furthest <= MOST):
            raise ValueError(count, furthest)
        for learner in self._learners:
            learner.take(state, trained=rounds > 0)
        self._memory.take(state)
        if bool(self._memory.problems) != bool(rounds):
            raise ValueError(rounds)
        self.rounds, self._count, self._furthest = rounds, count, furthest
