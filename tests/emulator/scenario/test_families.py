"""Families of worlds: every one draws valid and different worlds, the same everywhere, and mistakes are told."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerlift.emulator.scenario import Scenario, families
from layerlift.emulator.scenario.families.draws import by_law
from layerlift.emulator.scenario.families.family import merged
from layerlift.emulator.scenario.schema.document import read, written
from layerlift.emulator.world import streams
from layerlift.models.errors import ScenarioError
from layerlift.models.files import bytes_digest

NAMES = tuple(families.shipped())
EXPECTED = json.loads((Path(__file__).parents[2] / "golden" / "families.json").read_text())
"""Digests of twenty worlds of each family; `python tests/emulator/scenario/test_families.py` writes them anew."""

ONE = """
about: One user.
catches: a planner that guesses
let: {speed: {draw: {uniform: [1, 2]}}, twice: {draw: speed, times: 2}}
world:
  nodes:
    - repeat: {draw: {integer: [1, 3]}}
      let: {memory: {draw: {log_uniform: [100, 1000]}}}
      of:
        - {tier: edge, name: "near{number}", ghz: {draw: twice}, memory_mb: {draw: memory}}
        - {tier: edge, name: "far{number}", ghz: {draw: speed}, memory_mb: {draw: memory}}
  links:
    client-edge: {bandwidth_mb_s: 5, latency_ms: 3}
    edge-edge: {bandwidth_mb_s: 5, latency_ms: 3}
  users:
    - {device: {ghz: {draw: speed}}, model: {draw: {choice: {squeezenet: 1, alexnet: 3}}}, stay_s: 5}
