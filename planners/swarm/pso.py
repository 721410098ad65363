"""Lin's self-adaptive discrete particle swarm with the operators of a genetic algorithm."""

from __future__ import annotations

import numpy as np

from layerlift.models.errors import PlanError
from layerlift.planners.cost.arithmetic import exponential
from layerlift.planners.cost.batch import Placements
from layerlift.planners.cost.stay import Leaves, StayGiven
from layerlift.planners.swarm.moves import Moves
from layerlift.planners.swarm.search import Record, Start, SwarmPlanner, better


class Pso(SwarmPlanner):
    """A particle is a placement. In every round each one mutates, then crosses with its own best and the swarm's.

    Inertia is mutation, with probability w; the two learning terms are crossover of a random segment, with
    probabilities c1 (own best) and c2 (swarm's best). w adapts to each particle:
    w = w_max - (w_max - w_min) exp(d / (d - 1.01)), d = share of layers placed otherwise than in the swarm's best, so
    that particles far from it mutate more; c1 falls from `c1_start` to `c1_end` and c2 rises, linearly over the
    evaluations. Comparison is Lin's (`layerlift.planners.cost.judge`).

    Sources: 100 particles from the group's SPSO-GA data; c1 0.9 to 0.2, c2 0.4 to 0.9 and the formula of w from a
    published re-implementation, with d as the differing share (diverse swarms mutate more; that code counts equal
    ones); w in 0.4 to 0.9 as Lin is commonly quoted. Not in the source: `moves=runs` mutates runs of layers, and
    `start=cuts` puts all-local and the best single cuts into the first swarm; `moves=points,start=random` is the
    letter (but for all-local, which is always looked at). Also ours: 20,000 `evaluations`, and that a swarm without
    gain in `patience` rounds is drawn anew, `restarts` times, before the search ends early. For all users at once a
    particle holds all their placements.
    """

    def __init__(
        self,
        particles: int = 100,
        evaluations: int = 20_000,
        patience: int = 40,
        restarts: int = 1,
        w_max: float = 0.9,
        w_min: float = 0.4,
        c1_start: float = 0.9,
        c1_end: float = 0.2,
        c2_start: float = 0.4,
        c2_end: float = 0.9,
        moves: Moves = "runs",
        start: Start = "cuts",
        stay_s: StayGiven = None,
        leaves: Leaves = "known",
    ) -> None:
        super().__init__(evaluations, patience, restarts, stay_s=stay_s, leaves=leaves)
        shares = (w_min, w_max, c1_start, c1_end, c2_start, c2_end)
        if particles < 2 or w_min > w_max or not all(0.0 <= share <= 1.0 for share in shares):
            raise PlanError(
                f"pso: particles={particles}, w_min={w_min}, w_max={w_max}, c1 {c1_start} to {c1_end}, c2 {c2_start} "
                f"to {c2_end} were given, expected at least 2 particles and probabilities with w_min <= w_max"
            )
        self.particles = particles
        self.w_max, self.w_min = w_max, w_min
        self.c1, self.c2 = (c1_start, c1_end), (c2_start, c2_end)
        self.moves: Moves = moves
        self.start: Start = start

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return "Lin et al., PSO-GA, IEEE TII 16(8):5456, 2020, doi:10.1109/TII.2019.2961237"

    def search(self, record: Record, rng: np.random.Generator) -> str:
        """Fly one swarm after another; see the class."""
        differing = self._fly(record, rng)
        for _ in range(self.restarts):
            if record.left:
                record.begin_epoch()
                differing = self._fly(record, rng)
        return f", particles' bests end {differing:.0%} of layers away from their leader"

    def _fly(self, record: Record, rng: np.random.Generator) -> float:
        space, genome = record.space, record.space.genome
        rows = space.start(self.start, self.particles, rng, record.epoch)
        own = rows.copy()
        own_missed, own_values = record.look(rows)
        while record.left and not record.stale:
            self._mutate(rows, record, rng)
            for limits, teacher in ((self.c1, own), (self.c2, record.leader)):
                chance = limits[0] + (limits[1] - limits[0]) * record.share
                chosen = np.flatnonzero(rng.random(len(rows)) < chance)
                genome.cross(rows, chosen, teacher if teacher.ndim == 1 else teacher[chosen], rng)
            space.repair(rows)
            missed, values = record.look(rows)
            won = better(missed, values, own_missed, own_values)
            own[won], own_missed[won], own_values[won] = rows[won], missed[won], values[won]
        return float((own != record.leader).mean())

    def _mutate(self, rows: Placements, record: Record, rng: np.random.Generator) -> None:
        differing = (rows != record.leader).mean(axis=1)
        weights = np.array([self._inertia(float(share)) for share in differing])
        chosen = np.flatnonzero(rng.random(len(rows)) < weights)
        record.space.genome.mutate(rows, chosen, self.moves, rng)

    def _inertia(self, differing: float) -> float:
        return self.w_max - (self.w_max - self.w_min) * exponential(differing / (differing - 1.01))
