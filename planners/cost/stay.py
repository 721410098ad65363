"""What a plan costs over a user's stay: the objective of queries while it is uploaded, and afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from math import isinf
from typing import Literal

from layerlift.models.errors import PlanError
from layerlift.models.sums import left_sum
from layerlift.planners.cost.arithmetic import exponential
from layerlift.planners.cost.judge import Judge, Rank
from layerlift.planners.cost.upload_timeline import timeline
from layerlift.planners.problem.plan import Plan
from layerlift.planners.problem.problem import Problem

Leaves = Literal["known", "exponential"]
StayGiven = float | Literal["known", "law"] | None
"""What the option `stay_s` may be: seconds, as the problem knows it, as the law of the user's stay has it, for ever."""

SHORTEST_S = 1e-9
"""A stay that is over counts as that long: all of it is spent on any upload."""


@dataclass(frozen=True, slots=True)
class Stay:
    """How long a user stays once the plan is there: for so many seconds, or for that many on average."""

    seconds: float
    leaves: Leaves = "known"

    def of(self, problem: Problem) -> Stay:
        """The same for all problems."""
        return self

    def missed(self, upload_s: float) -> float:
        """The share of the stay, 0 to 1, that is over before an upload of so many seconds is."""
        return self.between(0.0, upload_s) / self.seconds

    def between(self, since_s: float, until_s: float) -> float:
        """The seconds between two instants for which the user is expected to be there; `until_s` may be infinite."""
        return self._by(until_s) - self._by(since_s)

    def _by(self, time_s: float) -> float:
        if self.leaves == "known":
            return min(time_s, self.seconds)
        return self.seconds * (1.0 - exponential(-time_s / self.seconds))

    def cost(self, judge: Judge, plan: Plan) -> Rank:
        """Violations and values of queries begun at each instant of the stay, times seconds; smaller is better.

        As `layerlift.planners.timeline` has it: links are idle but for the upload.
        """
        ranks: list[Rank] = []

        def noted(_: Problem, placement: tuple[int, ...]) -> float:
            ranks.append(judge.key(placement))
            return 0.0

        begins = timeline(judge.problem, plan, noted).changes_s
        lasting = [self.between(a, b) for a, b in zip(begins, (*begins[1:], float("inf")), strict=True)]
        if any(isinf(missed) for missed, _ in ranks):
            return float("inf"), 0.0
        both = list(zip(ranks, lasting, strict=True))
        return left_sum(each[0] * s for each, s in both), left_sum(each[1] * s for each, s in both)


@dataclass(frozen=True, slots=True)
class ToldStay:
    """How long a user stays is what its problem says."""

    by: Literal["known", "law"]

    def of(self, problem: Problem) -> Stay | None:
        """The stay of one problem's user; None where the problem does not say."""
        news = problem.stay
        if news is None:
            return None
        if self.by == "known":
            return Stay(max(news.left_s, SHORTEST_S))
        return Stay(max(news.mean_left_s, SHORTEST_S), "exponential" if news.memoryless else "known")


StayOption = Stay | ToldStay | None


def stay_of(planner: str, stay_s: StayGiven, leaves: Leaves) -> StayOption:
    """The stay that a planner's options describe. Raises `PlanError` for a time that is not positive."""
    if stay_s is None:
        return None
    if isinstance(stay_s, str):
        return ToldStay(stay_s)
    if not 0.0 < stay_s < float("inf"):
        raise PlanError(f"{planner}: stay_s={stay_s:g} was given, expected seconds above 0 (leave it out: for ever)")
    return Stay(stay_s, leaves)


def stay_in(option: StayOption, problem: Problem) -> Stay | None:
    """The stay of one problem's user; None: for ever, or nobody knows."""
    return None if option is None else option.of(problem)
