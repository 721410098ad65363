"""Whatever is wrong with a scenario is answered in one sentence: where, what was given, what was expected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_scenario import Few, small

from layerlift.emulator.scenario import Scenario, bundled
from layerlift.models.errors import ScenarioError

PAPER = bundled()["paper"].read_text()


def refusal(text: str, tmp_path: Path, overrides: tuple[str, ...] = ()) -> str:
    """What `Scenario.load` says to a file with this text."""
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(tmp_path / "x.yaml", overrides).resolve(Few())
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("planner: ionn", "plannr: ionn", "users.0.plannr is not a known field; did you mean planner or replan?"),
        (
            "latency_ms: 2}",
            "latency_ms: 0}",
            "links.client-edge.latency_ms is 0, expected a number above 0 "
            "(the emulation needs a positive latency on every link, such as 0.1)",
        ),
        (
            "client-edge: {bandwidth_mb_s: 10,",
            "client-edge: {bandwidth_mb_s: -3,",
            "links.client-edge.bandwidth_mb_s is -3, expected a number above 0",
        ),
        (
            "client-edge: {bandwidth_mb_s: 10,",
            "client-edge: {bandwidth_mb_s: 0,",
            "links.client-edge.bandwidth_mb_s is 0, expected a number above 0",
        ),
        ("client-edge: {bandwidth_mb_s: 10,", "client-edge: {", "links.client-edge.bandwidth_mb_s is missing"),
        (
            "client-edge: {bandwidth_mb_s: 10,",
            "client-edge: {bandwidth_mb_s: .inf,",
            "links.client-edge.bandwidth_mb_s is inf, expected a finite number",
        ),
        (
            "client-edge: {bandwidth_mb_s: 10,",
            "client-edge: {bandwidth_mb_s: .nan,",
            "links.client-edge.bandwidth_mb_s is nan, expected a finite number",
        ),
        (
            "client-edge: {bandwidth_mb_s: 10,",
            "client-edge: {bandwidth_mb_s: ten,",
            "links.client-edge.bandwidth_mb_s is 'ten', expected a number",
        ),
        (
            "client-edge:",
            "client-egde:",
            "links.client-egde is not a pair of tiers, expected one such as client-edge; did you mean client-edge",
        ),
        ("ghz: [1.1, 2.3]", "ghz: 0", "nodes.0.ghz is 0, expected a number above 0, or a range [low, high] of them"),
        ("ghz: [1.1, 2.3]", "ghz: -1", "nodes.0.ghz is -1, expected a number above 0"),
        ("ghz: [1.1, 2.3]", "ghz: [2.3, 1.1]", "nodes.0.ghz is [2.3, 1.1], expected a number above 0, or a range"),
        ("ghz: [1.1, 2.3]", "ghz: [1, 2, 3]", "nodes.0.ghz is [1, 2, 3], expected a number above 0, or a range"),
        (", ghz: [1.1, 2.3]", "", "nodes.0.ghz is missing"),
        (
            "tier: client",
            "tier: clint",
            "nodes.0.tier is 'clint', expected client, edge or cloud; did you mean client?",
        ),
        ("count: 2", "count: true", "nodes.0.count is true, expected a whole number"),
        ("count: 2", "count: 2.5", "nodes.0.count is 2.5, expected a whole number"),
        ("count: 2", "count: 0", "nodes.0.count is 0, expected a number of at least 1"),
        ("count: 2", "count: 1000000", "nodes.0.count is 1000000, expected a number of at most 100000"),
        ("count: 2", "count: 2, count: 3", "nodes.0.count is given twice"),
        ("count: 2", "count: 2, name: x", "nodes.0.name is given beside `count` or `names`"),
        ('count: 2, names: "r{}"', "count: 2, names: r", "nodes.0.names is 'r', expected a pattern with one {}"),
        (", queries: 120", "", "users.0.queries is missing, and so is until_s: the run would never end"),
        ("queries: 120", "queries: 0", "users.0.queries is 0, expected a number of at least 1"),
        ("queries: 120", "queries: 5, count: 3", "users.0.count asks for more clients than nodes lists (2)"),
        ("queries: 120", "queries: 5, on_refusal: skp", "expected wait, skip or replan; did you mean skip?"),
        ("queries: 120", "queries: 5, model: {}", "users.0.model is given twice"),
        ("model: alexnet", "model: {}", "users.0.model is {}, expected a list of at least 1"),
        ("queries: 120", "queries: 5, objective: {latency: 0}", "objective.latency and all other weights are 0"),
        (
            "queries: 120",
            "queries: 5, arrival: {every: 2}",
            "users.0.arrival is {'every': 2}, expected one of {at_s: seconds}, {every_ms: distance}, {per_s: rate}, "
            "{burst: {...}}, {diurnal: {...}} or {trace: file}",
        ),
        (
            "queries: 120",
            "queries: 5, arrival: {every_ms: 0}",
            "users.0.arrival.every_ms is 0, expected a number above",
        ),
        (
            "queries: 120",
            "queries: 5, arrival: {per_s: 1, x: 2}",
            "users.0.arrival.x is not a known field; known: per_s",
        ),
        ("queries: 120", "queries: 5, uploads_at_once: 2", "users.0.uploads_at_once is 2, expected one or per_server"),
        (
            "execution: every",
            "execution: evry",
            "execution is 'evry', expected every, once or none; did you mean every?",
        ),
        ("share_links: false", "share_links: no", "share_links is 'no', expected true or false"),
        ("links.*.latency_ms", "links.*.latncy_ms", "sources.links.*.latncy_ms matches no field of this scenario"),
    ],
)
def test_a_wrong_field_is_answered_with_file_line_path_and_expectation(
    old: str, new: str, says: str, tmp_path: Path
) -> None:
    text = PAPER.replace(old, new)
    assert text != PAPER
    message = refusal(text, tmp_path)
    assert says in message
    assert message.startswith(f"x.yaml, line {line_of(PAPER, old)}: ")


@pytest.mark.parametrize(
    ("added", "says"),
    [
        ("planner: {at: r33}", "planner.at is 'r33', expected client or a node; did you mean r3"),
        (
            "planner: {predictions: exct}",
            "planner.predictions is 'exct', expected exact or regression; did you mean exact?",
        ),
        ("planner: {predictions: {bias: -2}}", "planner.predictions.bias is -2, expected"),
        ("planner: {predictions: 7}", "planner.predictions is 7, expected fields (a mapping)"),
        ("pairs: [{between: [r1, q9]}]", "pairs.0.between.1 is 'q9', which is no node"),
        ("pairs: [{between: [r1, r1]}]", "pairs.0.between names 'r1' twice"),
        ("pairs: [{between: [r1]}]", "pairs.0.between.1 is missing"),
        ("pairs: [{between: [r1, r2], latency_ms: 1}]", "pairs.0.bandwidth_mb_s is missing, and `links` says nothing"),
        ("user: 3", "user is not a known field; did you mean users?"),
        ("seed: -1", "seed is -1, expected a number of at least 0"),
        ("until_s: 0", "until_s is 0, expected a number above 0"),
        ("inputs: 0", "inputs is 0, expected a number of at least 1"),
        ("seed: " + "9" * 5000, "is not a number that can be used"),
        ("models: {own: {dims: {n: -1}}}", "models.own.dims.n is -1, expected a number of at least 0"),
        ("alexnet_mb: -1", "alexnet_mb is -1, expected a number above 0"),
    ],
)
def test_a_wrong_top_level_field(added: str, says: str, tmp_path: Path) -> None:
    text = f"{PAPER}\n{added}\n"
    message = refusal(text.replace("alexnet,", "small,"), tmp_path)
    assert says in message
    assert message.startswith(f"x.yaml, line {line_of(text, added)}: ")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"nodes": [{"tier": "client", "ghz": 1}]},
            "nodes has no servers: expected at least one group of tier edge or cloud",
        ),
        ({"nodes": []}, "nodes has no servers"),
        ({"users": []}, "users is empty: expected at least one kind of users"),
        ({"links": {}}, "links has no client-edge: expected its bandwidth_mb_s and latency_ms"),
        (
            {"users": [{"model": "smal", "queries": 1}]},
            "users.0.model is 'smal': there is no network 'smal'; did you mean small?",
        ),
        (
            {"users": [{"model": "small", "queries": 1, "planner": "inn"}]},
            "users.0.planner is 'inn': no planner 'inn'; did you mean ionn?",
        ),
        (
            {"models": {"small": {"source": "lrge"}}},
            "models.small.source is 'lrge': there is no network 'lrge'; did you mean large?",
        ),
        (
            {
                "users": [
                    {"model": "small", "queries": 1, "count": 1},
                    {"model": "small", "queries": 1, "kind": "user1"},
                ]
            },
            "users.1.kind is 'user1', as that of users.0 is",
        ),
        (
            {"users": [{"model": "small", "queries": 1}, {"model": "small", "queries": 1}]},
            "users.0.count is missing: only the last kind without `device` may take the clients left",
        ),
    ],
)
def test_an_impossible_scenario_in_python(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        Scenario.from_dict(small(**changes)).resolve(Few())
    assert says in str(caught.value)


@pytest.mark.parametrize("pair", ["client-edge", "client-cloud", "edge-cloud", "edge-edge"])
def test_every_link_that_may_be_used_must_be_there(pair: str) -> None:
    links = small()["links"]
    del links[pair]
    with pytest.raises(ScenarioError, match=f"links has no {pair}"):
        Scenario.from_dict(small(links=links))


def test_names_are_taken_once() -> None:
    nodes = [*small()["nodes"], {"tier": "edge", "name": "edge2", "ghz": 1}]
    with pytest.raises(ScenarioError, match=r"nodes\.3 makes a node named 'edge2', which is taken"):
        Scenario.from_dict(small(nodes=nodes))
    with pytest.raises(ScenarioError, match=r"'planner', which is taken"):
        Scenario.from_dict(small(nodes=[*small()["nodes"], {"tier": "edge", "name": "planner", "ghz": 1}]))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("users: [", "x.yaml, line 1: this is not YAML"),
        ("a: b: c", "x.yaml, line 1: this is not YAML"),
        ("- 1", "x.yaml holds no scenario: expected fields such as nodes, links and users"),
        ("", "x.yaml holds no scenario"),
        ("a: 1\n---\nb: 2", "x.yaml, line 2: this is not YAML"),
        (
            "name: !!python/object/apply:os.system [x]",
            "the tag 'tag:yaml.org,2002:python/object/apply:os.system' is not allowed",
        ),
        ("name: !!python/name:os.system x", "is not allowed"),
        ("a: !mine {b: 1}", "the tag '!mine' is not allowed"),
        ("a: &x [*x]", "too much"),
        pytest.param("[" * 30_000, "nested too deeply", marks=pytest.mark.long),
        ("a: \x07", "this is not YAML"),
        ("a: 1\nb: 2\na: 3", "x.yaml, line 3: a is given twice"),
        ("? [1]\n: 2", "a key is a list or a mapping: expected a word"),
        ("#" * (1 << 20) + "\nname: x", "x.yaml cannot be read: it is larger than 1 MiB"),
        (
            "\n".join(f"{c}: &{c} [{','.join(['*' + chr(ord(c) - 1)] * 10) if c > 'a' else 1}]" for c in "abcdefgh"),
            "too much",
        ),
    ],
)
def test_what_is_not_a_plain_small_yaml_file(text: str, says: str, tmp_path: Path) -> None:
    assert says in refusal(text, tmp_path)


def test_off_and_dates_and_times_are_words(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(f"{PAPER}\ngraph_optimization: off\nname_: 1\n".replace("name_: 1", "seed: 12"))
    assert Scenario.load(tmp_path / "x.yaml").graph_optimization == "off"
    assert Scenario.load("paper", ["name=2026-11-23"]).name == "2026-11-23"
    assert Scenario.load("paper", ["name=1:30"]).name == "1:30"
    assert Scenario.load("paper", ["reference_ghz=1e1"]).reference_ghz == 10


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("users.0.queries=abc", "--set users.0.queries=abc: users.0.queries is 'abc', expected a whole number"),
        (
            "users.3.queries=1",
            "--set users.3.queries=1: users is a list of 1, expected an index from 0 to 0 or *, not 3",
        ),
        ("users.x.queries=1", "expected an index from 0 to 0 or *, not x"),
        ("seed.x=1", "--set seed.x=1: seed is 7, which has no field 'x'"),
        ("sed=1", "--set sed=1: sed is not a known field; did you mean seed?"),
        ("users.0.plannr=x", "users.0.plannr is not a known field; did you mean planner or replan?"),
        ("users", "--set users: expected path=value, such as users.0.queries=5"),
        ("=3", "expected path=value"),
        ("users..queries=3", "expected path=value"),
        ("users.0.queries=[1", "--set users.0.queries=[1, line 1: this is not YAML"),
        ("links={}", "--set links={}: links has no client-edge"),
        (
            "links.client-edge={bandwidth_mb_s: 1}",
            "--set links.client-edge={bandwidth_mb_s: 1}: links.client-edge.latency_ms is missing",
        ),
    ],
)
def test_a_wrong_override_is_named(setting: str, says: str, tmp_path: Path) -> None:
    assert says in refusal(f"{PAPER}\nseed: 7\n", tmp_path, (setting,))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (5, "the scenario is 5, expected the name of one, a file or a Scenario"),
        (b"paper", "the scenario is b'paper', expected the name of one"),
        ("papr", "no scenario 'papr': expected a file or the name of a bundled scenario; did you mean paper?"),
        ("no/such.yaml", "no scenario 'no/such.yaml'"),
        ("", "no scenario '': expected a file"),
        pytest.param(10**5000, "the scenario is a number of thousands of digits, expected", id="huge"),
        ("\0", "no scenario"),
        ("a" * 5000, "no scenario"),
        (".", ". is a folder: expected a scenario file"),
    ],
)
def test_a_scenario_that_is_not_there(name: str, says: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(name)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ScenarioError, match="not text in UTF-8"):
        Scenario.load(tmp_path / "x.yaml")


def test_real_zoo_and_planners_are_asked(tmp_path: Path) -> None:
    for setting, says in (
        ("users.0.model=alexnt", "did you mean alexnet"),
        ("users.0.planner=inn", "did you mean ionn"),
        ("users.0.model=missing.onnx", "missing.onnx"),
        ("nodes.0.profile=missing.json", "missing.json"),
    ):
        with pytest.raises(ScenarioError) as caught:
            Scenario.load("paper", [setting]).resolve()
        assert str(caught.value).startswith(f"--set {setting}: "), str(caught.value)
        assert says in str(caught.value)


def test_a_profile_of_another_network_is_refused(tmp_path: Path) -> None:
    import layerlift.models.timing.profile

    shipped = Path(layerlift.models.timing.profile.__file__).parents[1] / "profiles"
    (tmp_path / "class").mkdir()
    for name in ("alexnet", "squeezenet"):
        (tmp_path / "class" / f"{name}.json").write_bytes((shipped / f"{name}.json").read_bytes())
    wrong = f"nodes.0.profile={json.dumps(str(tmp_path / 'class' / 'squeezenet.json'))}"
    with pytest.raises(ScenarioError, match="was measured on squeezenet, not on alexnet"):
        Scenario.load("paper", [wrong]).resolve()
    right = Scenario.load("paper", [f"nodes.0.profile={json.dumps(str(tmp_path / 'class'))}"]).resolve()
    assert right.seconds(0, 0) != Scenario.load("paper").resolve().seconds(0, 0)
    assert right.seconds(0, 5) == Scenario.load("paper").resolve().seconds(0, 5)
