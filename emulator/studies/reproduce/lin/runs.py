"""What a query costs under a deadline, by planner: emulated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from layerlift.emulator.scenario import Scenario
from layerlift.emulator.studies.reproduce.reproduction import Emulator, settled

NETWORKS: Final = ("alexnet", "vgg19", "googlenet")
"""Three of the four of the group's published data; the fourth (ResNet-101) is not in the zoo."""
SLACKS: Final = (1.05, 2.0, 3.0, 5.0, 8.0)
"""Deadlines, as multiples of the least latency that there is; five, as the group's data have."""
PLANNERS: Final = {
    "PSO-GA": "pso:evaluations=4000",
    "PSO-GA, to the letter": "pso:moves=points,start=random,evaluations=4000",
    "GA": "ga:evaluations=4000",
    "greedy": "greedy",
    "best single cut": "one_step",
    "exact": "optimal",
}
PRICES_PER_GB: Final = {
    "client-edge": 0.01,
    "client-cloud": 0.09,
    "edge-cloud": 0.05,
    "edge-edge": 0.01,
    "cloud-cloud": 0.01,
}
"""USD per GB carried: assumed, of the order of public price lists."""
DEVICE_GHZ: Final = 1.7
"""The middle of the paper's range of clients."""
_MET: Final = 1 + 1e-9
MICRO: Final = 1e6


@dataclass(frozen=True, slots=True)
class Paid:
    """One planner under one deadline."""

    network: str
    slack: float
    deadline_s: float
    planner: str
    latency_s: float
    money: float
    """USD of the query."""
    note: str

    @property
    def met(self) -> bool:
        """Whether the emulated query kept the deadline."""
        return self.latency_s <= self.deadline_s * _MET


def world(network: str, planner: str, deadline_s: float | None) -> dict[str, Any]:
    """The paper's servers, links with prices, and one device; servers hold the network already.

    Without a deadline the objective is latency alone.
    """
    paper = _paper()
    objective: dict[str, Any] = {"latency": 1.0}
    if deadline_s is not None:
        objective = {"latency": 0.0, "money": 1.0, "deadline_s": deadline_s}
    user = {
        "device": {"ghz": DEVICE_GHZ},
        "model": "network",
        "planner": planner,
        "objective": objective,
        "queries": 1,
        "asks": {"at_s": 1000},
        "profile_runs": 0,
    }
    return {
        "nodes": [group for group in paper["nodes"] if group["tier"] != "client"],
        "links": {pair: {**link, "price_per_gb": PRICES_PER_GB[pair]} for pair, link in paper["links"].items()},
        "share_links": paper["share_links"],
        "reference_ghz": paper["reference_ghz"],
        "models": {"network": {"source": network, "parameters_mb": 1e-6}},
        "users": [user],
    }


@cache
def _paper() -> dict[str, Any]:
    return Scenario.load("paper").model_dump(mode="json", exclude_unset=True)


def paid(emulate: Emulator, network: str, slack: float, deadline_s: float, planner: str) -> Paid:
    """Plan under the deadline, and emulate a query."""
    result = emulate(f"{network}, {slack:g} x, {PLANNERS[planner]}", world(network, PLANNERS[planner], deadline_s))
    row = settled(result)
    note = result.plans.to_pylist()[0]["note"]
    return Paid(network, slack, deadline_s, planner, row["latency_s"], row["money"], note)
