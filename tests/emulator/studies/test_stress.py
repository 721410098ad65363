"""The report card: what is wrong is found where it bites, ladders break where they are said to."""

from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from layerlift.emulator import Scenario, run
from layerlift.emulator.cli.main import main
from layerlift.emulator.results.versions import versions
from layerlift.emulator.scenario import families
from layerlift.emulator.scenario.schema.document import written
from layerlift.emulator.studies.compare.statistics import Interval
from layerlift.emulator.studies.many import Kept
from layerlift.emulator.studies.stress import battery, jobs
from layerlift.emulator.studies.stress.asked import asked
from layerlift.emulator.studies.stress.axioms import axioms
from layerlift.emulator.studies.stress.card import BAD, best_of, verdict_of
from layerlift.emulator.studies.stress.changes import changed
from layerlift.emulator.studies.stress.ladders import ladder
from layerlift.emulator.studies.stress.measures import NUMBERS
from layerlift.emulator.studies.stress.ratios import Ratio, geometric, paired
from layerlift.emulator.studies.stress.result import Stress, bad
from layerlift.emulator.studies.stress.study import Study, stress
from layerlift.models.errors import LayerliftError, RunError

FAMILY = {
    "about": "Two users before a server or two.",
    "catches": "a planner that stays at home",
    "world": {
        "nodes": [{"tier": "edge", "count": {"draw": {"integer": [1, 2]}}, "ghz": 40, "memory_mb": 2000}],
        "links": {"client-edge": {"bandwidth_mb_s": {"draw": {"uniform": [8, 16]}}, "latency_ms": 2},
                  "edge-edge": {"bandwidth_mb_s": 90, "latency_ms": 1}},
        "users": [{"count": 2, "device": {"ghz": 1.2}, "model": "squeezenet", "stay_s": 4, "arrival": {"per_s": 1}}],
        "faults": [{"on_off": "client-edge", "on_s": 3, "off_s": 0.2}],
        "execution": "none",
        "reference_ghz": 48.6,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("families") / "tiny.yaml"
    path.write_text(written(FAMILY), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def study(family: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Stress, Path]:
    """A card of three planners in a family of one's own, with its files."""
    out = tmp_path_factory.mktemp("out")
    planners = ["direct", "local", "bad_planners:Raises"]
    return stress(planners, against="direct", families=[family], worlds=3, push=False, local=True, out=out), out


@pytest.mark.long
def test_a_card_says_who_is_worse_and_who_gives_no_plans(study: tuple[Stress, Path]) -> None:
    found, _ = study
    [direct], [local], [raises] = (found.of(name) for name in found.contenders)
    assert (direct.verdict, direct.ratio.mean, direct.reference) == ("reference", 1.0, "direct")
    assert local.value.mean == pytest.approx(1.0)
    assert local.verdict == "worse"
    assert local.ratio.low > 1.02
    assert raises.verdict == "no plans"
    assert "no idea" in raises.why
    assert [bad(found, name) for name in found.contenders] == [[], ["tiny"], ["tiny"]]
    assert len(found.above(1.02)) == 2
    assert found.above(1000.0) == [text for text in found.above(1.02) if "Raises" in text]
    assert found.sentences()[0].startswith("direct is 1 times the best known in tiny; reference in 1.")


def test_the_value_of_a_user_is_its_latency_against_home(study: tuple[Stress, Path]) -> None:
    found, out = study
    world = Scenario.load(out / "worst" / "direct-tiny.yaml")
    seed = families.HELD_OUT_FROM + (found.of("direct")[0].worst or 0)
    assert world.seed == seed
    assert {kind.planner for kind in world.users} == {"direct"}
    result = run(world, local=True)
    assert result.digest in found.of("direct")[0].digests
    home = {row["user"]: row["local_s"] for row in result.plans.to_pylist()}
    asked_by: dict[str, list[float]] = {}
    for row in result.queries.to_pylist():
        asked_by.setdefault(row["user"], []).append(row["latency_s"])
    values = [sum(took) / len(took) / home[user] for user, took in asked_by.items()]
    kept = [json.loads(line)["outcome"] for line in (out / "runs.jsonl").read_text().splitlines()]
    [own] = [each for each in kept if each["digest"] == result.digest]
    assert own["value"] == pytest.approx(sum(values) / len(values))
    assert own["worst"] == pytest.approx(max(values))
    assert own["missed"] == 0.0
    assert own["optimum"] is None


@pytest.mark.long
def test_ladders_show_every_step_and_name_the_first_that_breaks(family: Path, monkeypatch: Any) -> None:
    factors = {"users": (1.0, 4.0), "bandwidth": (1.0, 0.25, 0.0625), "faults": (1.0, 8.0)}
    monkeypatch.setattr(battery, "OWN", factors)
    found = stress("direct", against="direct", families=[family], worlds=2, local=True)
    users, links, faults = found.ladders
    assert [each.push.change for each in found.ladders] == list(factors)
    assert [step.label for step in users.steps] == ["2 users", "8 users"]
    assert users.steps[1].value > users.steps[0].value == faults.steps[0].value
    assert [step.label for step in links.steps] == ["the bandwidth as it is", "bandwidth / 4", "bandwidth / 16"]
    assert links.broken is not None
    assert f"With less bandwidth it {links.told}." in found.sentences()


def test_files_say_what_the_answer_says_and_times_stand_apart(study: tuple[Stress, Path]) -> None:
    found, out = study
    told = json.loads((out / "stress.json").read_text())
    assert told["schema"] == 1
    assert told["sentences"] == found.sentences()
    assert {row["contender"] for row in told["timing"]["rows"]} == set(found.contenders)
    del told["timing"]
    assert "cpu_s" not in json.dumps(told)
    assert "plan_s" not in json.dumps(told)
    page = (out / "stress.html").read_text()
    assert "http://" not in page.split("</script>")[-1]
    assert "no plans" in page


def test_what_was_run_is_not_run_again(study: tuple[Stress, Path], family: Path, monkeypatch: Any) -> None:
    found, out = study
    monkeypatch.setattr("layerlift.emulator.studies.stress.jobs.run", None)
    planners = ["direct", "local"]
    again = stress(planners, against="direct", families=[family], worlds=3, push=False, local=True, out=out, force=True)
    assert again.of("local") == found.of("local")


def test_the_answer_does_not_depend_on_the_order_in_which_runs_end(study: tuple[Stress, Path], family: Path) -> None:
    _, out = study
    question = asked(["direct", "local"], against=["direct"], names=[family], policies=[], worlds=3, thorough=False,
                     push=False, gather_s=2.0)  # fmt: skip
    made = [*question.first(), *(job for who in ("direct", "local") for job in question.others(who, "tiny", 3))]
    kept = Kept(out / "runs.jsonl", versions()["layerlift"], jobs.sound)
    answers = []
    for order in (made, made[::-1], random.Random(1).sample(made, len(made))):
        study = Study(question, True, None, None)
        for job in order:
            outcome = kept.get(job)
            assert outcome is not None
            study.note(job, outcome)
        answers.append(study.answer().as_dict())
    assert answers[0] == answers[1] == answers[2]


def test_who_is_too_slow_meets_fewer_worlds_and_it_is_said(family: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(battery, "FAMILY_S", 1e-9)
    found = stress("local", against="local", families=[family], worlds=3, push=False, local=True)
    assert found.of("local")[0].value.n == 1
    assert len(found.slow) == 1
    assert "1 of 3 were run" in found.slow[0]


@pytest.mark.long
def test_who_plans_for_ever_is_given_up_and_it_is_said(family: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(battery, "RUN_S", 0.7)
    found = stress("bad_planners:Endless", against="local", families=[family], worlds=3, push=False, local=True)
    [row] = found.of("bad_planners:Endless")
    assert row.verdict == "no plans"
    assert "0.7 CPU seconds" in row.failed[0]
    assert "no other world was run" in found.slow[0]


@pytest.mark.long
def test_the_command_fails_a_build_and_says_why(family: Path, tmp_path: Path) -> None:
    line = ["stress", "local", "--against", "direct", "--family", str(family), "--seeds", "2", "--no-push", "--local"]
    told = CliRunner().invoke(main, [*line, "--json", str(tmp_path / "card.json")])
    assert told.exit_code == 0, told.output
    assert told.output.startswith("local is ")
    assert "times the best known in tiny" in told.output
    assert json.loads((tmp_path / "card.json").read_text())["cards"][0]["family"] == "tiny"
    told = CliRunner().invoke(main, [*line, "--fail-above", "1.01"])
    assert told.exit_code == 1
    assert "Above 1.01: local in tiny: " in told.output
    listed = CliRunner(env={"COLUMNS": "300"}).invoke(
        main, ["stress", "--list", "--family", str(family), "--family", "crowd"]
    )
    assert [line.split()[:3] for line in listed.output.splitlines()[1:]] == [["tiny", "8", "2"], ["crowd", "4", "40"]]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "nobody is to be judged"),
        ({"planners": "ionn", "policy": ["drf", "equal"]}, "expected one"),
        ({"planners": "ionn", "worlds": 0}, "0 worlds a family"),
        ({"planners": "ionn", "workers": 0}, "workers is 0"),
        ({"planners": "ionn", "families": ["crowd", "crowd"]}, "two families"),
        ({"planners": "nobody", "families": ["crowd"]}, "nobody"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is(given: dict[str, Any], words: str) -> None:
    with pytest.raises(LayerliftError, match=words):
        stress(**given, local=True)


# Pure parts


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


# Policies


def test_what_policies_promise_is_measured() -> None:
    equal, drf, greedy, wishes = (axioms(text, 40) for text in ("equal", "drf:spare=false", "greedy", "max_min"))
    for kept in (equal, drf):
        assert kept.sharing_broken == 0.0
        assert kept.sharing_worst >= 1 - 1e-6
        assert kept.envious == kept.liars == kept.starved == 0.0
        assert kept.liars_gain <= 1.0 + 1e-6
    assert greedy.starved > 0.2
    assert greedy.sharing_broken > 0.3
    assert wishes.liars > 0.3
    assert wishes.liars_gain > 1.1
    assert wishes.starved == 0.0


@pytest.mark.long
def test_a_policy_has_a_card_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "short.yaml"
    world = json.loads(json.dumps(FAMILY))
    world["world"]["users"][0] |= {"count": 6, "model": "alexnet", "on_refusal": "replan", "arrival": {"per_s": 3}}
    world["world"]["nodes"][0] |= {"count": 1, "memory_mb": 260}
    del world["world"]["faults"]
    path.write_text(written(world), encoding="utf-8")
    found = stress(policy=["equal", "greedy"], families=[path], worlds=2, local=True)
    assert found.kind == "policy"
    assert found.references == ("first_come",)
    assert not found.ladders
    equal, greedy = (found.of(name)[0] for name in ("equal", "greedy"))
    assert greedy.means["waited_s"] > 0
    assert greedy.means["refused"] > 0
    assert equal.means["disruptions"] >= greedy.means["disruptions"] == 0
    assert "claims twice what it needs" in found.sentences()[-1]
    assert "waited s" in found.table("equal").heads


# Known to be right when: bad planners, thoroughly

FAULTS = [
    ("bad_planners:NoMemory", "ionn", "tight_memory", "lone_random", 3),
    ("bad_planners:Herd", "spread+ionn", "equal_servers", "lone_random", 3),
    ("bad_planners:StaleLoad", "best_response+ionn", "stale_load", "lone_random", 8),
    ("bad_planners:NoUploadTime", "units:stay_s=known+direct", "short_stay", "late_comers", 6),
]


@pytest.mark.slow
@pytest.mark.parametrize(("planner", "twin", "bites", "spares", "worlds"), FAULTS)
def test_a_fault_is_found_in_the_family_about_it_and_nowhere_else(
    planner: str, twin: str, bites: str, spares: str, worlds: int
) -> None:
    found = stress([planner, twin], against=[twin, "direct"], families=[bites, spares], worlds=worlds, push=False,
                   local=True)  # fmt: skip
    assert bad(found, planner) == [bites]
    assert bad(found, twin) == []
    [spared] = [row for row in found.of(planner) if row.family == spares]
    [healthy] = [row for row in found.of(twin) if row.family == spares]
    assert spared.ratio.low <= healthy.ratio.mean <= spared.ratio.high


@pytest.mark.slow
def test_who_is_slow_is_told_so_and_judged_alike() -> None:
    found = stress(["bad_planners:Slow", "ionn"], against="ionn", families=["lone_random"], worlds=3, push=False,
                   local=True)  # fmt: skip
    slow, _healthy = (found.of(name)[0] for name in found.contenders)
    assert found.slow_families("bad_planners:Slow") == ["lone_random"]
    assert not found.slow_families("ionn")
    assert slow.ratio.mean == 1.0
    assert slow.verdict == "as good"


@pytest.mark.slow
def test_chance_is_bad_where_no_fault_is_needed() -> None:
    names = ["lone_random"]
    found = stress(["random", "ionn"], against="ionn", families=names, worlds=6, push=False, local=True)
    assert bad(found, "random") == names
    assert bad(found, "ionn") == []


@pytest.mark.slow
def test_workers_change_nothing(family: Path) -> None:
    one, two = (
        stress(["direct", "local"], against="direct", families=[family], worlds=3, workers=workers)
        for workers in (1, 2)
    )
    told = [each.as_dict() for each in (one, two)]
    for each in told:
        del each["timing"]
    assert told[0] == told[1]


@pytest.mark.slow
def test_nobody_is_below_the_optimum() -> None:
    """A lone user of a network whose optimum is proved cannot be served faster than that, whoever plans."""
    names = ["lone_random", "lone_big", "lone_slow_asym"]
    found = stress(["ionn", "optimal", "all_remote"], against="ionn", families=names, worlds=6, push=False, local=True)
    known = [row.optimum for row in found.rows if row.optimum.n]
    assert len(known) >= 6
    assert all(each.mean >= 1.0 for each in known)


def test_every_family_that_ships_can_be_pushed_and_counted() -> None:
    for name, found in battery.chosen([]).items():
        document = found.document(families.HELD_OUT_FROM)
        assert battery.worlds_of(document, None, False) >= 4, name
        assert battery.worlds_of(document, 2, True) == 2
    assert {push.family for push in battery.PUSHES} <= set(families.shipped())
    for first, second in itertools.pairwise(battery.PUSHES[0].factors):
        assert second == 2 * first
    assert BAD[0] == "worse"
