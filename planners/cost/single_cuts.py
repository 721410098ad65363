"""Single cuts: the client runs a prefix of the layers, one server the rest."""

from __future__ import annotations

import numpy as np

from layerlift.planners.cost import batch
from layerlift.planners.cost.batch import Placements
from layerlift.planners.problem.problem import Problem


def single_cuts(problem: Problem, server: int) -> Placements:
    """Every legal single cut towards `server`, shape (K, L), the longest suffix first.

    Layers are cut in their topological order, so on a DAG a set of tensors crosses. Layers of the suffix that are
    not allowed on the server stay on the client; cuts that move nothing or overfill the memory are left out.
    """
    count = len(problem.graph)
    suffix = np.triu(np.ones((count, count), dtype=np.int64))
    rows = np.unique(suffix * problem.allowed[:, server], axis=0)[::-1] * server
    rows = rows[rows.any(axis=1)]
    return rows[batch.fits(problem, rows)] if len(rows) else rows


def all_single_cuts(problem: Problem) -> Placements:
    """The single cuts towards every server, shape (K, L), servers in order."""
    parts = [single_cuts(problem, server) for server in problem.servers]
    empty = np.zeros((0, len(problem.graph)), dtype=np.int64)
    return np.concatenate([empty, *parts])