"""


def digest_of(name: str) -> str:
    drawn = [families.document(name, seed) for seed in range(20)]
    return bytes_digest(json.dumps(drawn, sort_keys=True).encode())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(ONE)
    return path


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_every_family_draws_valid_and_different_worlds(name: str) -> None:
    drawn = [families.draw(name, seed) for seed in range(20)]
    worlds = {json.dumps(each.model_dump(mode="json") | {"name": "", "seed": 0}, sort_keys=True) for each in drawn}
    assert len(worlds) == 20
    for seed, scenario in enumerate(drawn):
        assert (scenario.name, scenario.seed) == (f"{name}-{seed}", seed)
        assert all(kind.queries is None for kind in scenario.users), "a stay is fixed, not a number of questions"


@pytest.mark.long
def test_a_seed_draws_the_same_world_everywhere() -> None:
    assert {name: digest_of(name) for name in NAMES} == EXPECTED


@pytest.mark.parametrize("name", NAMES)
def test_a_family_says_what_it_catches(name: str) -> None:
    family = families.load(name)
    assert family.catches.startswith("a p")
    assert family.is_held_out(families.HELD_OUT_FROM)
    assert family.is_held_out(0) is (name == "new_networks")


def test_seeds_for_training_and_for_judging_do_not_meet() -> None:
    assert not set(families.training_seeds(2_000_000)) & set(families.held_out_seeds(10))
    assert len(families.held_out_seeds(10)) == 10


@pytest.mark.long
def test_no_other_family_has_the_networks_of_new_networks() -> None:
    new = set(families.load("new_networks").let["network"]["draw"]["choice"])
    for name in NAMES:
        drawn = families.draw(name, 0)
        used = {spec.source or key for key, spec in drawn.models.items()} | set(drawn.users[0].model)
        assert name == "new_networks" or not new & used


@pytest.mark.long
def test_shared_values_are_shared_and_repeated_ones_are_not(file: Path) -> None:
    speeds, memories = set(), set()
    for seed in range(30):
        made = families.document(file, seed)
        near, far = made["nodes"][0::2], made["nodes"][1::2]
        assert [node["name"] for node in made["nodes"][:2]] == ["near1", "far1"]
        assert {node["ghz"] for node in far} == {made["users"][0]["device"]["ghz"]}
        assert near[0]["ghz"] == pytest.approx(2 * far[0]["ghz"], rel=1e-3)
        assert [node["memory_mb"] for node in near] == [node["memory_mb"] for node in far]
        assert len({node["memory_mb"] for node in near}) == len(near)
        speeds.add(far[0]["ghz"])
        memories |= {node["memory_mb"] for node in near}
    assert len(speeds) > 25
    assert min(memories) < 200
    assert max(memories) > 500


def test_another_field_draws_nothing_else_anew_whatever_the_order(file: Path, tmp_path: Path) -> None:
    before = families.document(file, 3)
    data = read(ONE, "")[0]
    assert isinstance(data, dict)
    data["world"]["links"]["client-edge"]["bandwidth_mb_s"] = {"draw": {"uniform": [1, 9]}}
    file.write_text(written(_reversed(data)))
    after = families.document(file, 3)
    assert after["links"]["client-edge"].pop("bandwidth_mb_s") != before["links"]["client-edge"].pop("bandwidth_mb_s")
    assert after == before


def _reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reversed(value[key]) for key in reversed(value)}
    return [_reversed(item) for item in value] if isinstance(value, list) else value


def test_a_family_that_is_like_another_draws_what_they_share_alike() -> None:
    for seed in range(5):
        one, other = families.document("lone_random", seed), families.document("wrong_predictions", seed)
        assert other.pop("planner") == {"predictions": {"bias": 0, "sigma": 0.3, "server_sigma": 0.6}}
        assert one.keys() == other.keys()
        assert all(one[key] == other[key] for key in one.keys() - {"name", "about"})
    slow = families.document("lone_slow_asym", 1)
    assert len(slow["nodes"]) == len(families.document("lone_random", 1)["nodes"])
    up, down = slow["pairs"][:2]
    assert down["bandwidth_mb_s"] == pytest.approx(8 * up["bandwidth_mb_s"], rel=1e-3)


def test_what_changes_a_drawing_takes_its_place() -> None:
    base = {"a": {"draw": {"uniform": [1, 2]}}, "b": {"c": 1, "d": 2}}
    change = {"a": {"draw": {"choice": [1]}}, "b": {"d": {"draw": "x"}}}
    assert merged(base, change) == {"a": {"draw": {"choice": [1]}}, "b": {"c": 1, "d": {"draw": "x"}}}


@given(st.floats(1e-6, 1e6), st.floats(1, 1e4), st.integers(0, 10**6))
def test_numbers_lie_within_their_range(low: float, factor: float, seed: int) -> None:
    for law in ("uniform", "log_uniform"):
        drawn = by_law({law: [low, low * factor]}, random.Random(seed))
        assert low <= drawn <= low * factor


def test_laws_are_even_over_their_range() -> None:
    def mean(law: dict[str, Any], low: float) -> float:
        drawn = [by_law(law, streams.family(n, "f", "x")) for n in range(2000)]
        return sum(each <= low for each in drawn) / len(drawn)

    assert mean({"uniform": [0, 10]}, 5) == pytest.approx(0.5, abs=0.04)
    assert mean({"log_uniform": [1, 100]}, 10) == pytest.approx(0.5, abs=0.04)
    assert mean({"integer": [1, 4]}, 1) == pytest.approx(0.25, abs=0.04)
    assert mean({"integer": [1, 4]}, 3) == pytest.approx(0.75, abs=0.04)
    assert mean({"choice": [1, 2, 3, 4]}, 1) == pytest.approx(0.25, abs=0.04)
    picked = [by_law({"choice": {"a": 1, "b": 3}}, streams.family(n, "f", "x")) for n in range(2000)]
    assert picked.count("a") / 2000 == pytest.approx(0.25, abs=0.04)


def test_logarithms_are_the_same_on_every_processor() -> None:
    drawn = [by_law({"log_uniform": [0.2, 30]}, random.Random(seed)) for seed in range(6)]
    assert drawn == LOGS


LOGS = [13.76, 0.3921, 24.07, 0.659, 0.6527, 4.534]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("uniform: [1, 2]", "unifrom: [1, 2]"), "line 4: let.speed.draw is {'unifrom': [1, 2]}, expected one law"),
        (("uniform: [1, 2]", "uniform: [2, 1]"), "let.speed.draw.uniform is [2, 1], expected two numbers [low, high]"),
        (("log_uniform: [100, 1000]", "log_uniform: [0, 1]"), "line 8: world.nodes.0.let.memory.draw.log_uniform"),
        (("integer: [1, 3]", "integer: [1.5, 3]"), "expected two whole numbers [low, high]"),
        (("integer: [1, 3]", "integer: [-3, -1]"), "line 7: world.nodes.0.repeat is -"),
        (("integer: [1, 3]", "integer: [100000, 100000]"), "expected a whole number from 0 to 10000"),
        (("{squeezenet: 1, alexnet: 3}", "[]"), "expected a list of values, or texts with weights"),
        (("{squeezenet: 1, alexnet: 3}", "{squeezenet: 0}"), "expected texts with weights above 0"),
        (("ghz: {draw: twice}", "ghz: {draw: twize}"), "is 'twize', which is not under let; did you mean twice?"),
        (("draw: speed, times: 2", "draw: twice, times: 2"), "is 'twice', which is drawn from itself"),
        (("draw: speed, times: 2", "draw: speed, tims: 2"), "let.twice.tims is not known beside draw"),
        (("draw: speed, times: 2", "draw: speed, times: two"), "let.twice.times is 'two', expected a number"),
        (("draw: speed, times: 2", "draw: 7"), "let.twice.draw is 7, expected a law such as {uniform: [1, 2]}"),
        (("      of:", "      off:"), "world.nodes.0.off is not known beside repeat; did you mean of?"),
        (("latency_ms: 3}\n    edge", "latency_ms: {repeat: 3, of: 1}}\n    edge"), "repeats itself where no list is"),
        (("catches: a planner that guesses\n", ""), "mine.yaml, line 2: catches is missing"),
        (("about:", "abuot:"), "mine.yaml, line 2: abuot is not a known field; did you mean about?"),
        (("stay_s: 5", "stai_s: 5"), "mine, seed 0: users.0.stai_s is not a known field; did you mean stay_s"),
        (("world:\n", "like: lone_randm\nworld:\n"), "like is 'lone_randm', which does not ship; did you mean"),
        (("world:\n", "like: trickle\nworld:\n"), "like is 'trickle', which is like crowd itself: name that"),
        ((ONE, "[1, 2]"), "mine.yaml holds no family"),
    ],
)  # fmt: skip
def test_a_bad_family_is_told_in_one_sentence(file: Path, change: tuple[str, str], says: str) -> None:
    assert change[0] in ONE
    file.write_text(ONE.replace(*change, 1))
    with pytest.raises(ScenarioError) as raised:
        families.draw(file, 0)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) <= 300


@pytest.mark.long
def test_too_many_values_are_refused_before_they_are_made(file: Path) -> None:
    deep = "{repeat: 9999, of: {tier: edge, ghz: 1, x: [{repeat: 9999, of: 1}]}}"
    file.write_text(f"about: a\ncatches: b\nworld: {{nodes: [{deep}]}}\n")
    with pytest.raises(ScenarioError, match="expected worlds of at most 100000 values"):
        families.draw(file, 0)


@pytest.mark.long
def test_names_lead_to_names_only_so_far(file: Path) -> None:
    let = ", ".join(f"n{number}: {{draw: n{number + 1}}}" for number in range(5000))
    file.write_text(f"about: a\ncatches: b\nlet: {{{let}, n5000: 1}}\nworld: {{x: {{draw: n0}}}}\n")
    with pytest.raises(ScenarioError, match="expected at most 20 in a row"):
        families.draw(file, 0)


def test_shared_values_may_be_changed_one_by_one(file: Path) -> None:
    link = "let: {link: {bandwidth_mb_s: 5, latency_ms: 3}, "
    text = ONE.replace("let: {", link, 1).replace("{bandwidth_mb_s: 5, latency_ms: 3}\n", "{draw: link}\n")
    file.write_text(text)
    made = families.document(file, 0, ["links.client-edge.latency_ms=9"])
    assert [made["links"][pair]["latency_ms"] for pair in ("client-edge", "edge-edge")] == [9, 3]


@pytest.mark.parametrize("seed", [-1, 10**12 + 1, True, 1.5])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(ScenarioError, match="expected a whole number from 0"):
        families.draw("crowd", seed)


@pytest.mark.parametrize("name", ["lone_randon", "nowhere.yaml", "a\0b.yaml"])
def test_a_family_that_is_not_there(name: str) -> None:
    with pytest.raises(ScenarioError):
        families.load(name)


def test_files_are_sought_beside_a_family_of_your_own(file: Path) -> None:
    assert families.draw(file, 0).folder == str(file.parent.resolve())
    assert families.draw("crowd", 0).folder == ""


@pytest.mark.long
def test_a_drawn_world_can_be_written_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "world.yaml"
    for name in NAMES:
        made = families.document(name, 1, ["until_s=3"])
        path.write_text(written(made))
        assert Scenario.load(path, ["folder=''"]) == families.draw(name, 1, ["until_s=3"])


def test_the_family_in_the_documents_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "families.md").read_text()
    path = tmp_path / "theirs.yaml"
    path.write_text(page.partition("```yaml\n")[2].partition("```")[0])
    scenario = families.draw(path, 3)
    assert len(scenario.pairs) == 2 * len(scenario.nodes) >= 4


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9) | st.text(max_size=8)
    | st.sampled_from(["1e6", "off", "yes", "null", "~", "1:30", "2026-11-23", "0x1", "{number}", ".5", "=", "<<"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@pytest.mark.long
@given(_VALUES)
def test_what_is_written_is_what_is_read(value: Any) -> None:
    assert read(written(value), "file")[0] == value


if __name__ == "__main__":
    made = {name: digest_of(name) for name in NAMES}
    (Path(__file__).parents[2] / "golden" / "families.json").write_text(json.dumps(made, indent=1) + "\n")
