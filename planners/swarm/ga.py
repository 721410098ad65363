"""A plain genetic algorithm over placements."""

from __future__ import annotations

import numpy as np

from layerlift.models.errors import PlanError
from layerlift.planners.cost.stay import Leaves, StayGiven
from layerlift.planners.problem.problem import Ints
from layerlift.planners.swarm.moves import Moves
from layerlift.planners.swarm.search import Record, Start, SwarmPlanner


class Ga(SwarmPlanner):
    """Tournaments choose parents, children take a segment from the second one and mutate, the best rows survive.

    The usual textbook form (Holland), with the comparison, moves and starts of `layerlift.planners.swarm.pso`: of
    `tournament` rows drawn the best is a parent; with probability `crossover` a random segment is copied from a
    second parent; with probability `mutation` the child mutates; the `elite` best rows go on unchanged. For all
    users at once a row holds all their placements.
    """

    def __init__(
        self,
        population: int = 100,
        evaluations: int = 20_000,
        patience: int = 40,
        restarts: int = 1,
        crossover: float = 0.8,
        mutation: float = 0.5,
        tournament: int = 3,
        elite: int = 4,
        moves: Moves = "runs",
        start: Start = "cuts",
        stay_s: StayGiven = None,
        leaves: Leaves = "known",
    ) -> None:
        super().__init__(evaluations, patience, restarts, stay_s=stay_s, leaves=leaves)
        if not 0.0 <= crossover <= 1.0 or not 0.0 <= mutation <= 1.0 or not 1 <= elite < population or tournament < 1:
            raise PlanError(
                f"ga: population={population}, crossover={crossover}, mutation={mutation}, tournament={tournament}, "
                f"elite={elite} were given, expected probabilities, tournament >= 1 and 1 <= elite < population"
            )
        self.population, self.crossover, self.mutation = population, crossover, mutation
        self.tournament, self.elite = tournament, elite
        self.moves: Moves = moves
        self.start: Start = start

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return "Holland, Adaptation in Natural and Artificial Systems, 1975; Lin et al., TII 16(8):5456, as a baseline"

    def search(self, record: Record, rng: np.random.Generator) -> str:
        """Breed one population after another; see the class."""
        differing = self._breed(record, rng)
        for _ in range(self.restarts):
            if record.left:
                record.begin_epoch()
                differing = self._breed(record, rng)
        return f", rows end {differing:.0%} of layers away from their leader"

    def _breed(self, record: Record, rng: np.random.Generator) -> float:
        space, genome = record.space, record.space.genome
        rows = space.start(self.start, self.population, rng, record.epoch)
        missed, values = record.look(rows)
        while record.left and not record.stale:
            order = np.lexsort((values, missed))
            rows, missed, values = rows[order], missed[order], values[order]
            count = self.population - self.elite
            children = rows[self._parents(count, rng)]
            crossing = np.flatnonzero(rng.random(count) < self.crossover)
            genome.cross(children, crossing, rows[self._parents(len(crossing), rng)], rng)
            genome.mutate(children, np.flatnonzero(rng.random(count) < self.mutation), self.moves, rng)
            space.repair(children)
            born_missed, born_values = record.look(children)
            rows = np.concatenate([rows[: self.elite], children])
            missed = np.concatenate([missed[: self.elite], born_missed])
            values = np.concatenate([values[: self.elite], born_values])
        return float((rows != record.leader).mean())

    def _parents(self, count: int, rng: np.random.Generator) -> Ints:
        """Positions of tournament winners in rows that are sorted, the best first."""
        drawn: Ints = rng.integers(0, self.population, size=(count, self.tournament)).min(axis=1)
        return drawn
