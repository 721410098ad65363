"""The paper's Figure 5 as an experiment: one environment, one offloading, several ways to upload what it offloads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import ceil
from typing import Any, Final

from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.run import run
from layerlift.emulator.runtime.interruption import Stopped
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.studies.reproduce.delays import ClientDelays, Delays, sight
from layerlift.emulator.studies.reproduce.steps import Steps, mean
from layerlift.models.errors import RunError

MACHINE_GHZ: Final = 2.6
"""The clock of the machine whose onnxruntime the reference seconds are: factor 1."""
GATHER_S: Final = 0.05
"""How long the planner waits for the other user, so that both are planned together and their uploads begin at once."""
PLAN_S: Final = 0.05
"""What planning costs on the emulated clock."""
PUBLISHED: Final = ("direct", "ionn", "efficiency", "recursive")
ALGORITHMS: Final = (*PUBLISHED, "recursive_shared")
LABELS: Final = {
    "direct": "Direct",
    "ionn": "IONN",
    "efficiency": "Efficiency",
    "recursive": "Recursive",
    "recursive_shared": "Recursive, shared",
}
_UPLOADERS: Final = {"recursive_shared": "recursive:shared=true"}
"""Algorithms that are another one with an option."""

_MORE_RUNS: Final = 120
_LONGER: Final = 12


@dataclass(frozen=True, slots=True)
class Case:
    """One panel: everything but the uploading algorithm."""

    model: str
    factor: float
    """How many times slower than onnxruntime, per cycle, every node is."""
    links: str
    """independent (every transfer has its pair's bandwidth) | shared (transfers of a pair share it)."""
    servers: str = "both"
    """cloud | edge | both: which servers there are."""
    seed: int = 1
    offloading: str = "pso"

    @property
    def reference_ghz(self) -> float:
        """To three digits, so that 27.9 gives the 72.5 GHz of the paper scenario."""
        return float(f"{MACHINE_GHZ * self.factor:.3g}")

    def scenario(self, uploading: str, until_s: float, later_s: float = 0.0) -> Scenario:
        """The paper's environment with both clients asking until the end; they upload from the same instant on.

        Nobody profiles first. Uploads begin `later_s` later, against the queries, than they otherwise would.
        """
        data = _paper()
        tiers = {"client", "edge", "cloud"} - ({"edge": {"cloud"}, "cloud": {"edge"}}.get(self.servers, set()))
        planner = f"{self.offloading}+{_UPLOADERS.get(uploading, uploading)}"
        user = {"model": self.model, "planner": planner, "queries": None, "profile_runs": 0}
        changed = {
            "name": "figure5",
            "seed": self.seed,
            "nodes": [group for group in data["nodes"] if group["tier"] in tiers],
            "links": {pair: link for pair, link in data["links"].items() if tiers.issuperset(pair.split("-"))},
            "users": [user],
            "planner": {"gather_s": GATHER_S, "plan_s": PLAN_S + later_s},
            "reference_ghz": self.reference_ghz,
            "share_links": self.links == "shared",
            "execution": "none",
            "sample_s": None,
            "until_s": until_s,
        }
        return Scenario.from_dict(data | changed)


@dataclass(frozen=True, slots=True)
class Curve:
    """One uploading algorithm in one case. Times are in seconds since the uploads began."""

    algorithm: str
    sighting: Delays
    delay: Steps
    """The system delay: mean over clients of the latency of a query begun then."""
    unseen_s: float
    """Seconds of the upload, mean over clients, in states in which no query was ever seen to begin."""


@dataclass(frozen=True, slots=True)
class Result:
    """One case, all algorithms."""

    case: Case
    curves: tuple[Curve, ...]
    until_s: float
    """The end of the longest upload: what is compared ends here."""

    def total(self, curve: Curve) -> float:
        """The total system delay (s x s): area under the delay up to `until_s`."""
        return curve.delay.area(self.until_s)

    def half_s(self, curve: Curve) -> float | None:
        """When the delay first falls to half of what it was at the beginning; None: never."""
        return curve.delay.first_at_most(curve.delay.values[0] / 2)

    @property
    def answers(self) -> int:
        """The number N of answers whose time is compared: what the slowest algorithm answers by `until_s`."""
        return min(curve.sighting.answered_by(self.until_s) for curve in self.curves)

    def to_answers_s(self, curve: Curve) -> float | None:
        """When N queries were answered."""
        return curve.sighting.answered(self.answers)


def cases(
    models: Sequence[str],
    factors: Sequence[float],
    links: Sequence[str],
    servers: str = "both",
    seeds: int = 1,
    offloading: str = "pso",
) -> list[Case]:
    """All combinations, seeds from 1."""
    every = product(models, factors, links, range(1, seeds + 1))
    return [Case(model, factor, link, servers, seed, offloading) for model, factor, link, seed in every]


def compare(
    case: Case, algorithms: Sequence[str], memory: PlanMemory, done: Callable[[], None] = lambda: None
) -> Result:
    """Emulate a case with each algorithm; `done` is called after each.

    Raises `RunError` when a planner fails or an upload does not end.
    """
    sightings, ended_s = _long_enough(case, algorithms, memory)
    curves = []
    for algorithm, sighting in sightings.items():
        _look_closer(case, algorithm, sighting, memory)
        clients = sighting.clients
        unseen = sum(max(0.0, min(b, ended_s) - a) for c in clients for a, b in map(c.window, c.unseen()))
        delay = mean([client.delay() for client in clients])
        curves.append(Curve(algorithm, sighting, delay, unseen / len(clients)))
        done()
    return Result(case, tuple(curves), ended_s)


def _long_enough(case: Case, algorithms: Sequence[str], memory: PlanMemory) -> tuple[dict[str, Delays], float]:
    """Runs in which the longest upload of all ends and every client then asks again, and when that upload ends."""
    until_s = 16.0
    for _ in range(_LONGER):
        found = {name: _sight(case, name, memory, until_s) for name in algorithms}
        if not all(sighting.complete for sighting in found.values()):
            until_s *= 4
            continue
        ended_s = max(sighting.ended_s for sighting in found.values())
        needed_s = max(s.began_s + ended_s + 2 * _slowest_s(s) for s in found.values())
        if until_s >= needed_s:
            return found, ended_s
        until_s = 1.1 * needed_s
    raise RunError(f"uploads of {case.model} had not ended after {until_s:g} virtual seconds: try other --servers")


def _look_closer(case: Case, algorithm: str, sighting: Delays, memory: PlanMemory) -> None:
    """Add queries of states in which none began, from runs whose uploads begin later against the queries."""
    tried: set[tuple[str, int]] = set()
    for _ in range(_MORE_RUNS):
        wanted = ((c, state) for c in sighting.clients for state in c.unseen() if (c.user, state) not in tried)
        reached = ((c, state, _leading_to(c, sum(c.window(state)) / 2)) for c, state in wanted)
        client, state, first_s = next((each for each in reached if each[2] is not None), (None, 0, None))
        if client is None or first_s is None:
            return
        tried.add((client.user, state))
        target_s = sum(client.window(state)) / 2
        local_s = client.seen[0][0][1]
        later_s = ceil((sighting.began_s + first_s) / local_s) * local_s - sighting.began_s - first_s
        until_s = sighting.began_s + later_s + target_s + 1.5 * _slowest_s(sighting)
        for known, more in zip(
            sighting.clients, _sight(case, algorithm, memory, until_s, later_s).clients, strict=True
        ):
            for each in set(more.seen) & set(known.unseen()):
                known.seen[each] = more.seen[each]


def _leading_to(client: ClientDelays, target_s: float) -> float | None:
    """When a query must begin before the first part is confirmed, for a later one of the chain to begin at a time."""
    for state in sorted(client.seen):
        begin_s = target_s - client.seen[state][0][1]
        since_s, until_s = client.window(state)
        if since_s <= begin_s < until_s:
            found = begin_s if state == 0 else _leading_to(client, begin_s)
            if found is not None:
                return found
    return None


def _sight(case: Case, algorithm: str, memory: PlanMemory, until_s: float, later_s: float = 0.0) -> Delays:
    result = run(case.scenario(algorithm, until_s, later_s), local=True, memory=memory)
    if not result.complete:
        raise Stopped.told(result.run)
    return sight(result)


def _slowest_s(sighting: Delays) -> float:
    return max(latency_s for c in sighting.clients for seen in c.seen.values() for _, latency_s in seen)


@cache
def _paper() -> dict[str, Any]:
    return Scenario.load("paper").model_dump(mode="json")
