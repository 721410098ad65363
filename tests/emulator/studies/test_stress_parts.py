"""What a report card is put together from: ratios, verdicts, ladders, and what is kept."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerlift.emulator.scenario import families
from layerlift.emulator.studies.compare.statistics import Interval
from layerlift.emulator.studies.stress import battery, jobs
from layerlift.emulator.studies.stress.card import BAD, best_of, verdict_of
from layerlift.emulator.studies.stress.changes import changed
from layerlift.emulator.studies.stress.ladders import ladder
from layerlift.emulator.studies.stress.measures import NUMBERS
from layerlift.emulator.studies.stress.ratios import Ratio, geometric, paired
from layerlift.models.errors import RunError


@given(st.lists(st.floats(0.01, 100.0), min_size=2, max_size=8), st.floats(0.1, 10.0))
def test_ratios_are_geometric_and_turn_with_their_pairs(values: list[float], factor: float) -> None:
    mine, theirs = dict(enumerate(values)), {n: value * factor for n, value in enumerate(values)}
    one, other = paired(mine, theirs), paired(theirs, mine)
    assert one.mean == pytest.approx(1 / factor)
    assert one.mean * other.mean == pytest.approx(1.0)
    assert one.low == pytest.approx(one.high)
    assert geometric(values).low <= geometric(values).mean <= geometric(values).high


def test_ratios_without_a_number() -> None:
    assert math.isnan(geometric([]).mean)
    assert str(geometric([])) == "-"
    assert paired({1: 0.0, 2: 1.0}, {1: 0.0}).mean == 1.0
    assert paired({1: 1.0}, {1: 0.0}).mean == pytest.approx(1000.0)
    with pytest.raises(RunError):
        geometric([math.nan])


def test_verdicts_go_by_whole_intervals() -> None:
    even, many = Interval(0.0, 0.0, 4), Interval(0.2, 0.1, 4)
    cases = [
        (Ratio(1.5, 1.2, 1.9, 4), even, "worse"), (Ratio(1.5, 1.01, 2.0, 4), even, "undecided"),
        (Ratio(0.8, 0.7, 0.9, 4), even, "better"), (Ratio(1.0, 0.9, 1.1, 4), even, "as good"),
        (Ratio(0.8, 0.7, 0.9, 4), many, "misses more"), (Ratio(2.0, math.nan, math.nan, 1), even, "undecided"),
        (geometric([]), even, "nothing known"),
    ]  # fmt: skip
    assert [verdict_of(ratio, more, 0.0, False, False) for ratio, more, _ in cases] == [told for *_, told in cases]
    assert verdict_of(cases[3][0], even, 0.5, False, True) == "no plans"


def test_the_reference_is_the_best_of_those_who_hardly_miss_more() -> None:
    def world(value: float, missed: float) -> dict[int, Any]:
        return {0: {"value": value, "missed": missed}, 1: {"value": value, "missed": missed}}

    found = {"quick": world(0.2, 0.3), "sound": world(0.5, 0.0), "poor": world(0.9, 0.005), "gone": {}}
    assert best_of(found, found) == "sound"
    assert best_of({"gone": {0: {"failed": "no"}}}, ["gone"]) == ""


def test_a_world_is_made_harder_in_all_that_bears_on_it() -> None:
    world = {
        "users": [{"count": 40, "arrival": {"per_s": 2, "start_s": 3}}, {"arrival": {"at_s": 0}}],
        "nodes": [{"uplink_mb_s": 60, "ghz": 3}, {"downlink_mbit_s": [8, 4]}],
        "links": {"client-edge": {"bandwidth_mb_s": {"uniform": [2, 4]}, "latency_ms": 3}},
        "pairs": [{"bandwidth_mb_s": 1}], "media": {"air": {"rate_mb_s": 5}},
        "faults": [{"on_off": "x", "on_s": 12, "off_s": 2}, {"loss": "x", "share": 0.4, "bad_share": 0.5, "good_s": 8},
                   {"crash": "edge1", "at_s": 3, "for_s": 10}],
    }  # fmt: skip
    before = json.dumps(world)
    users, links, faults = changed(world, "users", 2), changed(world, "bandwidth", 0.5), changed(world, "faults", 2)
    assert [kind.get("count") for kind in users["users"]] == [80, 2]
    assert users["users"][0]["arrival"] == {"per_s": 4, "start_s": 3}
    assert links["nodes"] == [{"uplink_mb_s": 30, "ghz": 3}, {"downlink_mbit_s": [4, 2]}]
    assert links["links"]["client-edge"] == {"bandwidth_mb_s": {"uniform": [1, 2]}, "latency_ms": 3}
    assert links["pairs"] == [{"bandwidth_mb_s": 0.5}]
    assert links["media"] == {"air": {"rate_mb_s": 2.5}}
    assert [fault.get("on_s", fault.get("share", fault.get("for_s"))) for fault in faults["faults"]] == [6, 0.8, 20]
    assert faults["faults"][1]["bad_share"] == 0.95
    assert json.dumps(world) == before


def test_a_ladder_breaks_by_each_bound() -> None:
    def step(value: float, p95: float = 1.0, missed: float = 0.0) -> dict[int, Any]:
        return {0: {"value": value, "p95": p95, "missed": missed}}

    push = battery.Push("users", "crowd", (1.0, 2.0, 4.0, 8.0), 1)
    found = ladder("x", push, {1.0: step(0.5), 2.0: step(2.5), 4.0: step(1.0), 8.0: step(0.9, 5.0)}, 10)
    assert [bool(each.breaks) for each in found.steps] == [False, True, False, True]
    assert found.told == "breaks at 20 users in crowd (mean 2.50 times home; it holds again at 40 users)"
    missing = ladder("x", push, {1.0: step(0.5, missed=0.06)}, 10)
    assert missing.told.startswith("breaks at 10 users in crowd (6 % of queries failed or late")
    assert len(missing.steps) == 1
    slower = battery.Push("bandwidth", "crowd", (1.0, 0.5, 0.25), 1)
    found = ladder("x", slower, {1.0: step(0.4), 0.5: step(0.6), 0.25: step(0.8)}, 10)
    assert found.told == "breaks at bandwidth / 4 in crowd (20 % gained of 60 %)"
    lost = ladder("x", slower, {1.0: {0: {"failed": "no"}}}, 10)
    assert lost.steps[0].breaks == "no"
    assert lost.as_dict()["steps"][0]["value"] is None


ANYTHING = st.one_of(st.none(), st.text(max_size=3), st.floats(), st.integers(), st.lists(st.integers(), max_size=2))


@given(st.dictionaries(st.sampled_from([*NUMBERS, "optimum", "why", "digest", "timing"]), ANYTHING))
@settings(max_examples=20)
def test_what_was_kept_is_looked_at_before_it_is_believed(found: dict[str, Any]) -> None:
    assert not jobs.sound(found)
    whole = dict.fromkeys([*NUMBERS, "optimum"], 1.0) | {"why": "", "digest": "d"}
    assert jobs.sound(whole | {"timing": dict.fromkeys(jobs.TIMES, 0.0)})


def test_every_family_that_ships_can_be_pushed_and_counted() -> None:
    for name, found in battery.chosen([]).items():
        document = found.document(families.HELD_OUT_FROM)
        assert battery.worlds_of(document, None, False) >= 4, name
        assert battery.worlds_of(document, 2, True) == 2
    assert {push.family for push in battery.PUSHES} <= set(families.shipped())
    for first, second in itertools.pairwise(battery.PUSHES[0].factors):
        assert second == 2 * first
    assert BAD[0] == "worse"
