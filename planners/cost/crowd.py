"""Users who share servers: what each other's pieces cost them. For planners that place all users together.

The model is mean-field: a user whose queries follow each other keeps `busy / latency` pieces running on a server on
average, and a piece there shares the processor with the pieces of all others. The latencies of users alone give the
averages, and the averages lengthen the pieces once: no fixed point is sought. Links are independent, as everywhere
in planning. That is all where nothing is known of how often users ask. Where every problem says it (`Problem.crowd`),
CPUs, the servers' ports and media are shared by those rates, in the steady state (`layerlift.planners.cost.sharing`).

Memory is shared too. A problem's `memory_bytes` is what a server offered its user when asked: its free memory and what
that user already holds there, so equal offers are one room for all of them together. Of unequal offers the users with
small ones share what was offered to the largest of these, and all together share the largest offer: for every user,
those who were offered no more than it hold together no more than its offer. Where servers keep a quota for each user,
that is too strict: `memory="each"` leaves every user its own offer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from layerlift.models.errors import PlanError
from layerlift.planners.cost import batch
from layerlift.planners.cost.batch import Placements
from layerlift.planners.cost.judge import Judge, Rank
from layerlift.planners.cost.media import capped
from layerlift.planners.cost.period import periods
from layerlift.planners.cost.sharing import TRUSTED, Sharing, Steady, demands_of, name_of
from layerlift.planners.cost.stay import StayOption, stay_in
from layerlift.planners.problem.crowd_news import CrowdNews
from layerlift.planners.problem.problem import Bools, Floats, Problem

SHORTEST_QUERY_S = 1e-12
"""Keeps a query that costs nothing from running infinitely often."""

Memory = Literal["shared", "each"]
"""Whose the offered memory is: all users' together, or each user's own."""


class Crowd:
    """The problems of all users, over the same servers in the same order.

    Raises `PlanError` when there is no problem, or when two users see different servers.
    """

    def __init__(self, problems: Sequence[Problem], memory: Memory = "shared", stay: StayOption = None) -> None:
        if not problems:
            raise PlanError("no user was given to plan for, expected at least one problem")
        for problem in problems:
            if problem.nodes[1:] != problems[0].nodes[1:]:
                raise PlanError(
                    f"users see different servers, {problem.nodes[1:]} and {problems[0].nodes[1:]}: plan them apart"
                )
        self.sharing = sharing_of(problems)
        """How users share by the rates at which they ask; None where those are not known."""
        told = [problem.crowd for problem in problems]
        problems = [within_ports(problem) for problem in problems]
        self.problems = tuple(problems)
        """Without what is known of the crowd, so that equal users have equal problems; links are within their ports."""
        self.labels = tuple(_label(problem, news) for problem, news in zip(problems, told, strict=True))
        """Names each user's problem and the media that its ways cross: equal users have equal labels."""
        self._alone: dict[tuple[str, tuple[int, ...]], tuple[batch.BatchCosts, Floats]] = {}
        known: dict[str, Judge] = {}
        for problem in problems:
            if problem.digest not in known:
                known[problem.digest] = Judge(problem, stay_in(stay, problem))
        self.judges = tuple(known[problem.digest] for problem in problems)
        offers = np.array([problem.memory_bytes for problem in problems])
        offers[:, 0 if memory == "shared" else slice(None)] = np.inf
        self.limited = bool(np.isfinite(offers).any())
        """Whether memory that users share may run out."""
        self._by_offer = np.argsort(offers, axis=0, kind="stable")
        self._offers = np.take_along_axis(offers, self._by_offer, axis=0)
        self._rank = np.argsort(self._by_offer, axis=0, kind="stable")

    def __len__(self) -> int:
        return len(self.problems)

    def scores(self, placements: Sequence[Placements]) -> tuple[Floats, Floats]:
        """How good choices for all users are: violations and values, each summed over the users.

        `placements[u]` has shape (P, L of user u): row p of every array together is choice p. Returns shapes (P,)
        and (P,), compared as `Judge.keys` are: the lower violation wins, then the lower value. The balance that the
        objectives weigh is that of the servers under all users. A choice that overfills a server has violation inf.
        """
        if self.sharing is not None:
            return self._scores_by_rate(self.sharing, placements)
        costs = [batch.evaluate(each, rows) for each, rows in zip(self.problems, placements, strict=True)]
        running = [running_pieces(each) for each in costs]
        total = np.sum(running, axis=0)
        violations, values = np.zeros(len(total)), np.zeros(len(total))
        for judge, rows, own in zip(self.judges, placements, running, strict=True):
            problem = judge.problem
            shared = batch.evaluate(problem, rows, contended(problem, total - own))
            shared = replace(shared, balance=evenness(problem, total), period_s=beside(problem, shared, total - own))
            missed, worth = judge.keys(rows, shared)
            violations += missed
            values += worth
        violations[~self.has_room(placements)] = np.inf
        return violations, values

    @property
    def nobody(self) -> Floats:
        """What a user feels of others who are not there: zeros for each node, or resource where rates are known."""
        return np.zeros(len(self.problems[0].nodes) if self.sharing is None else self.sharing.width.shape[1])

    def alone(self, user: int, placement: Sequence[int]) -> tuple[batch.BatchCosts, Floats]:
        """What a placement costs alone and needs of each resource (1, R); remembered for users with equal problems."""
        key = self.labels[user], tuple(placement)
        if key not in self._alone:
            self._alone[key] = self._demands(user, np.array([placement], dtype=np.int64))
        return self._alone[key]

    def _demands(self, user: int, rows: Placements) -> tuple[batch.BatchCosts, Floats]:
        weights = None if self.sharing is None else self.sharing.weights[user]
        return demands_of(self.problems[user], rows, weights)

    def felt(self, user: int, costs: batch.BatchCosts, latency_s: Floats, rent: Floats) -> batch.BatchCosts:
        """Costs of placements whose queries take `latency_s` among the others; idle power and `rent` grow with it."""
        longer = latency_s - costs.latency_s
        joules = costs.energy_j + self.problems[user].power.idle_w * longer
        return replace(costs, latency_s=latency_s, energy_j=joules, money=costs.money + rent * longer)

    def rank_by_rate(self, user: int, placement: Sequence[int], others: Floats) -> Rank:
        """Rank of one placement beside `others` pieces at each resource, shape (R,). Only where rates are known."""
        assert self.sharing is not None
        problem, row = self.problems[user], np.array([placement], dtype=np.int64)
        costs, demand = self.alone(user, placement)
        longer = demand @ (self.sharing.slowdown(user, others) - self.sharing.before[user])
        latency = self.sharing.waited(user, costs.latency_s, costs.latency_s + longer)
        rent = batch.held_bytes(problem, row) @ problem.price_per_byte_s
        felt = self.felt(user, costs, latency, rent)
        if problem.objective.balance:
            nodes = len(problem.nodes)
            felt = replace(felt, balance=evenness(problem, others[None, :nodes] + demand[:, :nodes] / latency[:, None]))
        felt = replace(felt, period_s=beside(problem, felt, others[None, : len(problem.nodes)]))
        missed, value = self.judges[user].keys(row, felt)
        return float(missed[0]), float(value[0])

    def steady(self, placements: Sequence[Sequence[int]]) -> Steady:
        """The steady state of one choice, a placement a user. Only where rates are known."""
        assert self.sharing is not None
        alone = [self.alone(user, placement) for user, placement in enumerate(placements)]
        return self.sharing.steady(
            np.array([demand[0] for _, demand in alone]), np.array([float(costs.latency_s[0]) for costs, _ in alone])
        )

    def outlook(self, placements: Sequence[Sequence[int]]) -> list[str]:
        """What each user may expect, for notes: its mean latency and what binds; empty where rates are not known."""
        if self.sharing is None:
            return [""] * len(placements)
        steady, nodes = self.steady(placements), self.problems[0].nodes
        most = int(np.argmax(steady.use))
        use = float(steady.use[most])
        binds = f"{name_of(most, nodes, self.sharing.media)} is used to {use:.0%}" if use > 0.0 else "no server is used"
        doubt = f": above {TRUSTED:.0%} not to be trusted"
        made = []
        for latency_s, behind in zip(steady.latency_s, steady.own_use > TRUSTED, strict=True):
            late = "; it asks about as fast as its answers come" if behind else ""
            trust = doubt if behind or use > TRUSTED else ""
            made.append(f"; expects {latency_s * 1000.0:.3g} ms on average, {binds}{late}{trust}")
        return made

    def _scores_by_rate(self, sharing: Sharing, placements: Sequence[Placements]) -> tuple[Floats, Floats]:
        """`scores` where rates are known: the steady state of every choice."""
        alone = [self._demands(user, rows) for user, rows in enumerate(placements)]
        demands = np.stack([need for _, need in alone], axis=1)
        state = sharing.steady_each(demands, np.stack([costs.latency_s for costs, _ in alone], axis=1))
        violations, values = np.zeros(len(demands)), np.zeros(len(demands))
        nodes = len(self.problems[0].nodes)
        running = state.present.sum(axis=1)[:, :nodes]
        for user, (judge, rows) in enumerate(zip(self.judges, placements, strict=True)):
            rent = batch.held_bytes(judge.problem, rows) @ judge.problem.price_per_byte_s
            felt = self.felt(user, alone[user][0], state.latency_s[:, user], rent)
            felt = replace(felt, balance=evenness(judge.problem, running))
            own = state.present[:, user, :nodes]
            felt = replace(felt, period_s=beside(judge.problem, felt, np.maximum(running - own, 0.0)))
            missed, worth = judge.keys(rows, felt)
            violations += missed
            values += worth
        violations[~self.has_room(placements)] = np.inf
        return violations, values

    def has_room(self, placements: Sequence[Placements]) -> Bools:
        """Whether all users' parameters fit together; arrays as in `scores`, the answer has shape (P,)."""
        if not self.limited:
            return np.ones(len(placements[0]), dtype=np.bool_)
        held = [batch.held_bytes(each, rows) for each, rows in zip(self.problems, placements, strict=True)]
        taken = np.cumsum(np.take_along_axis(np.array(held), self._by_offer[:, None, :], axis=0), axis=0)
        fitting: Bools = np.logical_and.reduce(taken <= self._offers[:, None, :], axis=(0, 2))
        return fitting

    def room_left(self, user: int, held: Floats) -> Floats:
        """Bytes that `user` may hold on each node, shape (N,), while users hold `held`, shape (U, N).

        What `user` itself holds does not count. At most 0 where the others hold too much already.
        """
        nodes = np.arange(held.shape[1])
        if not self.limited:
            return np.full(len(nodes), np.inf)
        ranked = np.take_along_axis(held, self._by_offer, axis=0)
        ranked[self._rank[user], nodes] = 0.0
        slack = self._offers - np.cumsum(ranked, axis=0)
        left: Floats = np.minimum.accumulate(slack[::-1], axis=0)[::-1][self._rank[user], nodes]
        return left

    def score(self, placements: Sequence[Sequence[int]]) -> Rank:
        """The score of one choice: one placement per user."""
        violations, values = self.scores([np.array([placement], dtype=np.int64) for placement in placements])
        return float(violations[0]), float(values[0])


