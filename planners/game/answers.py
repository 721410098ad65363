"""Who tells a user its best plan against the others' load: tables of intervals, or any placing planner."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Protocol

import numpy as np

from layerlift.planners import cost
from layerlift.planners.cost import batch
from layerlift.planners.cost.crowd import Crowd, evenness, running_pieces
from layerlift.planners.cost.judge import Rank
from layerlift.planners.game.menu import Habit, Menu, UserChoice
from layerlift.planners.problem.problem import Floats, Problem
from layerlift.planners.registry.base import Planner

CELLS_AT_MOST = 1 << 23
"""Intervals whose costs are remembered, 72 bytes each; those of further users are computed again at every turn."""


class Answers(Protocol):
    """A user's side of the game. `others` are the pieces that other users keep running, shape (N,).

    Where rates are known (`Crowd.sharing`) they are those at each resource, shape (R,).
    """

    def local(self, user: int) -> UserChoice:
        """Staying at home."""

    def key(self, user: int, choice: UserChoice, others: Floats) -> Rank:
        """Rank of a choice (see `layerlift.planners.cost.judge`), smaller is better."""

    def best(self, user: int, others: Floats, room: Floats) -> UserChoice:
        """The best choice with at most `room` bytes of parameters on a node, shape (N,)."""


class RankedAnswers:
    """What both kinds of answers have in common: ranks by the cost model itself."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd

    def local(self, user: int) -> UserChoice:
        """Staying at home."""
        problem = self.crowd.problems[user]
        nothing = np.zeros(len(problem.nodes))
        return UserChoice((0,) * len(problem.graph), nothing, nothing)

    def key(self, user: int, choice: UserChoice, others: Floats) -> Rank:
        """Rank of any choice, by the model of `layerlift.planners.cost.crowd`."""
        problem, judge = self.crowd.problems[user], self.crowd.judges[user]
        if self.crowd.sharing is not None:
            return self.crowd.rank_by_rate(user, choice.placement, others)
        felt = cost.evaluate(replace(problem, load=problem.load + others), choice.placement)
        uneven = evenness(problem, (others + choice.running)[None, :])[0] if problem.objective.balance else 0.0
        missed, value = judge.rank(felt.latency_s, felt.energy_j, felt.money, float(uneven), felt.period_s)
        return judge.over_stay((missed if cost.fits(problem, choice.placement) else np.inf, value), choice.held)


class IntervalAnswers(RankedAnswers):
    """The best interval on one server, or local, from tables (see `layerlift.planners.game.menu`)."""

    def __init__(self, crowd: Crowd) -> None:
        super().__init__(crowd)
        self._menus: dict[str, Menu] = {}
        self._cells = 0

    def menu(self, user: int) -> Menu:
        """The tables of a user; users with equal problems share them."""
        judge = self.crowd.judges[user]
        digest = judge.problem.digest
        if digest in self._menus:
            return self._menus[digest]
        menu = Menu(judge)
        if self._cells + menu.cells <= CELLS_AT_MOST:
            self._cells += menu.cells
            self._menus[digest] = menu
        return menu

    def best(self, user: int, others: Floats, room: Floats) -> UserChoice:
        """The first of the best intervals."""
        return self.menu(user).best(others, room, self.habit(user))[1]

    def habit(self, user: int) -> Habit | None:
        """By whose rates a menu is judged; None where they are not known."""
        return None if self.crowd.sharing is None else Habit(self.crowd.sharing, user)


class PlannerAnswers(RankedAnswers):
    """What `planner` answers to the problem with the others' load on top and the memory that they leave.

    A planner that draws gets the same numbers for a user at every turn: the state alone decides what comes next.
    """

    def __init__(self, crowd: Crowd, planner: Planner, seed: int) -> None:
        super().__init__(crowd)
        self._planner = planner
        self._seed = seed

    def best(self, user: int, others: Floats, room: Floats) -> UserChoice:
        """The planner's answer; raises what the planner raises. An answer that is not legal is staying at home."""
        problem = self.crowd.problems[user]
        memory = np.minimum(problem.memory_bytes, np.maximum(room, 0.0))
        changed = replace(self._beside(user, others), memory_bytes=memory)
        plan = self._planner.plan(changed, random.Random(f"{self._seed}/inner/{user}"))
        if not cost.fits(changed, plan.placement):
            return self.local(user)
        placement = np.array([plan.placement], dtype=np.int64)
        running = running_pieces(batch.evaluate(problem, placement))[0]
        held = batch.held_bytes(problem, placement)[0]
        held[0] = 0.0
        return UserChoice(tuple(int(node) for node in plan.placement), running, held)

    def _beside(self, user: int, others: Floats) -> Problem:
        """The user's problem as if what the others do were the load of servers and the bandwidth of links."""
        problem, sharing = self.crowd.problems[user], self.crowd.sharing
        if sharing is None:
            return replace(problem, load=problem.load + others)
        nodes = len(problem.nodes)
        slow = sharing.slowdown(user, others)
        load = np.maximum(slow[:nodes] * problem.cores - 1.0, 0.0)
        load[0] = problem.load[0]
        links = np.maximum(slow[2 * nodes : 3 * nodes, None], slow[None, nodes : 2 * nodes])
        crossing = sharing.crossing(user, slow)
        if crossing is not None:
            links = np.maximum(links, 1.0 + crossing)
        return replace(problem, load=load, bandwidth_bytes_s=problem.bandwidth_bytes_s / links)
