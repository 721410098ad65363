"""Simulated annealing over placements, several walks side by side."""

from __future__ import annotations

import numpy as np

from layerlift.models.errors import PlanError
from layerlift.planners.cost.arithmetic import exponential
from layerlift.planners.cost.stay import Leaves, StayGiven
from layerlift.planners.problem.problem import Bools, Floats
from layerlift.planners.swarm.moves import Moves
from layerlift.planners.swarm.search import Record, Start, SwarmPlanner, better


class Sa(SwarmPlanner):
    """`walks` placements take one random move a round; worse ones are accepted the more rarely the cooler it is.

    Kirkpatrick's rule: a placement worse by D is accepted with probability exp(-D / T). T is a share of the best
    value known and falls geometrically from `hot` to `cold` over the evaluations. Between placements that break a
    limit the violation takes the place of the value, and nothing leads from within the limits to outside (Lin's
    comparison). The walks are independent and exist because rows are cheaper together. Moves and starts are
    those of `layerlift.planners.swarm.pso`; the numbers are ours. For all users at once a walk holds all their
    placements.
    """

    def __init__(
        self,
        walks: int = 100,
        evaluations: int = 20_000,
        patience: int = 200,
        hot: float = 0.05,
        cold: float = 1e-4,
        moves: Moves = "runs",
        start: Start = "cuts",
        stay_s: StayGiven = None,
        leaves: Leaves = "known",
    ) -> None:
        super().__init__(evaluations, patience, stay_s=stay_s, leaves=leaves)
        if walks < 1 or not 0.0 < cold <= hot:
            raise PlanError(
                f"sa: walks={walks}, hot={hot}, cold={cold} were given, expected walks >= 1 and 0 < cold <= hot"
            )
        self.walks, self.hot, self.cold = walks, hot, cold
        self.moves: Moves = moves
        self.start: Start = start

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return (
            "Kirkpatrick, Gelatt, Vecchi, Optimization by simulated annealing, 1983, doi:10.1126/science.220.4598.671"
        )

    def search(self, record: Record, rng: np.random.Generator) -> str:
        """Walk; see the class."""
        space = record.space
        rows = space.start(self.start, self.walks + 1, rng)
        missed, values = record.look(rows)
        everyone = np.arange(len(rows))
        rounds = max(1, record.left // len(rows))
        cooling = (self.cold / self.hot) ** (1.0 / rounds)
        heat = self.hot
        while record.left and not record.stale:
            tried = rows.copy()
            space.genome.mutate(tried, everyone, self.moves, rng)
            space.repair(tried)
            new_missed, new_values = record.look(tried)
            taken = better(new_missed, new_values, missed, values)
            taken |= self._endured(missed, values, new_missed, new_values, heat * abs(record.key[1]), heat, rng)
            rows[taken], missed[taken], values[taken] = tried[taken], new_missed[taken], new_values[taken]
            heat *= cooling
        return f", walks end {float((rows != record.best).mean()):.0%} of layers away from it"

    def _endured(
        self, missed: Floats, values: Floats, new_missed: Floats, new_values: Floats, by_value: float, by_miss: float,
        rng: np.random.Generator,
    ) -> Bools:  # fmt: skip
        """Which steps are taken although they are no better."""
        within = (missed == 0.0) & (new_missed == 0.0)
        outside = (missed > 0.0) & np.isfinite(new_missed)
        luck = rng.random(len(missed))
        made = np.zeros(len(missed), dtype=np.bool_)
        for row in np.flatnonzero(within | outside):
            rise = new_values[row] - values[row] if within[row] else new_missed[row] - missed[row]
            scale = by_value if within[row] else by_miss
            if np.isfinite(rise):
                made[row] = luck[row] < exponential(-max(rise, 0.0) / scale) if scale > 0 else rise <= 0
        return made
