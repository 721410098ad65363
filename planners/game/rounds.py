"""A game in rounds: every user in turn takes its best answer, until nobody moves, a state returns, or time is up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from layerlift.planners.cost.crowd import Crowd
from layerlift.planners.cost.judge import Rank
from layerlift.planners.game.answers import Answers
from layerlift.planners.game.menu import UserChoice, ahead
from layerlift.planners.problem.problem import Floats

Order = Literal["arrival", "worst"]


class RoundEnd(NamedTuple):
    """The end of a round."""

    score: Rank
    state: tuple[UserChoice, ...]


class Rounds:
    """All users' present choices; at first everybody is at home."""

    def __init__(self, crowd: Crowd, answers: Answers, epsilon: float) -> None:
        self.crowd = crowd
        self.answers = answers
        self.epsilon = epsilon
        users, nodes = len(crowd), len(crowd.problems[0].nodes)
        self.state = [answers.local(user) for user in range(users)]
        self.moves = 0
        self._running = np.zeros((users, len(crowd.nobody)))
        self._held = np.zeros((users, nodes))
        self._moved = True
        """Whether somebody has moved since the steady state was found (where rates are known)."""
        self._demands = np.zeros(self._running.shape)
        self._alone_s = np.zeros(users)
        if crowd.sharing is not None:
            self._take_all(self.state)
        self._answered: list[tuple[bytes, bytes] | None] = [None] * users

    def settle(self, rounds: int, order: Order) -> str:
        """Play at most `rounds` rounds and tell in words how it ended.

        Without convergence the state is the best end of a round, and whoever is better off at home is there.
        """
        seen: dict[tuple[tuple[int, ...], ...], int] = {}
        best: RoundEnd | None = None
        outcome = f"converged: no, stopped after {rounds} rounds"
        for number in range(1, rounds + 1):
            before = self.moves
            for user in self._turns(order):
                self._turn(user, self.epsilon if number > 1 else 0.0)
            if self.moves == before:
                return f"converged: yes, after {number} rounds, {self.moves} moves"
            label = tuple(choice.placement for choice in self.state)
            if label in seen:
                outcome = f"converged: no, cycle of {number - seen[label]} rounds seen after {number}"
                break
            seen[label] = number
            score = self.score()
            if best is None or score < best.score:
                best = RoundEnd(score, tuple(self.state))
        if best is not None:
            self._take_all(best.state)
        sent = self.send_home()
        return f"{outcome}, {self.moves} moves; the best end of a round is taken" + (
            f", {sent} sent home" if sent else ""
        )

    def once(self) -> None:
        """Every user takes its best answer once, in order; then whoever is better off at home goes there."""
        for user in self._turns("arrival"):
            self._turn(user, 0.0)
        self.send_home()

    def score(self) -> Rank:
        """Violations and values, each summed over the users."""
        keys = [self.key(user) for user in range(len(self.state))]
        return math.fsum(missed for missed, _ in keys), math.fsum(value for _, value in keys)

    def key(self, user: int) -> Rank:
        """Rank of what a user does now."""
        return self.answers.key(user, self.state[user], self.others(user))

    def others(self, user: int) -> Floats:
        """Pieces that all but `user` keep running, shape (N,); at each resource, (R,), where rates are known."""
        if self._moved and self.crowd.sharing is not None:
            self._running = self.crowd.sharing.steady(self._demands, self._alone_s, self._running).present
            self._moved = False
        own = self._running[user].copy()
        self._running[user] = 0.0
        total: Floats = self._running.sum(axis=0)
        self._running[user] = own
        return total

    def send_home(self) -> int:
        """Let users go home, in order, until nobody would be better off there; returns how many went."""
        sent, again = 0, True
        while again:
            again = False
            for user, choice in enumerate(self.state):
                local, others = self.answers.local(user), self.others(user)
                if choice.placement != local.placement and self.answers.key(user, local, others) < self.key(user):
                    self._take(user, local)
                    sent, again = sent + 1, True
        return sent

    def _turns(self, order: Order) -> Sequence[int]:
        """The users in the order of their turns; `worst` is by how much more they pay than alone, relatively."""
        users = range(len(self.state))
        if order == "arrival":
            return users
        nobody = self.crowd.nobody
        return sorted(users, key=lambda user: _loss(self.key(user), self.answers.key(user, self.state[user], nobody)))

    def _turn(self, user: int, epsilon: float) -> None:
        """Ask for the best answer, and take it if it gains enough; going home may gain as little as it likes."""
        others, room = self.others(user), self.crowd.room_left(user, self._held)
        surroundings = (others.tobytes(), room.tobytes())
        if self._answered[user] == surroundings:
            return
        best, now = self.answers.best(user, others, room), self.state[user]
        if best.placement != now.placement:
            key = self.answers.key(user, now, others)
            if ahead(self.answers.key(user, best, others), key, 0.0 if not any(best.placement) else epsilon):
                self._take(user, best)
                self.moves += 1
        self._answered[user] = surroundings

    def _take(self, user: int, choice: UserChoice) -> None:
        self.state[user] = choice
        self._held[user] = choice.held
        if self.crowd.sharing is None:
            self._running[user] = choice.running
            return
        costs, demand = self.crowd.alone(user, choice.placement)
        self._demands[user], self._alone_s[user], self._moved = demand[0], costs.latency_s[0], True

    def _take_all(self, state: Sequence[UserChoice]) -> None:
        for user, choice in enumerate(state):
            self._take(user, choice)


def _loss(now: Rank, alone: Rank) -> tuple[float, float]:
    """Sorts who loses most first: by the deadline or budget missed, then by the value over that alone."""
    return alone[0] - now[0], -now[1] / alone[1] if alone[1] > 0 else 0.0
