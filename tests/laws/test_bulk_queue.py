"""A server that batches against the bulk-service queue of queueing theory, within confidence intervals.

Questions come to one server as a Poisson process and run in batches of 1 to K, begun whenever the core is free and
somebody is there: M/D[b]/1 with the general bulk service rule (a = 1), whose service takes T(b), which depends on how
many there are. Sources: N. T. J. Bailey, JRSS B 16(1), 1954 (the chain embedded at ends of service); M. F. Neuts, Ann.
Math. Statist. 38(3), 1967; times between and lengths by renewal reward and Little's law.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import exp, fsum
from typing import Any, NamedTuple

import numpy as np
import pytest
from batching import with_batches
from worlds import InlinePlans, chain_graph, fixed, small_world

from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.runtime.one_clock import OneClock
from layerlift.emulator.world.laws import Regular, Steady
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.world import World

ONE = chain_graph([0, 0], [0])
ALONE_S, EACH, DELAY = 0.01, 0.25, 0.02
STATES = 400
GROUPS = 20
STUDENT_99 = 2.861
"""Of 19 degrees of freedom."""


def served_s(size: int) -> float:
    """T(b): one alone, and a quarter of that for each further one."""
    return ALONE_S * (1.0 + (size - 1) * EACH)


class Bulk(NamedTuple):
    """The queue's means in the long run."""

    latency_s: float
    """Waiting and service of a question."""
    size: float
    """Questions in a batch."""
    use: float
    """Share of time in which the core is busy."""


def poisson(mean: float) -> np.ndarray:
    """The shares of 0, 1, 2, ..."""
    return exp(-mean) * np.cumprod([1.0, *(mean / k for k in range(1, STATES))])


def bulk(rate: float, most: int) -> Bulk:
    """From the chain of who is left behind at the end of a service; longer queues than `STATES` never come here."""
    step = np.zeros((STATES, STATES))
    for left in range(STATES):
        size = min(max(left, 1), most)
        come = poisson(rate * served_s(size))
        behind = max(left, 1) - size
        step[left, behind:] = come[: STATES - behind]
    step /= step.sum(axis=1, keepdims=True)
    values = np.linalg.solve(np.vstack([(step.T - np.eye(STATES))[:-1], np.ones(STATES)]), [*[0.0] * (STATES - 1), 1.0])
    cycle = waiting = served = spent = busy = 0.0
    for left, share in enumerate(values):
        size = min(max(left, 1), most)
        time = served_s(size)
        cycle += share * (time + (0.0 if left else 1.0 / rate))
        waiting += share * ((max(left, 1) - size) * time + rate * time * time / 2.0)
        served += share * size
        spent += share * size * time
        busy += share * time
    return Bulk(waiting / cycle / rate + spent / served, served, busy / cycle)


def world(asks: Any, most: int, wait_s: float, queries: int, each: float = EACH) -> World:
    made = small_world(
        ONE, (ALONE_S,), fixed((1,)), link=LinkSpec(DELAY, 1e9), sample_s=10.0,
        server={"discipline": "batch", "max_batch": most, "batch_wait_s": wait_s},
        user={"asks": asks, "queries": queries, "in_flight": 10**9},
    )  # fmt: skip
    return replace(made, models=tuple(with_batches(model, each) for model in made.models))


@cache
def ran(asks: Any, most: int, wait_s: float, queries: int) -> dict[str, list[dict[str, Any]]]:
    kept: dict[str, list[dict[str, Any]]] = {"queries": [], "batches": [], "usage": []}

    def write(table: str, rows: list[tuple[Any, ...]]) -> None:
        if table in kept:
            names = [name for name, _ in TABLES[table]]
            kept[table] += [dict(zip(names, row, strict=True)) for row in rows]

    one = world(asks, most, wait_s, queries)
    OneClock(one, InlinePlans(one), write).run()
    return kept


def interval(values: list[float]) -> tuple[float, float]:
    """Mean, and how far the truth may be from it with 99 % confidence, by means of long groups."""
    length = len(values) // GROUPS
    means = [fsum(values[k * length : (k + 1) * length]) / length for k in range(GROUPS)]
    mean = fsum(means) / GROUPS
    return mean, STUDENT_99 * (fsum((each - mean) ** 2 for each in means) / (GROUPS - 1) / GROUPS) ** 0.5


def test_the_chain_gives_textbook_values() -> None:
    """With one at a time it is M/D/1; where everybody fits and nobody waits for the core it is service alone."""
    rho = 0.7
    in_turn = bulk(rho / ALONE_S, 1)
    assert in_turn.latency_s == pytest.approx(ALONE_S * (1.0 + rho / (2.0 * (1.0 - rho))), rel=1e-9)
    assert (in_turn.size, in_turn.use) == (pytest.approx(1.0), pytest.approx(rho))
    assert bulk(1e-3, 8).latency_s == pytest.approx(ALONE_S, rel=1e-4)


@pytest.mark.long
@pytest.mark.parametrize(("load", "most"), [(0.7, 4), (1.5, 4), (2.5, 16)])
def test_poisson_questions_in_batches(load: float, most: int) -> None:
    """Beyond a load of 1 one at a time could not keep up."""
    rate = load / ALONE_S
    truth = bulk(rate, most)
    tables = ran(Steady(rate), most, 0.0, 20_000)
    rows = sorted((row for row in tables["queries"] if row["remote_layers"]), key=lambda row: row["asked_s"])
    mean, half = interval([row["latency_s"] - 2 * DELAY for row in rows[2_000:]])
    assert half < 0.08 * mean
    assert abs(mean - truth.latency_s) <= half
    size, size_half = interval([float(row["size"]) for row in tables["batches"]])
    assert abs(size - truth.size) <= max(size_half, 0.02 * truth.size)
    busy = [row["busy_s"] / row["period_s"] for row in tables["usage"] if row["node"] == "s1" and row["busy_s"]]
    assert fsum(busy[1:-1]) / len(busy[1:-1]) == pytest.approx(truth.use, rel=0.05)
    if load < 1.0:
        other = bulk(rate, 1).latency_s
        assert abs(other - mean) > half, "it would have been told from one at a time"


def test_periodic_questions_have_batches_that_can_be_counted() -> None:
    """D/D[b]/1: with one every 4 ms more than four come while four run (17.5 ms), and all batches are full in the end;
    with one every 20 ms each waits for 8 ms in vain."""
    sizes = [row["size"] for row in ran(Regular(4.0), 4, 0.008, 400)["batches"]]
    assert set(sizes[20:-2]) == {4}
    light = ran(Regular(20.0), 4, 0.008, 100)
    assert {row["size"] for row in light["batches"]} == {1}
    assert {round(row["company_s"], 9) for row in light["batches"]} == {0.008}
    settled = [row["latency_s"] for row in light["queries"] if row["remote_layers"]][5:]
    assert settled == pytest.approx([2 * DELAY + 0.008 + ALONE_S] * len(settled), rel=1e-9)
