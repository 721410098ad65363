"""What the swarm planners share: the space of all users' placements, the record of a search, and how it starts."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from layerlift.models.errors import PlanError
from layerlift.models.sums import int_sum
from layerlift.planners.cost.batch import Placements, fits, held_bytes
from layerlift.planners.cost.crowd import Crowd
from layerlift.planners.cost.judge import Judge, Rank
from layerlift.planners.cost.stay import Leaves, StayGiven, StayOption, ToldStay, stay_of
from layerlift.planners.problem.plan import Plan, offload
from layerlift.planners.problem.problem import Bools, Floats, Ints, Problem
from layerlift.planners.registry.base import PlannerBase
from layerlift.planners.swarm.moves import Genome

Start = Literal["cuts", "runs", "random"]

SearchProgress = Callable[[int, int, Rank], None]
"""Called as `progress(evaluations so far, evaluations at most, best key)` after every round."""


class Space:
    """All users' placements as rows of one genome, and how good a row is.

    One user's rows are compared by the problem's own objective and constraints (`Judge`). Several users' are
    compared by the sums of theirs, with the pieces of each lengthened by what the others keep running on the
    servers (`layerlift.planners.cost.crowd.Crowd` states the approximation).
    """

    def __init__(self, problems: Sequence[Problem], stay: StayOption = None) -> None:
        self.crowd = Crowd(problems, stay=stay)
        sizes = [len(problem.graph) for problem in problems]
        firsts = [int_sum(sizes[:user]) for user in range(len(sizes))]
        self.spans = [slice(first, first + size) for first, size in zip(firsts, sizes, strict=True)]
        self.genome = Genome(np.concatenate([problem.allowed for problem in problems]), firsts)
        self._limited = [bool(np.isfinite(problem.memory_bytes[1:]).any()) for problem in problems]

    def scores(self, rows: Placements) -> tuple[Floats, Floats]:
        """Violations and values of rows, shapes (P, G) -> (P,), (P,): less violation wins, then less value."""
        if len(self.spans) == 1 and self.crowd.sharing is None:
            return self.crowd.judges[0].keys(rows)
        return self.crowd.scores([rows[:, span] for span in self.spans])

    def placements(self, row: Ints) -> list[tuple[int, ...]]:
        """The users' placements in a row."""
        return [tuple(int(node) for node in row[span]) for span in self.spans]

    def repair(self, rows: Placements) -> None:
        """Send layers back to the client where they overfill a server, alone or with the users before; in place."""
        for problem, span, limited in zip(self.crowd.problems, self.spans, self._limited, strict=True):
            if limited:
                for row in np.flatnonzero(~fits(problem, rows[:, span])):
                    rows[row, span] = _fitted(problem, rows[row, span].tolist(), problem.memory_bytes)
        if self.crowd.limited and len(self.spans) > 1:
            for row in np.flatnonzero(~self.crowd.has_room([rows[:, span] for span in self.spans])):
                self._share(rows[row])

    def _share(self, row: Ints) -> None:
        """Let the users, in order, keep what fits into the memory that those before them leave; in place."""
        held = np.zeros((len(self.spans), len(self.crowd.problems[0].nodes)))
        for user, (problem, span) in enumerate(zip(self.crowd.problems, self.spans, strict=True)):
            row[span] = _fitted(problem, row[span].tolist(), self.crowd.room_left(user, held))
            held[user] = held_bytes(problem, row[None, span])[0]

    def cuts(self) -> Placements:
        """Rows of single cuts: each user's best per server, so that row k has the users on their k-th best servers.

        The single cuts are known anyway, from the scales of the objective. Users are spread: user u begins with its
        (k + u)-th best server, and one more row has every user on its own best.
        """
        ranked = [_best_cuts(judge) for judge in self.crowd.judges]
        width = max(len(rows) for rows in ranked)
        made = np.zeros((width + 1, self.genome.count), dtype=np.int64)
        for user, (rows, span) in enumerate(zip(ranked, self.spans, strict=True)):
            if len(rows):
                made[0, span] = rows[0]
                for number in range(width):
                    made[number + 1, span] = rows[(number + user) % len(rows)]
        return np.unique(made, axis=0)

    def start(self, kind: Start, rows: int, rng: np.random.Generator, epoch: int = 1) -> Placements:
        """The first `rows` rows of an epoch. One of them is all-local; the rest is named by `kind`.

        `random` draws every layer's node by itself (Lin); `runs` draws a few runs of layers; `cuts` is `runs` with the
        best single cuts among them, in the first epoch.
        """
        made = np.zeros((rows, self.genome.count), dtype=np.int64)
        if kind == "random":
            made[1:] = self.genome.scattered(rows - 1, rng)
        else:
            made[1:] = self.genome.in_runs(rows - 1, rng)
        if kind == "cuts" and epoch == 1:
            seeds = self.cuts()[: rows - 1]
            made[1 : len(seeds) + 1] = seeds
        self.repair(made)
        return made


