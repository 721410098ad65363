"""Whatever a stranger puts into a run directory: five commands end well, or in one sentence."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from layerlift.emulator.report.report import show
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.results.record import record_digest
from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.run import run
from layerlift.emulator.runtime.measured import Measured, measured_costs
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.from_run import scenario_of
from layerlift.emulator.studies.compare.directories import compare_runs
from layerlift.emulator.studies.fairness.study import fairness
from layerlift.models.errors import LayerliftError, RunError

LONGEST = 300
SCENARIO: dict[str, Any] = {
    "nodes": [{"tier": "client", "ghz": 1.0}, {"tier": "edge", "ghz": 4.0}],
    "links": {"client-edge": {"bandwidth_mb_s": 10, "latency_ms": 2}},
    "users": [{"model": "squeezenet", "planner": "ionn", "queries": 2, "asks": {"trace": "t.csv"}}],
    "execution": "none",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real run, driven by a file that it keeps."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "t.csv").write_text("time_s\n0\n0.5\n")
    out = folder / "run"
    run(Scenario.from_dict({**SCENARIO, "folder": str(folder)}), out=out, local=True)
    return out


def showing(directory: Path) -> None:
    result = RunResult.load(directory)
    repr(result)
    with open(os.devnull, "w") as nowhere:
        show(result, Console(file=nowhere, width=80))


def replaying(directory: Path) -> None:
    earlier = RunResult.load(directory)
    scenario = scenario_of(earlier)
    costs = measured_costs(directory) if scenario.compute == "measured" else Measured()
    if scenario.user_count > 3 or any((kind.queries or 99) > 9 for kind in scenario.users):
        return  # a longer run is one that a scenario may ask for
    scenario.resolve()
    assert costs is not None


COMMANDS: list[Callable[[Path], object]] = [
    showing,
    lambda directory: RunResult.load(directory).verify(),
    replaying,
    fairness,
    lambda directory: compare_runs([directory], alone=False),
]


def endings(directory: Path) -> list[str]:
    """What each command says of a directory; empty for one that ends well."""
    said = []
    for command in COMMANDS:
        text = ""
        try:
            command(directory)
        except LayerliftError as error:
            text = str(error)
        assert len(text) <= LONGEST, text
        assert "\n" not in text
        said.append(text)
    return said


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of everything in a JSON tree but its root."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from leaves(item, (*path, key))


def deep() -> Any:
    value: Any = 1
    for _ in range(500):
        value = [value]
    return value


WRONG: list[Any] = [
    *(None, [], {}, True, -1, 0, 0.5, 1e300, -1e300, 2**70, "", "inf", "nan", "x" * 10_000, "\x00\x1b[31m", "\ud800"),
    *([None], [[]], {"": {}}, {"a": [1, "b"]}, deep()),
]


def with_change(tree: Any, path: tuple[Any, ...], value: Any, delete: bool) -> Any:
    changed = copy.deepcopy(tree)
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    if delete:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return changed


@pytest.mark.long
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_change_of_run_json_ends_well_or_in_a_sentence(made: Path, data: st.DataObject) -> None:
    a_change(made, data)


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=5000, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_5000_changes_of_run_json_end_well_or_in_a_sentence(made: Path, data: st.DataObject) -> None:
    a_change(made, data)


def a_change(made: Path, data: st.DataObject) -> None:
    """Change one thing in run.json: every command ends well, or in a sentence, and `verify` in a sentence."""
    tree = json.loads((made / "run.json").read_text())
    paths = sorted(leaves(tree), key=lambda path: (len(path), str(path)))
    path = data.draw(st.sampled_from(paths))
    value = data.draw(st.sampled_from(WRONG))
    changed = with_change(tree, path, value, delete=data.draw(st.integers(0, 3)) == 0)
    original = (made / "run.json").read_bytes()
    try:
        (made / "run.json").write_text(json.dumps(changed))
        said = endings(made)
    finally:
        (made / "run.json").write_bytes(original)
    if changed != tree:
        assert said[1], f"verify passed {path}"


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "null", "1", '"run"', "{}", "[" * 100_000, '{"status": 1}', '{"status": "complete"}'),
        *('{"status": "complete", "seed": 1e999}', '{"status": "complete", "digest": ' + "9" * 5000 + "}", "\ufeff{}"),
    ],
)
def test_what_is_no_run_json(made: Path, tmp_path: Path, text: str) -> None:
    shutil.copytree(made, tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text(text)
    assert all(endings(tmp_path / "run")[1:])  # an empty run can be shown


def damages(folder: Path) -> dict[str, Callable[[Path], object]]:
    """Ways to spoil the file of a table, by name."""
    another = dict(zip(TABLES, [*list(TABLES)[1:], *TABLES], strict=False))

    def linked(file: Path, to: str) -> None:
        file.unlink()
        file.symlink_to(to)

    def piped(file: Path) -> None:
        file.unlink()
        os.mkfifo(file)

    return {
        "empty": lambda file: file.write_bytes(b""),
        "cut": lambda file: file.write_bytes(file.read_bytes()[:-9]),
        "turned": lambda file: file.write_bytes(bytes(255 - each for each in file.read_bytes())),
        "swapped": lambda file: shutil.copy(folder / another[file.parent.name] / file.name, file),
        "a folder": lambda file: (file.unlink(), file.mkdir()),
        "a device": lambda file: linked(file, "/dev/zero"),
        "a circle": lambda file: linked(file, file.name),
        "a pipe": piped,
    }


@pytest.mark.long
@pytest.mark.parametrize("damage", sorted(damages(Path())))
def test_a_table_that_is_spoilt(made: Path, tmp_path: Path, damage: str) -> None:
    for table in TABLES:
        target = tmp_path / table
        shutil.copytree(made, target)
        damages(made)[damage](target / table / "part-00000.parquet")
        assert endings(target)[1]


@pytest.mark.long
@pytest.mark.parametrize("name", ["run.json", "inputs"])
def test_what_else_may_be_odd_about_a_directory(made: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "run"
    shutil.copytree(made, target)
    kept = next((target / "inputs").iterdir()) if name == "inputs" else target / name
    kept.unlink()
    os.mkfifo(kept)
    assert endings(target)[1]
    assert endings(target)[2]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("seed",), 2),
        (("scenario", "seed"), 2),
        (("versions", "python"), "3.99.0"),
        (("world", "nodes", 0, "ghz"), 9.0),
        (("books", "sent_bytes"), 7),
        (("assumptions", 0, "source"), "measured"),
        (("summary", "totals", "answered"), 99),
        (("prices", 0, "classes", "reference", "seconds", 0), 9.0),
        (("inputs", 0, "digest"), "0" * 32),
    ],
)
def test_verify_covers_all_of_run_json(made: Path, tmp_path: Path, path: tuple[Any, ...], value: Any) -> None:
    target = tmp_path / "run"
    shutil.copytree(made, target)
    assert RunResult.load(target).verify() == RunResult.load(made).digest
    changed = with_change(json.loads((made / "run.json").read_text()), path, value, delete=False)
    (target / "run.json").write_text(json.dumps(changed))
    with pytest.raises(RunError, match=r"run\.json changed \(record_digest"):
        RunResult.load(target).verify()


def test_a_summary_that_the_tables_do_not_give_is_never_shown(made: Path, tmp_path: Path) -> None:
    target = tmp_path / "run"
    shutil.copytree(made, target)
    told = json.loads((made / "run.json").read_text())
    right = copy.deepcopy(told["summary"])
    told["summary"]["totals"]["answered"] = 99
    told["record_digest"] = record_digest(told)
    (target / "run.json").write_text(json.dumps(told))
    result = RunResult.load(target)
    assert result.summary == right
    assert not result.summary_is_told
    assert RunResult.load(made).summary_is_told
    with pytest.raises(RunError, match=r"the summary in run\.json is not what the tables give"):
        result.verify()
