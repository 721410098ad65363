"""Best response: users re-plan in turn against each other's load until nobody gains."""

from __future__ import annotations

import random
from collections.abc import Sequence

from layerlift.models.errors import PlanError
from layerlift.planners.cost.crowd import Crowd, Memory
from layerlift.planners.cost.stay import Leaves, StayGiven, ToldStay, stay_of
from layerlift.planners.game.answers import Answers, IntervalAnswers, PlannerAnswers
from layerlift.planners.game.rounds import Order, Rounds
from layerlift.planners.problem.plan import Plan, offload
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import PlannerBase, capability
from layerlift.planners.registry.planners import make


class BestResponse(PlannerBase):
    """Each user in turn takes its best plan against the others' present load, until a whole round changes nothing.

    What a user feels of the others is the mean-field model of `layerlift.planners.cost.crowd`, and the memory that they
    leave. Users begin at home; the first turn takes any gain, later ones only more than `epsilon` of what the user has,
    and going home is always worth it. A round without a move is a Nash equilibrium, up to `epsilon` and within what
    `inner` looks at: for `one_climb` every interval on every server, from tables; any other placing planner is asked
    with the load raised and the memory lowered by the others. `order` is that of arrival, or in every round first
    those whose objective suffers most. Users weigh differently on each other, so an equilibrium need not exist or be
    reached (Milchtaich, GEB 13:111, 1996): a state that is seen again at the end of a round is a cycle, and the note
    says so. Without convergence the end of the round with the least joint cost is taken, and whoever would be better
    off at home goes home. `memory` says whether users draw on the same offers (see `layerlift.planners.cost.crowd`).
    With `stay_s` and `leaves`, those of `units`, a plan counts as its mean over the stay: at home until all is there.
    """

    multi_user = True
    wants_crowd = "together"

    def __init__(
        self,
        rounds: int = 20,
        inner: str = "one_climb",
        order: Order = "arrival",
        epsilon: float = 0.001,
        memory: Memory = "shared",
        stay_s: StayGiven = None,
        leaves: Leaves = "known",
    ) -> None:
        if rounds < 1 or not 0 <= epsilon < 1:
            raise PlanError(
                f"best_response: rounds={rounds}, epsilon={epsilon} were given, expected rounds >= 1, 0 <= epsilon < 1"
            )
        if inner.split(":")[0].strip() == "best_response":
            raise PlanError("best_response: inner=best_response was given, expected a planner that answers one user")
        self.rounds = rounds
        self.inner = inner
        self.order = order
        self.epsilon = epsilon
        self.memory: Memory = memory
        self.stay = stay_of("best_response", stay_s, leaves)
        self.wants_stay = isinstance(self.stay, ToldStay)
        inner_planner = make(inner)
        self._inner = None if inner == "one_climb" else inner_planner
        for name in ("handles_dag", "multi_server"):
            setattr(self, name, capability(inner_planner, name))

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return (
            "Chen, Jiao, Li, Fu, Efficient multi-user computation offloading for mobile-edge cloud computing, "
            "ToN 24(5):2795, 2016; Rosenthal, A class of games possessing pure-strategy Nash equilibria, "
            "Int. J. Game Theory 2:65, 1973"
        )

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The plan of one user who is alone: `inner`'s, unless staying local is better."""
        return self.plan_all([problem], rng)[0]

    def plan_all(self, problems: Sequence[Problem], rng: random.Random) -> list[Plan]:
        """One plan per user, in order, none worse than staying local. The note tells whether the users settled.

        Raises `PlanError` when users see different servers, or whatever `inner` raises.
        """
        crowd = Crowd(problems, self.memory, self.stay)
        answers: Answers = (
            IntervalAnswers(crowd) if self._inner is None else PlannerAnswers(crowd, self._inner, rng.getrandbits(64))
        )
        game = Rounds(crowd, answers, self.epsilon)
        outcome = game.settle(self.rounds, self.order)
        outlook = crowd.outlook([choice.placement for choice in game.state])
        return [
            offload(choice.placement, f"best_response: {outcome}{words}")
            for choice, words in zip(game.state, outlook, strict=True)
        ]
