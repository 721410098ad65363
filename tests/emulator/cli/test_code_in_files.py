"""A scenario and a run directory are data: what they say never imports a module, whatever command reads them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from run_world import PHONES, phones_file

from layerlift import LayerliftError, Scenario, compare, fairness, run, sweep
from layerlift.emulator.cli.main import main
from layerlift.emulator.studies.compare.jobs import Asked, perform, work
from layerlift.models.errors import CodeRefused
from layerlift.planners import registry
from layerlift.planners.registry.plugins import code_allowed

MODULE = """
from pathlib import Path
Path("imported").touch()

def touch(name="called"):
    Path(name).touch()

class Odd:
    def __init__(self):
        Path("made").touch()

class Mine:
    def plan(self, problem, rng):
        from layerlift.planners import all_local
        return all_local(problem)

class Fair:
    claims = False
    def grants(self, capacity, claims, before):
        return None
"""
MARKS = ("imported", "called", "made")
NAMED = ("touching:touch", "touching:Mine", "ionn+touching:Mine", "touching:touch:name=called+direct")
NESTED = ("best_response:inner=touching:Mine", "best_response:inner=pso+touching:Mine")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder holds a module that leaves a mark when it is imported; so does the path of modules."""
    (tmp_path / "touching.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "touching", raising=False)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def untouched() -> bool:
    return "touching" not in sys.modules and not any(Path(mark).exists() for mark in MARKS)


def written(folder: Path, planner: str = "ionn", policy: str = "greedy", device: str = "first_come") -> str:
    """A scenario file with these words in the three fields that name a planner or a policy."""
    path = phones_file(folder, execution="none")
    data = yaml.safe_load(path.read_text())
    for kind in data["users"]:
        kind["planner"] = planner
        if kind.get("device"):
            kind["device"]["policy"] = device
    for group in data["nodes"]:
        group["policy"] = policy
    path.write_text(yaml.safe_dump(data))
    return str(path)


def stolen(folder: Path, planner: str) -> str:
    """A run that was made with a right planner, and whose run.json then names another."""
    assert call("run", written(folder), "--local", "--quiet", "--out", "stolen").exit_code == 0
    file = folder / "stolen" / "run.json"
    told = json.loads(file.read_text())
    for kind in told["scenario"]["users"]:
        kind["planner"] = planner
    file.write_text(json.dumps(told))
    return "stolen"


@pytest.mark.parametrize("planner", [*NAMED, *NESTED])
@pytest.mark.parametrize("command", [("run", "--local"), ("run",), ("plan",), ("compare", "--local"), ("compare",)])
def test_no_command_imports_what_a_file_names(folder: Path, command: tuple[str, ...], planner: str) -> None:
    scenario = Path(written(folder, planner)).name  # a long path would leave no room for the command
    result = call(*command, scenario)
    assert result.exit_code == 2
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert f"{Path(scenario).name}, line " in line
    assert f"users.0.planner is '{planner}'" in line
    assert line.endswith(
        f"unless you trust it: layerlift {command[0]} --allow-code {' '.join([*command[1:], scenario])}"
    )
    assert untouched()


@pytest.mark.parametrize(
    ("words", "field"),
    [({"policy": "touching:Fair"}, "nodes.0.policy"), ({"device": "touching:touch"}, "users.0.device.policy")],
)
def test_policies_are_words_too(folder: Path, words: dict[str, str], field: str) -> None:
    scenario = written(folder, **words)
    if field.startswith("users"):
        data = yaml.safe_load(Path(scenario).read_text())
        data["users"][0]["device"] = {"ghz": 1, "policy": words["device"]}
        Path(scenario).write_text(yaml.safe_dump(data))
    result = call("run", scenario, "--local")
    assert result.exit_code == 2
    assert f"{field} is '" in result.stderr
    assert untouched()


@pytest.mark.long
@pytest.mark.parametrize("switched_off", ["", "1"])
def test_a_run_directory_imports_nothing(folder: Path, switched_off: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = stolen(folder, "touching:Mine")
    monkeypatch.setenv("LAYERLIFT_NO_PLUGINS", switched_off)
    for command in (("replay",), ("fairness", "--alone"), ("compare",)):
        result = call(*command, made)
        assert result.exit_code == 2
        assert "run.json: users.0.planner is 'touching:Mine'" in result.stderr
        asked = " ".join([*command[1:], made])
        assert result.stderr.rstrip().endswith(f"layerlift {command[0]} --allow-code {asked}")
    for command in (("show",), ("fairness",), ("compare", "--no-alone")):
        assert call(*command, made).exit_code == 0
    call("verify", made)
    assert untouched()


@pytest.mark.long
def test_what_was_typed_runs_and_its_run_is_replayed_when_it_is_typed_again(folder: Path) -> None:
    asked = ("run", written(folder), "--local", "--quiet", "--strict", "--planner", "touching:Mine", "--out", "mine")
    assert call(*asked).exit_code == 0
    assert call("verify", "mine").exit_code == 0
    refused = call("replay", "mine")
    assert refused.exit_code == 2
    assert refused.stderr.rstrip().endswith("layerlift replay --allow-code mine")
    assert call("replay", "--allow-code", "mine").stdout.startswith("Same digest: ")
    assert call("fairness", "--alone", "--allow-code", "mine").exit_code == 0
    assert call("compare", "--allow-code", "mine").exit_code == 0


@pytest.mark.long
@pytest.mark.parametrize(
    "ways",
    [
        ("--allow-code",),
        ("--planner", "touching:Mine"),
        ("--set", "users.0.planner=touching:Mine"),
        ("--set", "users.*.planner=touching:Mine"),
    ],
)
@pytest.mark.parametrize("command", [("run", "--local", "--quiet"), ("plan",), ("compare", "--local", "--seeds", "1")])
def test_whoever_types_it_means_it(folder: Path, command: tuple[str, ...], ways: tuple[str, ...]) -> None:
    planner = "touching:Mine" if ways == ("--allow-code",) else "ionn"
    if command[0] == "plan" and "--planner" in ways:
        ways = ("--planner", "touching:Mine")
    result = call(*command, written(folder, planner), *ways)
    assert result.exit_code == 0, result.stderr
    assert "failed" not in result.stderr
    assert Path("imported").exists()


def test_a_typed_word_allows_itself_alone(folder: Path) -> None:
    scenario = written(folder, "touching:touch:name=called")
    data = yaml.safe_load(Path(scenario).read_text())
    data["users"] = [{**data["users"][0], "kind": kind, "device": {"ghz": 1}} for kind in ("one", "two")]
    del data["nodes"][0]
    Path(scenario).write_text(yaml.safe_dump(data))
    result = call("run", scenario, "--local", "--set", "users.0.planner=touching:Mine")
    assert result.exit_code == 2
    assert "users.1.planner is" in result.stderr
    assert not Path("called").exists()


@pytest.mark.parametrize(
    ("planner", "says"),
    [
        ("touching:touch", "is a function, expected a class with a method plan(problem, rng)"),
        ("touching:Odd", "is a class that has no method plan(problem, rng)"),
        ("touching:Path", "is a class that has no method plan(problem, rng)"),
        ("ionn+touching:Odd", "cannot order uploads"),
    ],
)
def test_nothing_is_called_before_it_is_seen_to_be_a_planner(folder: Path, planner: str, says: str) -> None:
    result = call("run", written(folder), "--local", "--planner", planner)
    assert result.exit_code == 2
    assert says in result.stderr
    assert not Path("called").exists()
    assert not Path("made").exists()


def test_the_same_holds_for_policies(folder: Path) -> None:
    for policy in ("touching:touch", "touching:Odd"):
        result = call("run", written(folder), "--local", "--policy", policy)
        assert result.exit_code == 2
        assert "method grants(capacity, claims, before)" in result.stderr
    assert not Path("called").exists()
    assert not Path("made").exists()


# In a program


def untrusted() -> Scenario:
    return Scenario.from_dict(PHONES | {"users": [{**PHONES["users"][0], "planner": "touching:Mine"}]})


def test_files_texts_and_dicts_are_not_typed(folder: Path) -> None:
    path = written(folder, "touching:Mine")
    for scenario in (path, Scenario.load(path), untrusted(), Scenario.model_validate(untrusted().model_dump())):
        for ask in (
            lambda given=scenario: run(given, local=True),
            lambda given=scenario: compare(given, local=True),
            lambda given=scenario: sweep(given, "seed", [1, 2], local=True),
        ):
            with pytest.raises(CodeRefused, match=r"users.0.planner is 'touching:Mine'.*allow_code=True"):
                ask()
    assert untouched()


@pytest.mark.long
def test_each_way_of_typing_it_in_a_program(folder: Path) -> None:
    none, mine = ["execution=none"], ["execution=none", "users.*.planner=touching:Mine"]
    assert run(written(folder), overrides=mine, local=True).complete
    assert run(Scenario.load(written(folder), mine), local=True).complete
    assert run(untrusted(), overrides=none, allow_code=True, local=True).complete
    assert run(untrusted().changed(none, allow_code=True), local=True).complete
    made = run(Scenario(**untrusted().changed(none).model_dump()), local=True)
    assert made.complete
    with pytest.raises(CodeRefused, match=r"run.json: users.0.planner"):
        fairness(made, alone=True)
    assert fairness(made, alone=True, allow_code=True)["cost"] == "slowdown"
    with pytest.raises(CodeRefused):
        compare([made])
    assert compare([made], allow_code=True).complete
    found = compare(written(folder), planners=["touching:Mine", "local"], seeds=1, local=True)
    assert {trial.status for trial in found.trials} == {"done"}
    trusted = compare(untrusted(), allow_code=True, seeds=1, local=True)
    assert {trial.status for trial in trusted.trials} == {"done"}


def test_a_task_of_a_comparison_knows_what_was_typed(folder: Path) -> None:
    (job,) = work(Asked(written(folder), planners=("touching:Mine",))).jobs
    assert perform(job).status == "done"
    (job,) = work(Asked(written(folder))).jobs
    job.scenario["users"][0]["planner"] = "touching:touch"
    lost = perform(job)
    assert lost.status == "failed"
    assert "users.0.planner is 'touching:touch'" in lost.reason
    assert not Path("called").exists()


def test_a_changed_copy_keeps_what_was_known_of_it(folder: Path) -> None:
    seed = untrusted().model_copy(update={"seed": 7, "execution": "none"})
    with pytest.raises(CodeRefused):
        run(seed, local=True)
    kind = Scenario.from_dict(PHONES).users[0].model_copy(update={"planner": "touching:Mine"})
    typed = Scenario.from_dict(PHONES).model_copy(update={"users": (kind,), "execution": "none"})
    assert [each.planner for each in typed.users] == ["touching:Mine"]
    assert run(typed, local=True).complete


@pytest.mark.parametrize(
    "update", [{"users": "me"}, {"nodes": ()}, {"seed": -1}, {"sed": 1}, {"users": [{"model": 3}]}, {"links": None}]
)
def test_a_bad_copy_is_one_sentence(update: dict[str, object]) -> None:
    with pytest.raises(LayerliftError) as said:
        run(Scenario.from_dict(PHONES).model_copy(update=update), local=True)
    assert "\n" not in str(said.value)
    assert len(str(said.value)) <= 300
    with pytest.raises(LayerliftError):
        Scenario.model_construct(**update)


def test_a_bad_copy_of_a_section_is_one_sentence() -> None:
    with pytest.raises(LayerliftError, match=r"queries is -1, expected a number of at least 1"):
        Scenario.from_dict(PHONES).users[0].model_copy(update={"queries": -1})


def test_what_is_forbidden_outside_stays_forbidden_inside() -> None:
    with code_allowed(False), code_allowed(True), pytest.raises(CodeRefused):
        registry.make("touching:Mine")
    assert untouched()


def test_a_plugin_that_is_gone_is_not_sought_beside_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(folder)])
    registry.register("gone", "touching:Mine", "a package that is gone")
    try:
        with pytest.raises(LayerliftError, match="cannot be imported"):
            registry.make("gone")
    finally:
        registry.unregister("gone")
    assert untouched()


def test_where_the_whole_command_is_too_long_the_message_names_the_option(folder: Path) -> None:
    deep = folder / ("x" * 200)
    deep.mkdir()
    result = call("run", written(deep, "touching:Mine"), "--local")
    assert result.exit_code == 2
    assert result.stderr.rstrip().endswith(": give run --allow-code too")
    assert len(result.stderr.rstrip()) <= 311
    assert untouched()
