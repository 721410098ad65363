"""The report card: what is wrong is found where it bites, ladders break where they are said to."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from layerlift.emulator import Scenario, run
from layerlift.emulator.cli.main import main
from layerlift.emulator.scenario import families
from layerlift.emulator.scenario.schema.document import written
from layerlift.emulator.studies.many import Kept
from layerlift.emulator.studies.stress import battery, jobs
from layerlift.emulator.studies.stress.asked import asked
from layerlift.emulator.studies.stress.axioms import axioms
from layerlift.emulator.studies.stress.kept import version
from layerlift.emulator.studies.stress.result import Stress, bad
from layerlift.emulator.studies.stress.study import Study, stress
from layerlift.models.errors import LayerliftError

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
    assert "\n" in raises.why
    assert not [told for told in found.sentences() if "\n" in told]
    assert [bad(found, name) for name in found.contenders] == [[], ["tiny"], ["tiny"]]
    assert len(found.above(1.02)) == 2
    with pytest.raises(LayerliftError, match="limit of a ratio is nan"):
        found.above(float("nan"))
    assert found.above(1000.0) == [text for text in found.above(1.02) if "Raises" in text]
    assert found.sentences()[0].startswith("direct is 1 times direct in tiny; reference in 1.")


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
def test_ladders_name_the_first_step_that_breaks_and_end_there(family: Path, monkeypatch: Any) -> None:
    factors = {"users": (1.0, 4.0), "bandwidth": (1.0, 0.25, 0.0625), "faults": (1.0, 8.0)}
    monkeypatch.setattr(battery, "OWN", factors)
    found = stress("direct", against="direct", families=[family], worlds=2, local=True)
    users, links, faults = found.ladders
    assert [each.push.change for each in found.ladders] == list(factors)
    assert [step.label for step in users.steps] == ["2 users", "8 users"]
    assert users.steps[1].value > users.steps[0].value == faults.steps[0].value
    assert [step.label for step in links.steps] == ["the bandwidth as it is", "bandwidth / 4"]
    assert links.broken is links.steps[-1]
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
    made = [*question.first(), *(job for who in ("direct", "local") for job in question.others(who, "tiny", 1, 3))]
    kept = Kept(out / "runs.jsonl", version(), jobs.sound)
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
    assert "times direct in tiny" in told.output
    assert json.loads((tmp_path / "card.json").read_text())["cards"][0]["family"] == "tiny"
    told = CliRunner().invoke(main, [*line, "--fail-above", "1.01"])
    assert told.exit_code == 1
    assert "Above 1.01: local in tiny: " in told.output
    listed = CliRunner(env={"COLUMNS": "300"}).invoke(
        main, ["stress", "--list", "--family", str(family), "--family", "crowd"]
    )
    assert [line.split()[:3] for line in listed.output.splitlines()[1:]] == [["tiny", "4", "2"], ["crowd", "4", "40"]]


def test_an_answer_is_written_whole_and_a_place_that_cannot_be_is_known_before(family: Path, tmp_path: Path) -> None:
    line = ["stress", "local", "--against", "local", "--family", str(family), "--seeds", "1", "--no-push", "--local"]
    told = CliRunner().invoke(main, [*line, "--json", str(tmp_path)])
    assert told.exit_code == 2
    assert "--json" in told.output
    assert "of about" not in told.output
    (tmp_path / "card.json").write_text("{")
    assert CliRunner().invoke(main, [*line, "--json", str(tmp_path / "card.json")]).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["card.json"]
    assert json.loads((tmp_path / "card.json").read_text())["complete"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "nobody is to be judged"),
        ({"planners": "ionn", "policy": ["drf", "equal"]}, "expected one"),
        ({"planners": "ionm", "families": ["lone_random"]}, "no planner 'ionm'; did you mean ionn"),
        ({"planners": "ionn", "against": "ionm", "families": ["lone_random"]}, "no planner 'ionm'; did you mean ionn"),
        ({"planners": "gone:Mine", "families": ["lone_random"]}, "there is no module 'gone'"),
        ({"planners": "ionn", "worlds": 0}, "0 worlds a family"),
        ({"planners": "ionn", "workers": 0}, "workers is 0"),
        ({"planners": "ionn", "families": ["crowd", "crowd"]}, "two families"),
        ({"planners": "nobody", "families": ["crowd"]}, "nobody"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is(given: dict[str, Any], words: str) -> None:
    with pytest.raises(LayerliftError, match=words):
        stress(**given, local=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"policy": "os:system"}, "the family strange names code, which a family may not"),
        ({"policy": "nobody"}, "there is no policy 'nobody'"),
        ({"model": "/dev/zero"}, "/dev/zero"),
    ],
)
def test_a_family_of_which_no_world_can_be_is_refused_before_anything_runs(
    tmp_path: Path, change: dict[str, str], words: str
) -> None:
    world = json.loads(json.dumps(FAMILY))
    world["world"]["nodes" if "policy" in change else "users"][0] |= change
    (tmp_path / "strange.yaml").write_text(written(world), encoding="utf-8")
    with pytest.raises(LayerliftError, match=words):
        stress("direct", against="local", families=[tmp_path / "strange.yaml"], worlds=1, local=True)


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
    assert "optimum" not in found.table("equal").heads