def sharing_of(problems: Sequence[Problem]) -> Sharing | None:
    """How users share whose problems all say how often they ask; None where any does not."""
    told = [problem.crowd for problem in problems if problem.crowd is not None]
    if len(told) < len(problems):
        return None
    ports = [np.concatenate([each.downlink_bytes_s, each.uplink_bytes_s]) for each in told]
    media = [each.media for each in told if each.media is not None]
    if len({each.names for each in media}) > 1 or 0 < len(media) < len(told):
        raise PlanError("users see different shared media: plan them apart, or tell all of them of the same")
    return Sharing([within_ports(problem) for problem in problems], [each.asking for each in told], ports, media)


def _label(problem: Problem, news: CrowdNews | None) -> str:
    if news is None or news.media is None:
        return problem.digest
    return f"{problem.digest}/{hashlib.sha256(news.media.label()).hexdigest()}"


def within_ports(problem: Problem) -> Problem:
    """The problem without its crowd, with links no wider than ports at their ends and media, where those are known."""
    if problem.crowd is None:
        return problem
    ports = np.minimum(problem.crowd.uplink_bytes_s[:, None], problem.crowd.downlink_bytes_s[None, :])
    np.fill_diagonal(ports, np.inf)
    narrow = np.minimum(problem.bandwidth_bytes_s, ports)
    if problem.crowd.media is not None:
        narrow = capped(narrow, problem.crowd.media)
    return replace(problem, crowd=None, bandwidth_bytes_s=narrow)