class Record:
    """What a search has found and spent. It consists of epochs, each with its own `leader`; `best` is that of all.

    A search ends when no evaluations are `left`; an epoch is over when it is `stale`.
    """

    def __init__(
        self, space: Space, evaluations: int, patience: int, epochs: int = 1, progress: SearchProgress | None = None
    ) -> None:
        self.space = space
        self.evaluations = evaluations
        self.patience = patience
        self.epochs = epochs
        self.progress = progress
        self.used = 0
        self.rounds = 0
        self.epoch = 0
        self.gain_at = 0
        """Evaluations after which the best row was last improved."""
        self.best: Ints = np.zeros(space.genome.count, dtype=np.int64)
        self.key: Rank = (np.inf, np.inf)
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Forget the leader: what is looked at from now on is a swarm of its own."""
        self.epoch += 1
        self.leader, self.leader_key = self.best, (np.inf, np.inf)
        self._began_at, self._led_round = self.used, self.rounds

    @property
    def left(self) -> int:
        """Evaluations that are still allowed."""
        return self.evaluations - self.used

    @property
    def stale(self) -> bool:
        """Whether the last `patience` rounds brought the epoch nothing."""
        return self.rounds - self._led_round >= self.patience

    @property
    def share(self) -> float:
        """How far the epoch is, 0 to 1, if every epoch had as many evaluations."""
        return min(1.0, (self.used - self._began_at) * self.epochs / self.evaluations)

    def look(self, rows: Placements) -> tuple[Floats, Floats]:
        """Score `rows` (as many as are left of them; the others are infinitely bad) as one round."""
        missed, values = np.full(len(rows), np.inf), np.full(len(rows), np.inf)
        seen = min(self.left, len(rows))
        missed[:seen], values[:seen] = self.space.scores(rows[:seen])
        self.used += seen
        self.rounds += 1
        first = int(np.lexsort((values, missed))[0])
        key = float(missed[first]), float(values[first])
        if key < self.leader_key:
            self.leader, self.leader_key, self._led_round = rows[first].copy(), key, self.rounds
        if key < self.key:
            self.best, self.key, self.gain_at = self.leader, key, self.used
        if self.progress is not None:
            self.progress(self.used, self.evaluations, self.key)
        return missed, values

    def note(self, name: str, more: str = "") -> str:
        """The search in words, for `Plan.note`."""
        why = f"no gain in {self.patience} rounds" if self.left else "all used"
        many = f" and {self.epoch} epochs" if self.epochs > 1 else ""
        return (
            f"{name}: {self.used} evaluations in {self.rounds} rounds{many} ({why}), last gain at {self.gain_at}{more}"
        )


class SwarmPlanner(PlannerBase):
    """A search over many placements at once, for one user or for all. The subclass says how rows become better."""

    multi_user = True
    wants_crowd = "together"

    def __init__(
        self,
        evaluations: int,
        patience: int,
        restarts: int = 0,
        stay_s: StayGiven = None,
        leaves: Leaves = "known",
    ) -> None:
        """With `stay_s` and `leaves`, those of `units`, a placement counts as its mean over the stay: at home until
        all is uploaded.
        """
        if evaluations < 1 or patience < 1 or restarts < 0:
            raise PlanError(
                f"{self.name}: evaluations={evaluations}, patience={patience}, restarts={restarts} were given, "
                f"expected at least 1, 1 and 0"
            )
        self.evaluations = evaluations
        self.patience = patience
        self.restarts = restarts
        self.stay = stay_of(self.name, stay_s, leaves)
        self.wants_stay = isinstance(self.stay, ToldStay)
        self.progress: SearchProgress | None = None
        """Set it to hear of the search; the plan does not depend on it."""

    @property
    def name(self) -> str:
        """What it is called in notes."""
        return type(self).__name__.lower()

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The best placement found, all-local where nothing better was; the note reports the convergence."""
        return self.plan_all([problem], rng)[0]

    def plan_all(self, problems: Sequence[Problem], rng: random.Random) -> list[Plan]:
        """One plan per user, in order, together never worse than all users local (by `layerlift.planners.cost.crowd`).

        Raises `PlanError` when users see different servers.
        """
        space = Space(problems, self.stay)
        record = Record(space, self.evaluations, self.patience, self.restarts + 1, self.progress)
        more = self.search(record, np.random.default_rng(rng.getrandbits(64)))
        chosen = space.placements(record.best)
        if len(chosen) == 1:
            chosen = [space.crowd.judges[0].or_local(chosen[0])]
        outlook = space.crowd.outlook(chosen)
        note = record.note(self.name, more)
        return [offload(placement, note + words) for placement, words in zip(chosen, outlook, strict=True)]

    @abstractmethod
    def search(self, record: Record, rng: np.random.Generator) -> str:
        """Look at rows, all-local among them, while the record allows it; what is returned ends the note."""


def better(missed: Floats, values: Floats, than_missed: Floats, than_values: Floats) -> Bools:
    """Lin's three-way comparison, row by row: less violation, or as much and less value."""
    made: Bools = (missed < than_missed) | ((missed == than_missed) & (values < than_values))
    return made


def _best_cuts(judge: Judge) -> Placements:
    """The best single cut towards each server, the best server first; shape (at most N - 1, L)."""
    found = [best for server in judge.problem.servers if (best := judge.best_cut(server)) is not None]
    found.sort(key=lambda best: best[0])
    return np.array([placement for _, placement in found], dtype=np.int64).reshape(-1, len(judge.problem.graph))


def _fitted(problem: Problem, placement: list[int], room_bytes: Floats) -> list[int]:
    """`placement` with the layers on the client that do not fit where they are, in the order of the layers."""
    graph = problem.graph
    held: list[set[int]] = [set() for _ in problem.nodes]
    room = room_bytes.tolist()
    made = []
    for layer, node in zip(graph.layers, placement, strict=True):
        new = set(layer.parameters) - held[node]
        size = sum(graph.parameters[each].held_bytes for each in new)
        if node and size > room[node]:
            made.append(0)
            continue
        if node:
            held[node] |= new
            room[node] -= size
        made.append(node)
    return made
