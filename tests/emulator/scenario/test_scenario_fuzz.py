"""Whatever is in the file: a scenario or a ScenarioError, and a scenario resolves or is refused as clearly."""

from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_scenario import Few, small

from layerlift.emulator.scenario import Scenario, bundled
from layerlift.emulator.scenario.schema.document import Places, read
from layerlift.models.errors import ScenarioError

QUICK = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
PAPER = bundled()["paper"].read_text()
FULL: dict[str, Any] = small(
    pairs=[{"between": ["client1", "edge2"], "latency_ms": 9, "one_way": True}],
    users=[
        {
            "kind": "k",
            "count": 2,
            "model": {"small": 1, "large": 2},
            "queries": 3,
            "device": {"ghz": [1, 2], "spread": "random"},
            "arrival": {"per_s": 3, "start_s": 1},
            "objective": {"energy": 1, "deadline_s": 2},
            "think_s": {"exponential": 2},
            "stay_s": 9,
        },
        {
            "model": "small",
            "queries": 3,
            "arrival": {"burst": {"quiet_per_s": 1, "busy_per_s": 9, "quiet_s": 3, "busy_s": 1}},
            "asks": {"diurnal": {"low_per_s": 1, "high_per_s": 9, "period_s": 60}, "start_s": 1},
            "stay_s": {"uniform": [2, 9]},
            "objective": [{"share": 2}, {"energy": 1}],
            "queue": 3,
            "replan": 4,
        },
    ],
    models={"large": {"parameters_mb": 3, "dims": {"batch": 1}}},
    planner={"at": "edge1", "predictions": {"bias": 0.5, "sigma": 1}, "heartbeat_s": 1, "bandwidth_known": True},
    sources={"nodes.*.ghz": "assumed"},
    faults=[
        {"outage": ["edge1", "client"], "at_s": 1, "for_s": 2, "every_s": 4},
        {"loss": "client-edge", "share": 0.5, "bad_share": 0.9, "good_s": 2, "bad_s": 1},
        {"crash": "edge2", "mean_up_s": 3, "mean_down_s": 1},
        {"move": ["k"], "within_m": [9, 9], "speed_m_s": [1, 2], "edges_m": {"edge1": [1, 2]}},
    ],
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.integers(0, 5),
    st.floats(),
    st.floats(0, 10),
    st.text(max_size=8),
    st.sampled_from(["client", "edge", "small", "large", "r{}", "every", "off", "edge1", "{}", "k", "user"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


ACTIONS = ("replace", "replace", "replace", "delete", "delete", "rename", "double")
likely = st.one_of(st.integers(1, 5), st.floats(0.5, 9), st.tuples(st.integers(1, 5), st.integers(5, 9)).map(list))


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path in a document, the root left out."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for key, item in items:
        found += places(item, (*path, key))
    return found


def change(document: Any, path: tuple[Any, ...], action: str, value: object) -> None:
    """Replace, delete, rename or double what is at `path`."""
    for key in path[:-1]:
        document = document[key]
    last = path[-1]
    if action == "replace" or isinstance(document, list):
        document[last] = value
    elif action == "delete":
        del document[last]
    elif action == "rename":
        document[str(value)[:20]] = document.pop(last)
    else:
        document[f"{last}s"] = document[last]


def refusal(*given: Any) -> str:
    """What is wrong with a scenario, as one printable line; empty when it is one."""
    try:
        Scenario.from_dict(*given).assumptions()
        Scenario.from_dict(*given).resolve(Few())
    except ScenarioError as error:
        return str(error)
    return ""


@QUICK
@given(st.data())
def test_mutated_documents(data: st.DataObject) -> None:
    document = copy.deepcopy(FULL)
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(places(document)))
        change(document, path, data.draw(st.sampled_from(ACTIONS)), data.draw(likely | values))
        if not places(document):
            return
    told = refusal(document)
    assert told.isprintable()
    if not told:
        scenario = Scenario.from_dict(document)
        again = Scenario.from_dict(json.loads(json.dumps(scenario.model_dump(mode="json"))))
        assert again == scenario
        assert again.resolve(Few()) == scenario.resolve(Few())


@QUICK
@given(values)
def test_any_document(document: object) -> None:
    told = refusal(document)
    assert told
    assert told.isprintable()


@QUICK
@given(data=st.data())
def test_mutated_text_of_the_paper_scenario(scratch: Path, data: st.DataObject) -> None:
    text = PAPER
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 12))
        text = (
            text[:start]
            + data.draw(st.text(max_size=6) | st.sampled_from([": ", "{", "]", "- ", "&a ", "*a", "!!set "]))
            + text[start + length :]
        )
    path = scratch / "mutated.yaml"
    path.write_bytes(text.encode(errors="surrogatepass"))
    with contextlib.suppress(ScenarioError):
        Scenario.load(path)


@QUICK
@given(st.text(alphabet=st.sampled_from("users.0*=nodes1[]{}:, abc-"), max_size=25))
def test_any_override(setting: str) -> None:
    told = refusal(FULL, [setting])
    assert told.isprintable()
    words = f"--set {setting}".split()
    assert not told or "".join(told.split()).startswith("".join(words))  # messages have single spaces


@QUICK
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=9)
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3),
        max_leaves=8,
    )
)
def test_what_yaml_writes_is_read_back(value: object) -> None:
    assert read(json.dumps(value), "j")[0] == value
    text = yaml.safe_dump(value, default_flow_style=False)
    assert read(text, "y")[0] == value


def test_lines_are_those_of_the_keys() -> None:
    where: Places = read("a: 1\nb:\n  - x\n  - c: 2\n    d: 3\n", "f")[1]
    assert [where.lines[path] for path in [("a",), ("b",), ("b", 0), ("b", 1), ("b", 1, "d")]] == [1, 2, 3, 4, 5]
    assert where.where(("b", 1, "unknown")) == "f, line 4: "
