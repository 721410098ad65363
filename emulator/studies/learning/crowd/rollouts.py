"""Whole runs of crowds under a policy: what it is worth to them, by the emulator itself."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np

from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.results.sums import quantile
from layerlift.emulator.run import run
from layerlift.emulator.runtime.interruption import Stopped
from layerlift.emulator.scenario import Scenario, families
from layerlift.models.sums import left_sum
from layerlift.planners import Plan, Planner, Problem
from layerlift.planners.cost.judge import Judge
from layerlift.planners.learned.crowd.careful import LATE
from layerlift.planners.learned.crowd.features import View
from layerlift.planners.learned.crowd.offers import Offer, offers_of
from layerlift.planners.learned.crowd.planner import decided
from layerlift.planners.learned.crowd.policy import Mixture, exact_scores
from layerlift.planners.learned.policy import Table
from layerlift.planners.registry.base import PlannerBase, Uploader
from layerlift.planners.registry.combine import Combined
from layerlift.planners.registry.planners import make

CROWDS: Final = "crowds"
"""The family of worlds to train on unless others are named."""
PLANNER: Final = "crowd:by_hand=true+ionn"
"""Whose half that places is what is trained, and whose other half uploads."""
UNANSWERED: Final = 10.0
"""What the latency of a user without any answer is taken for, in multiples of its latency at home."""
TAIL: Final = 0.05
"""What a run costs more for each multiple of home by which the worst user's is."""
Times = dict[str, tuple[float, float]]
"""Each user's mean latency and its 99th percentile, in seconds."""


@dataclass(frozen=True, slots=True)
class Episodes:
    """Runs of one world under some policies: common random numbers."""

    family: str
    seed: int
    policies: tuple[tuple[int, ...], ...]
    """The numbers of each, see `layerlift.planners.learned.crowd.policy.Mixture`."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of some runs of one world."""

    worths: tuple[Worth, ...]
    """Of each policy, in order."""
    cpu_s: float
    """CPU time that it took."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What one run was worth to its users."""

    ratio: float
    """The mean over users of their mean latency over that at home."""
    latency: float
    """The mean over users of their mean latency, over the mean of those at home."""
    tail: float
    """The largest ratio of a user's 99th percentile to that at home."""
    away: float
    """The share of plans that leave home."""

    def cost(self, goal: str) -> float:
        """What training makes small: `ratio` or `latency`, and `TAIL` of what the worst user is beyond `LATE`."""
        return self.numbers()[goal] + TAIL * max(0.0, self.tail - LATE)

    def numbers(self) -> dict[str, float]:
        """All by name."""
        return {"ratio": self.ratio, "latency": self.latency, "away": self.away}


@lru_cache(maxsize=16)
def family(name: str) -> families.Family:
    """A family by name or file, or the one of this folder."""
    here = resources.files("layerlift.emulator.studies.learning.crowd") / f"{CROWDS}.yaml"
    return families.load(Path(str(here)) if name == CROWDS else name)


def played(episodes: Episodes) -> Played:
    """What each policy is worth in the world."""
    began = time.process_time()
    scenario = family(episodes.family).draw(episodes.seed, [f"users.*.planner={PLANNER}"])
    home = times(run(scenario.changed(["users.*.planner=local"]), local=True))
    known: _Known = {}
    made = [_worth(scenario, Mixture.of(np.array(each)), home, known) for each in episodes.policies]
    return Played(tuple(made), time.process_time() - began)


def _worth(scenario: Scenario, policy: Mixture, home: Times, known: _Known) -> Worth:
    result = run(scenario, local=True, memory=_Candidates(policy, known))
    return worth(times(result), home, _away(result))


def worth(found: Times, home: Times, away: float = 0.0) -> Worth:
    """What users' times are worth beside those at home; users who never asked at home are left out."""
    pairs = [(found.get(user, _unanswered(alone)), alone) for user, alone in sorted(home.items())]
    ratio = left_sum(own_s / alone_s for (own_s, _), (alone_s, _) in pairs) / len(pairs)
    latency = left_sum(own_s for (own_s, _), _ in pairs) / left_sum(alone_s for _, (alone_s, _) in pairs)
    return Worth(ratio, latency, max(p99_s / alone_s for (_, p99_s), (_, alone_s) in pairs), away)


def _unanswered(alone: tuple[float, float]) -> tuple[float, float]:
    mean_s, p99_s = alone
    return UNANSWERED * mean_s, UNANSWERED * p99_s


def times(result: RunResult) -> Times:
    """The times of each user who was answered. Raises `KeyboardInterrupt` for a run that was interrupted."""
    if not result.complete:
        raise Stopped.told(result.run)
    seen: dict[str, list[float]] = {}
    for row in result.queries.select(["user", "status", "latency_s"]).to_pylist():
        if row["status"] == "answered":
            seen.setdefault(row["user"], []).append(row["latency_s"])
    return {user: (left_sum(each) / len(each), quantile(sorted(each), 0.99)) for user, each in seen.items()}


def _away(result: RunResult) -> float:
    parts = result.plans["parts"].to_pylist()
    return len([count for count in parts if count]) / max(len(parts), 1)


_Known = dict[str, tuple[Judge, list[Offer]]]
"""By the digest of a problem without its crowd."""


class _Candidates(PlanMemory):
    """Answers every planner's name with one policy: runs know planners by name, and this one has none yet."""

    def __init__(self, policy: Mixture, known: _Known) -> None:
        super().__init__()
        self._planner = Combined(_Candidate(policy, known), _uploader())

    def planner(self, text: str) -> Planner:
        """The planner of the policy, whatever the text."""
        return self._planner


def _uploader() -> Uploader:
    made = make(PLANNER)
    assert isinstance(made, Combined)
    return made.uploading


class _Candidate(PlannerBase):
    """`crowd` with a policy that is being tried; what does not depend on the policy is found once."""

    multi_server = False
    wants_crowd = True

    def __init__(self, policy: Mixture, known: _Known) -> None:
        self._policy, self._known = policy, known

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The same plan as `crowd` with the policy's file."""
        bare = replace(problem, crowd=None)
        if bare.digest not in self._known:
            judge = Judge(bare)
            self._known[bare.digest] = judge, offers_of(judge)
        judge, offers = self._known[bare.digest]
        return decided(problem, judge, offers, self._scores, rng)

    def _scores(self, view: View) -> Table:
        return exact_scores(self._policy, view)