def running_pieces(costs: batch.BatchCosts) -> Floats:
    """How many pieces of a user run on each node on average, shape (P, N); none on the client, which nobody shares."""
    made: Floats = costs.busy_s / np.maximum(costs.latency_s, SHORTEST_QUERY_S)[:, None]
    made[:, 0] = 0.0
    return made


def contended(problem: Problem, others: Floats) -> Floats:
    """`Problem.slowdown` when `others` pieces of other users run beside the reported load; shapes (..., N)."""
    shared = (problem.load + 1.0 + others) / problem.cores
    made: Floats = np.maximum(np.maximum(shared, 1.0 / problem.share), 1.0)
    return made


def beside(problem: Problem, costs: batch.BatchCosts, others: Floats) -> Floats:
    """Periods of placements beside the pieces that others keep running, shape (P, N); links are the user's alone."""
    if not problem.objective.period:
        return costs.period_s
    crowd = others.copy()
    crowd[:, 0] = 0.0
    return periods(problem, costs.busy_s, costs.links_s, crowd)


def evenness(problem: Problem, total: Floats) -> Floats:
    """Coefficient of variation of the servers' utilisation under `total` pieces of all users; shapes (P, N) -> (P,)."""
    if len(problem.nodes) < 2:
        return np.zeros(len(total))
    used = (total[:, 1:] + problem.load[1:]) / problem.cores[1:]
    mean = used.mean(axis=1)
    spread = np.sqrt(((used - mean[:, None]) ** 2).mean(axis=1))
    made: Floats = np.divide(spread, mean, out=np.zeros_like(mean), where=mean > 0)
    return made
