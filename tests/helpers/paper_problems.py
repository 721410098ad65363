"""Real networks in the paper's environment: one client, five edge and five cloud servers."""

from __future__ import annotations

import numpy as np

from layerlift import models
from layerlift.models.timing.profiles import reference
from layerlift.planners import Problem, simple_problem

MB = 2**20
GHZ = [1.1, *np.linspace(4.2, 18.3, 5).tolist(), *np.linspace(40.0, 120.0, 5).tolist()]
TIERS = [0, *[1] * 5, *[2] * 5]
BANDWIDTH_MB_S = {(0, 1): 10.0, (0, 2): 0.5, (1, 2): 0.5, (1, 1): 10.0, (2, 2): 5.0, (0, 0): np.inf}
LATENCY_S = {(0, 1): 0.002, (0, 2): 0.03, (1, 2): 0.03, (1, 1): 0.002, (2, 2): 0.005, (0, 0): 0.0}
REFERENCE_GHZ = 72.5


def paper_problem(name: str, client_ghz: float = 1.1, servers: range = range(1, 11)) -> Problem:
    network = models.load(name)
    seconds = np.array(reference(network).seconds)
    nodes = [0, *servers]
    ghz = np.array([client_ghz, *(GHZ[node] for node in servers)])
    pairs = [[tuple(sorted((TIERS[a], TIERS[b]))) for b in nodes] for a in nodes]
    return simple_problem(
        network.graph,
        seconds[:, None] * REFERENCE_GHZ / ghz[None, :],
        bandwidth_bytes_s=np.array([[BANDWIDTH_MB_S[pair] * MB for pair in row] for row in pairs]),
        latency_s=np.array([[LATENCY_S[pair] for pair in row] for row in pairs]),
    )
