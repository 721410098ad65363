"""Whether a single cut inside a module can be the cheapest placement: mostly a look at whole modules tells.

A single cut between modules is one of the ways over whole modules. One inside a module costs at least what the client
computes before that module, the fewest bytes that cross inside it, and what the server computes after it. Where that is
more than the cheapest way costs, nobody need price every cut in front of every layer.
"""

from __future__ import annotations

import numpy as np

from layerlift.models.graph.graph import LayerGraph
from layerlift.models.graph.per_graph import per_graph
from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.judge import Rank
from layerlift.planners.cost.pieces import Sums
from layerlift.planners.cost.single_cuts import NEAR, cut_facts
from layerlift.planners.cost.units import units_of
from layerlift.planners.problem.problem import Floats, Ints, Problem


@per_graph
def _inside(graph: LayerGraph) -> tuple[Ints, Floats]:
    """The units of several layers, and the fewest bytes that layers before make for layers behind a cut inside each."""
    crossing = cut_facts(graph).up
    units = [(number, unit) for number, unit in enumerate(units_of(graph)) if len(unit.layers) > 1]
    least = [float(crossing[unit.first + 1 : unit.last + 1].min()) for _, unit in units]
    return np.array([number for number, _ in units], dtype=np.int64), np.array(least)


def none_inside_beats(rank: Rank, sums: Sums, pieces: Floats, weights: Floats) -> bool:
    """Whether no single cut inside a whole piece can rank below `rank`.

    `pieces` are what they cost by `weights`, of shape (P, N). False where a look does not tell: where terms do not add
    up, a layer is forbidden somewhere, or the objective has a limit or several terms, whose scales are found among the
    cuts.
    """
    problem = sums.problem
    weight = _only_weight(problem)
    adding = sums.exact if problem.objective.money else sums.chained
    if not weight or rank[0] or not adding or not problem.allowed.all():
        return False
    units, crossing = _inside(problem.graph)
    if not len(units):
        return True
    # In a chain with one answer something that the client makes crosses every cut: one message at least waits for it.
    delay, rate = sums.hops(weights)
    client = np.add.accumulate(pieces[:, CLIENT])[units] - pieces[units, CLIENT]
    after = np.add.accumulate(pieces[::-1], axis=0)[::-1][units] - pieces[units]
    least = client[:, None] + delay[CLIENT] + rate[CLIENT] * (crossing + problem.header_bytes)[:, None] + after
    return bool(least[:, 1:].min(initial=np.inf) * weight > rank[1] * (1.0 + NEAR))


def _only_weight(problem: Problem) -> float:
    """The weight of the only term that is wanted, if that adds up and nothing is a limit; else 0."""
    wanted = problem.objective
    if wanted.deadline_s is not None or wanted.budget is not None:
        return 0.0
    adding = [weight for weight in (wanted.latency, wanted.energy, wanted.money) if weight]
    return adding[0] if len(adding) == 1 and wanted.adds_up else 0.0
