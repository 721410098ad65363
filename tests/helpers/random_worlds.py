"""Random worlds for planners: two to twelve servers at the edge and in the cloud, loads, prices, links over decades."""

from __future__ import annotations

import math

import numpy as np

from layerlift import models
from layerlift.models.timing.profiles import reference
from layerlift.planners import ClientPower, Objective, Problem

MB = 2**20
BETWEEN = {(0, 1): (0.5, 60.0), (0, 2): (0.2, 20.0), (1, 2): (0.5, 50.0), (1, 1): (5.0, 200.0), (2, 2): (5.0, 200.0)}
"""Least and most MB/s between tiers (0 the client, 1 edge, 2 cloud)."""
DELAYS = {
    (0, 1): (0.001, 0.01),
    (0, 2): (0.01, 0.06),
    (1, 2): (0.005, 0.04),
    (1, 1): (0.001, 0.001),
    (2, 2): (0.002, 0.002),
}


def random_problem(rng: np.random.Generator, network: str) -> Problem:
    """One user's problem in a random world without limits; the objective is latency, or mixed."""
    loaded = models.load(network)
    edges, clouds = int(rng.integers(1, 7)), int(rng.integers(1, 7))
    tier = np.array([0, *[1] * edges, *[2] * clouds])
    ghz = np.concatenate([[rng.uniform(0.6, 4)], rng.uniform(4, 20, edges), rng.uniform(40, 120, clouds)])
    seconds = np.array(reference(loaded).seconds)[:, None] * rng.choice([1.0, 5.0, 10.0, 18.7]) * 2.6 / ghz
    bandwidth, delay = _links(rng, tier)
    count = len(tier)
    idle, compute, radio = rng.uniform(1, 5), rng.uniform(1, 5), rng.uniform(0.5, 4)
    carried = np.where((tier == 2) & (tier[:, None] == 0), 5e-11, 0.0)
    return Problem(
        graph=loaded.graph,
        nodes=("client", *(f"s{number}" for number in range(1, count))),
        tiers=tuple(np.array(["client", "edge", "cloud"])[tier].tolist()),
        seconds=seconds,
        latency_s=delay,
        bandwidth_bytes_s=bandwidth,
        memory_bytes=np.full(count, np.inf),
        load=np.where(tier > 0, rng.poisson(rng.choice([0.0, 0.0, 1.0, 3.0]), count), 0).astype(np.float64),
        share=np.ones(count),
        price_per_s=np.where(tier == 2, rng.uniform(2e-5, 1e-4), np.where(tier == 1, rng.uniform(5e-6, 5e-5), 0.0)),
        price_per_byte=carried + carried.T,
        price_per_byte_s=np.zeros(count),
        power=ClientPower(idle, compute, radio),
        busy_w=np.where(tier > 0, rng.uniform(5, 60, count), idle + compute),
        load_s_per_byte=np.zeros(count),
        cores=np.where(tier > 0, rng.choice([1, 2, 4], count), 1).astype(np.int64),
        allowed=np.ones((len(loaded.graph), count), dtype=np.bool_),
        objective=_objective(rng),
    )


def _objective(rng: np.random.Generator) -> Objective:
    mixed = Objective(latency=rng.uniform(0.1, 1), energy=rng.uniform(0, 1), money=rng.uniform(0, 1))
    kinds = [Objective(), Objective(energy=1.0), Objective(money=rng.uniform(0.1, 2)), mixed]
    return kinds[int(rng.integers(0, 4))]


def _links(rng: np.random.Generator, tier: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    count = len(tier)
    rate = {pair: math.exp(rng.uniform(math.log(low), math.log(high))) for pair, (low, high) in BETWEEN.items()}
    wait = {pair: math.exp(rng.uniform(math.log(low), math.log(high))) for pair, (low, high) in DELAYS.items()}
    bandwidth, delay = np.full((count, count), np.inf), np.zeros((count, count))
    for a in range(count):
        for b in range(a + 1, count):
            pair = (int(tier[a]), int(tier[b]))
            bandwidth[a, b] = bandwidth[b, a] = rate[pair] * MB * math.exp(rng.normal(0, 0.3))
            delay[a, b] = delay[b, a] = wait[pair]
    return bandwidth, delay
