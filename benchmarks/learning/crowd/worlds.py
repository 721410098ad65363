"""The crowds that `crowd` is judged in, and who plans for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from layerlift.planners.learned import policy_file
from layerlift.planners.learned.crowd import careful as rules
from layerlift.planners.learned.crowd import policy
from layerlift.planners.learned.crowd.mixtures import MIXTURE, weights_of

GATHER_S: Final = 5.0
"""How long joint planners wait for company."""


@dataclass(frozen=True, slots=True)
class Way:
    """Who plans."""

    title: str
    planner: str
    gather: bool = False

    @property
    def settings(self) -> tuple[str, ...]:
        """As a scenario takes it."""
        waits = (f"planner.gather_s={GATHER_S}",) if self.gather else ()
        return (f"users.*.planner={self.planner}", *waits)


HOME: Final = Way("everybody at home", "local")
CROWD: Final = Way("`crowd`", "crowd")
WITH_IONN: Final = Way("`crowd+ionn`", "crowd+ionn")
LATENCY: Final = Way("`crowd:goal=latency`", "crowd:goal=latency")
LATENCY_IONN: Final = Way("`crowd:goal=latency+ionn`", "crowd:goal=latency+ionn")
BY_HAND: Final = Way("`crowd:by_hand=true`", "crowd:by_hand=true")
CAREFUL: Final = Way("`crowd:careful=true+ionn`", "crowd:careful=true+ionn")
JOINT: Final = Way("`best_response+ionn`, gathered for 5 s", "best_response+ionn", gather=True)
GIBBS: Final = Way("`gibbs:sweeps=20,cooling=0.7`, gathered for 5 s", "gibbs:sweeps=20,cooling=0.7", gather=True)
"""With its own 300 sweeps a run of 90 users takes more than nine minutes."""
ALONE: Final = Way("`best_response+ionn`", "best_response+ionn")
IONN: Final = Way("`ionn`", "ionn")
SPREAD: Final = Way("`spread`", "spread")
RANDOM: Final = Way("`random`", "random")
MAIN: Final = (CROWD, WITH_IONN, JOINT, IONN, BY_HAND)
ALL: Final = (*MAIN, CAREFUL, LATENCY, LATENCY_IONN, GIBBS, ALONE, SPREAD, RANDOM)
FEW: Final = (CROWD, WITH_IONN, BY_HAND, IONN, SPREAD)
"""Where nobody may gather."""
AGAINST: Final = (CROWD, WITH_IONN, CAREFUL, JOINT, IONN)


@dataclass(frozen=True, slots=True)
class Crowd:
    """A world, but for its seed."""

    title: str
    scenario: str
    settings: tuple[str, ...] = ()


_SMALL: Final = ("users.0.count=90", "nodes.0.count=2", "nodes.1.count=1")
CONTENTION: Final = {
    "300": Crowd("`contention`: 300 users, 10 servers", "contention"),
    "90": Crowd("90 users, 3 servers", "contention", _SMALL),
}
OTHERS: Final = {
    "rush-hour": Crowd("`rush-hour`", "rush-hour"),
    "late-arrival": Crowd("`late-arrival`", "late-arrival"),
    "equal": Crowd("`contention` under `equal`", "contention", ("nodes.*.policy=equal",)),
    "drf": Crowd("`contention` under `drf`", "contention", ("nodes.*.policy=drf",)),
}
_MORE: Final = "models.densenet121={input_bytes: 40000}"
HELD_OUT: Final = {
    "servers": Crowd("20 servers", "contention", ("users.0.count=180", "nodes.0.count=10", "nodes.1.count=10")),
    "ghz": Crowd("servers of 40 to 80 GHz at the edge", "contention", (*_SMALL, "nodes.0.ghz=[40, 80]")),
    "links": Crowd("links of 40 MB/s", "contention", (*_SMALL, "links.client-edge.bandwidth_mb_s=40")),
    "networks": Crowd(
        "DenseNet-121 and VGG-19", "contention",
        (*_SMALL, "users.0.model={densenet121: 1, vgg19: 1}", _MORE, "models.vgg19={input_bytes: 40000}"),
    ),
    "think": Crowd("5 s between questions", "contention", (*_SMALL, "users.0.think_s={exponential: 5}")),
    "arrival": Crowd(
        "arrivals in bursts", "contention",
        (*_SMALL, "users.0.arrival={burst: {quiet_per_s: 0.2, busy_per_s: 30, quiet_s: 20, busy_s: 2}}"),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One run to be made."""

    crowd: Crowd
    way: Way
    seed: int

    def told(self) -> dict[str, Any]:
        """All that its outcome depends on, as JSON."""
        return {
            "scenario": self.crowd.scenario,
            "settings": [*self.crowd.settings, *self.way.settings],
            "seed": self.seed,
            "policy": _label(self.way.planner),
        }


def _label(planner: str) -> str:
    """Names the numbers that score, where there are any."""
    name = planner.partition("+")[0]
    if name == BY_HAND.planner:
        return weights_of(policy.BY_HAND, {}).label
    careful = CAREFUL.planner.partition("+")[0]
    if name not in (CROWD.planner, LATENCY.planner, careful):
        return ""
    goal = "latency" if name == LATENCY.planner else "ratio"
    label = policy_file.parsed(policy_file.shipped(f"crowd_{goal}"), (MIXTURE,)).label
    rule = (rules.LATE, rules.RARE, rules.OWN_LATE, rules.OWN_RARE)
    return f"{label} {rule}" if name == careful else label
