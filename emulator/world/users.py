"""Users, and where their plans are made, as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from layerlift.emulator.world.laws import Asks, Draw, Fixed
from layerlift.emulator.world.machines import INF
from layerlift.models.graph.route import QueryMode
from layerlift.planners.problem.crowd_news import Asking
from layerlift.planners.problem.problem import Objective
from layerlift.planners.problem.stay_news import StayNews


@dataclass(frozen=True, slots=True)
class Slow:
    """When a user finds its plan slow, and how long it waits between askings."""

    factor: float = 1.5
    """How many times its promise the mean latency must be; at least 1."""
    for_s: float = 5.0
    """The seconds over which it is seen."""
    cooldown_s: float = 30.0


@dataclass(frozen=True, slots=True)
class UserSpec:
    """Somebody with a client, a model and questions."""

    index: int
    name: str
    client: int
    """Node index of the user's device; one user per client."""
    model: int
    planner: str = "local"
    """What `planners.make` takes."""
    objective: Objective = field(default_factory=Objective)
    arrival_s: float = 0.0
    queries: int | None = None
    """How many are asked before the user leaves; None: until it has stayed `stay`, its trace or the run ends."""
    think_s: float = 0.0
    """Pause between an answer and the next question; its mean where `think_law` is given."""
    kind: str = "user"
    """The scenario entry that made this user: users of one kind differ only in drawn numbers."""
    profile_runs: int = 1
    """How often Program 1 runs each layer on arrival; 0 skips it."""
    query: QueryMode = "dataflow"
    uploads_at_once: Literal["one", "per_server"] = "one"
    cr_timeout_s: float = INF
    retries: int = 5
    on_refusal: Literal["wait", "skip", "replan"] = "skip"
    retry_wait_s: float = 1.0
    """How long the upload thread waits before a refused part is sent again (`on_refusal: wait`)."""
    think_law: Draw | None = None
    """What each pause is drawn from; None: always `think_s`."""
    asks: Asks | None = None
    """When questions come, in seconds from the user's start of asking; None: back to back with pauses."""
    in_flight: int = 1
    """How many queries may be under way at once."""
    queue: int | None = None
    """How many questions may wait; one more fails with `queue full`. None: any number."""
    late: Literal["keep", "drop"] = "keep"
    """drop: a new question takes the place of all that wait, which fail with `late`."""
    stay: Draw | None = None
    """Seconds from its arrival until it asks nothing new; resolved scenarios hold the drawn number (`Fixed`)."""
    stay_law: Draw | None = None
    """What that number was drawn from; None: it is its own law."""
    weight: float = 1.0
    """Priority, for policies that know one."""
    backoff_s: float = 0.5
    """Before an upload that failed is tried again; doubles with each failure in a row."""
    resume: bool = False
    """Whether such an upload goes on at the byte where it stopped."""
    replan: Literal["never", "on_change", "every", "slow"] = "never"
    replan_s: float = INF
    """Seconds between plans (`replan: every`)."""
    slow: Slow | None = None
    """Given exactly where `replan` is `slow`."""

    @property
    def think(self) -> Draw:
        """What each pause between an answer and the next question is drawn from."""
        return self.think_law or Fixed(self.think_s)

    def staying(self, now_s: float) -> StayNews | None:
        """How long it will stay from a moment on, as planners are told it; None: nobody knows, or for ever.

        A stay that is drawn only as it begins is known by its law alone.
        """
        if self.stay is None:
            return None
        passed_s = max(0.0, now_s - self.arrival_s)
        law = self.stay_law or self.stay
        left_s = max(0.0, self.stay.mean_s - passed_s) if isinstance(self.stay, Fixed) else law.left_s(passed_s)
        return StayNews(left_s, law.left_s(passed_s), law.memoryless)

    @property
    def asking(self) -> Asking:
        """How often questions come, as planners are told it."""
        if self.asks is None or self.asks.mean_per_s == INF:
            return Asking(None, self.think.mean_s, self.in_flight)
        return Asking(self.asks.mean_per_s, 0.0, self.in_flight, self.asks.gap_variation)


@dataclass(frozen=True, slots=True)
class PlanningSpec:
    """Where plans are made, what making one costs and what a planner is told."""

    at: int = -1
    """Node index of the planner's place; -1: with each client (the paper's)."""
    plan_s: float = 0.0
    """Declared planning time on the emulated clock; never less than the lookahead."""
    loopback_s: float = 0.001
    """Latency between a client and the planner that lives with it."""
    bias: float = 0.0
    """Relative error of every prediction of server seconds."""
    sigma: float = 0.0
    """Relative standard deviation of the error of a layer's prediction."""
    server_sigma: float = 0.0
    """Relative standard deviation of the error that all predictions of a server have in common."""
    predictions: Literal["exact", "regression", "error"] = "exact"
    gather_s: float | None = None
    """How long a planner that can plan users jointly waits for others after a request; None: it plans each alone."""
    plan_timeout_s: float = INF
    """Wall-clock limit of one planning; later plans leave the user local."""
    heartbeat_s: float = INF
    """How often each server tells the planner its load."""
    literal: bool = False
    """Whether parts that move next to nothing travel alone, where a planner has made such."""
    knows_load: bool = True
    """Whether problems carry the servers' load and offers; else the planner plans as if they were idle."""
    bandwidth_known: Literal["true", "nominal", "measured"] = "true"
    """What bandwidth a planner is told: that of the instant, that of the scenario, or what transfers have shown."""
