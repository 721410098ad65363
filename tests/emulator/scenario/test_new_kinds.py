"""A new kind of fault, way of moving or law of time takes two classes, its section and what it is in a world, and no
third file: these kinds live here alone, and everything else works with them as it is."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from math import inf
from types import GenericAlias
from typing import Any, ClassVar

import pytest
from pydantic import create_model
from small_scenario import Few, small
from worlds import run_world

from layerlift.emulator.conditions.conditions import Conditions
from layerlift.emulator.kernel.step_function import StepFunction, outside, repeated
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.schema.arrivals import ARRIVALS, Law, any_arrival
from layerlift.emulator.scenario.schema.durations import DRAWS, DrawSection, any_draw
from layerlift.emulator.scenario.schema.fault_section import (
    Duration,
    FaultSection,
    Instant,
    LinkNames,
    NameList,
    Share,
)
from layerlift.emulator.scenario.schema.faults import FAULTS, any_fault
from layerlift.emulator.scenario.schema.fields import NonNegative, Positive
from layerlift.emulator.scenario.schema.files import Files
from layerlift.emulator.scenario.schema.names import Machines, Names
from layerlift.emulator.scenario.schema.sections import UsersSection
from layerlift.emulator.world import laws
from layerlift.emulator.world.describe import describe_world
from layerlift.emulator.world.faults import LinkFault, MachineFault, Mark, Pairs
from layerlift.emulator.world.world import World
from layerlift.models.errors import ScenarioError


@dataclass(frozen=True, slots=True)
class Detour(LinkFault):
    """Links take another way for a time: with another latency."""

    at_s: float
    for_s: float
    latency_s: float

    @property
    def latencies_s(self) -> Sequence[float]:
        return (self.latency_s,)

    def course(self, stream: random.Random) -> StepFunction[Mark]:
        return outside(repeated(self.at_s, self.for_s, None), Mark(latency_s=self.latency_s), Mark())


class DetourSection(FaultSection):
    detour: LinkNames
    at_s: Instant
    for_s: Duration
    latency_ms: Positive

    def check(self, names: Names) -> None:
        names.check_links(self.detour, "detour")

    def resolve(self, machines: Machines) -> Sequence[LinkFault]:
        pairs = machines.pairs(self.detour, one_way=False)
        return [Detour(pairs, self.at_s, self.for_s, self.latency_ms / 1000)]


@dataclass(frozen=True, slots=True)
class Rain(LinkFault):
    """Each link loses a share that the seed gives it."""

    most: float

    @property
    def apart(self) -> bool:
        return True

    @property
    def lossy(self) -> bool:
        return True

    def losses(self, stream: random.Random) -> StepFunction[float]:
        return StepFunction(round(stream.uniform(0.0, self.most), 9))


class RainSection(FaultSection):
    rain: LinkNames
    most: Share

    def check(self, names: Names) -> None:
        names.check_links(self.rain, "rain")

    def resolve(self, machines: Machines) -> Sequence[LinkFault]:
        return [Rain(machines.pairs(self.rain, one_way=False), self.most)]


@dataclass(frozen=True, slots=True)
class LateStart(MachineFault):
    """Servers that are switched on some time after the beginning."""

    latest_s: float

    def life(self, stream: random.Random) -> StepFunction[bool]:
        return StepFunction(False, [(round(stream.uniform(0.0, self.latest_s), 9), True)])


class LateStartSection(FaultSection):
    late_start: NameList
    latest_s: Duration

    def check(self, names: Names) -> None:
        names.check_servers(self.late_start, "late_start")

    def resolve(self, machines: Machines) -> Sequence[MachineFault]:
        return [LateStart(machines.servers(self.late_start), self.latest_s)]


@dataclass(frozen=True, slots=True)
class Halving(laws.Asks):
    """Gaps that halve: instants that come near to `until_s` and then stand still."""

    until_s: float

    def instants(self, rng: random.Random) -> Iterator[float]:
        return (round(self.until_s * (1.0 - 0.5**number), 9) for number in count())

    @property
    def mean_per_s(self) -> float:
        return inf

    def words(self) -> str:
        return f"ever faster until {self.until_s:g} s"


class HalvingSection(Law):
    example: ClassVar[str] = "{halving_s: seconds}"

    halving_s: Positive

    @property
    def stands_still(self) -> bool:
        return True

    def law(self, files: Files) -> laws.Asks:
        return Halving(self.halving_s)


@dataclass(frozen=True, slots=True)
class Coin(laws.Draw):
    """One of two lengths."""

    short_s: float
    long_s: float

    def value(self, rng: random.Random) -> float:
        return rng.choice((self.short_s, self.long_s))

    @property
    def mean_s(self) -> float:
        return (self.short_s + self.long_s) / 2.0

    def words(self) -> str:
        return f"{self.short_s:g} or {self.long_s:g} s"


class CoinSection(DrawSection):
    example: ClassVar[str] = "{coin: [short, long]}"

    coin: tuple[NonNegative, NonNegative]

    def law(self) -> laws.Draw:
        return Coin(*self.coin)


def several(kind: Any) -> Any:
    return GenericAlias(tuple, (kind, ...))


ARRIVAL = any_arrival((*ARRIVALS, HalvingSection))
PAUSE = any_draw((*DRAWS, CoinSection), NonNegative)
Kind = create_model("Kind", __base__=UsersSection, arrival=ARRIVAL, asks=(ARRIVAL | None, None), think_s=(PAUSE, 0.0))
Wider: type[Scenario] = create_model(
    "Wider",
    __base__=Scenario,
    users=several(Kind),
    faults=(several(any_fault((*FAULTS, DetourSection, RainSection, LateStartSection))), ()),
)
CLIENT1, CLIENT2, EDGE1, EDGE2, EDGE3, FAR, _ = range(7)
USER: dict[str, Any] = {"model": "small", "queries": 3, "arrival": {"at_s": 0}, "asks": {"every_ms": 10}}


def world(*faults: dict[str, Any], **user: Any) -> World:
    kind = {**USER, **user}
    return Wider.from_dict(small(faults=list(faults), users=[kind])).resolve(Few())


def refusal(*faults: dict[str, Any], **user: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        world(*faults, **user)
    return str(caught.value)


DETOUR = {"detour": "client-edge", "at_s": 1, "for_s": 2, "latency_ms": 80}


def test_a_new_fault_of_links() -> None:
    made = world(DETOUR, {"outage": "far", "at_s": 1, "for_s": 1})
    assert made.faults[0] == Detour(Pairs("client", "edge"), 1, 2, 0.08)
    changes = list(Conditions(made).changes(CLIENT1, EDGE2))
    assert [(at_s, state.latency_s) for at_s, state in changes] == [(1.0, 0.08), (3.0, 0.002)]
    assert describe_world(made)["faults"][0] == {
        "kind": "detour",
        "links": "client-edge",
        "at_s": 1,
        "for_s": 2,
        "latency_s": 0.08,
    }


def test_a_world_looks_no_further_ahead_than_a_new_fault_allows() -> None:
    assert world({**DETOUR, "latency_ms": 0.3}).lookahead_s == 0.0003


def test_a_new_fault_slows_a_run_down() -> None:
    def confirmed_s(*faults: dict[str, Any]) -> float:
        tables = run_world(world(*faults, planner="ionn")).tables
        return min(float(row["ended_s"]) for row in tables["uploads"])

    # The first part goes to the cloud and is confirmed: two ways of 80 ms instead of 20.
    detour = {"detour": "client-cloud", "at_s": 0, "for_s": 100, "latency_ms": 80}
    assert confirmed_s(detour) == pytest.approx(confirmed_s() + 2 * 0.06, abs=1e-6)


def test_a_new_fault_is_checked_under_its_own_path() -> None:
    assert refusal({**DETOUR, "detour": "client-edg"}).startswith("faults.0.detour is 'client-edg', expected a pair")
    assert refusal({**DETOUR, "for_s": 0}).startswith("faults.0.for_s is 0, expected")
    assert "one with the key outage, on_off, " in refusal({"detuor": "far"})
    assert refusal({"detuor": "far"}).endswith("rain or late_start")


def test_a_new_loss() -> None:
    sky = Conditions(world({"rain": "edge1", "most": 0.5}))
    lost = {client: sky.loss(client, EDGE1, 3.0) for client in (CLIENT1, CLIENT2)}
    assert len(set(lost.values())) == 2
    assert all(0.0 < share < 0.5 for share in lost.values())
    assert sky.loss(EDGE1, CLIENT1, 7.0) == lost[CLIENT1]
    assert sky.lossy(CLIENT1, EDGE1)
    assert not sky.lossy(CLIENT1, EDGE2)


def test_a_new_fault_of_servers() -> None:
    made = world({"late_start": "edge", "latest_s": 5})
    crashes = {server: list(Conditions(made).crashes(server)) for server in made.servers}
    ups = [crashes[edge][0][1] for edge in (EDGE1, EDGE2, EDGE3)]
    assert [down for (down, _), *_ in (crashes[edge] for edge in (EDGE1, EDGE2, EDGE3))] == [0.0] * 3
    assert len(set(ups)) == 3
    assert all(0.0 < up < 5.0 for up in ups)
    assert crashes[FAR] == []
    assert run_world(made).ending.in_flight_bytes == 0


def test_a_new_law_of_arrivals_and_questions() -> None:
    made = world(arrival={"halving_s": 8}, asks={"halving_s": 2})
    assert [user.arrival_s for user in made.users] == [0.0, 4.0]
    asked = sorted(row["asked_s"] for row in run_world(made).tables["queries"] if row["user"] == "user-1")
    assert [at - asked[0] for at in asked] == pytest.approx([0.0, 1.0, 1.5], abs=1e-9)
    assert "ever faster until 2 s" in describe_world(made)["users"][0]["asks"]
    assert "users.0.queries is missing: expected how many" in refusal(asks={"halving_s": 2}, queries=None, stay_s=5)
    assert "users.0.asks.halving_s is 0, expected a number above 0" in refusal(asks={"halving_s": 0})
    assert "{trace: file} or {halving_s: seconds}" in refusal(asks={"doubling_s": 0})


def test_a_new_law_of_pauses() -> None:
    made = world(asks=None, think_s={"coin": [0.5, 2]}, queries=9)
    assert made.users[0].think_law == Coin(0.5, 2.0)
    rows = [row for row in run_world(made).tables["queries"] if row["user"] == "user-1"]
    ends = {row["query"]: row["ended_s"] for row in rows}
    pauses = {round(row["asked_s"] - ends[row["query"] - 1], 6) for row in rows if row["query"]}
    assert pauses == {0.5, 2.0}
    assert "{uniform: [low, high]} or {coin: [short, long]}" in refusal(asks=None, think_s={"dice": 6})
