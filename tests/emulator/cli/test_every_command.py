"""Every command, at 80 columns, in a pipe and in ASCII: nothing dies, and nothing that must be typed is cut."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from layerlift.emulator.cli.main import Layerlift, main
from layerlift.emulator.policies import registry as policies
from layerlift.emulator.report.screen import shared
from layerlift.emulator.scenario import Scenario, bundled
from layerlift.models.loading import zoo
from layerlift.planners import registry as planners

WORLD = """
name: wörld ±1
nodes:
  - {tier: edge, name: an_edge_server_with_a_rather_long_name, ghz: 20}
  - {tier: edge, name: naïve-server-→, ghz: 10}
links:
  client-edge: {bandwidth_mbit_s: 40, latency_ms: 3}
  edge-edge: {bandwidth_mb_s: 50, latency_ms: 1}
users:
  - {kind: téléphone, model: squeezenet, planner: ionn, queries: 2, device: {ghz: 1, names: "téléphone-numéro-{}"}}
execution: none
reference_ghz: 72.5
sources: {nodes: "Müller's desk (§ 4 …)"}
"""
RUN = "run world.yaml --local --out"
UNMEASURED = "link --serve --port 0 --for 1"
"""Nobody comes, which it says by its exit code, too."""
COMMANDS = {
    "run": [f"{RUN} again --force", f"{RUN} again --force --quiet"],
    "replay": ["replay made"],
    "show": ["show made", "show made --json"],
    "verify": ["verify made"],
    "fairness": ["fairness made", "fairness made --alone"],
    "compare": [
        "compare made made",
        "compare world.yaml --local --seeds 1 --planner direct --planner min_cut+recursive",
    ],
    "sensitivity": [
        "sensitivity world.yaml --only nodes --only resend_ms --planner direct --planner local --seeds 1 --workers 1"
    ],
    "size": ["size world.yaml --vary nodes.0.ghz=2,4 --until p95_ms<=1e6 --seeds 1 --local --out sized --force"],
    "stress": ["stress direct --against local --family lone_big --seeds 1 --no-push --local"],
    "validate": ["validate --help"],  # it takes a minute and an idle machine; what it shows is tested beside it
    "link": [UNMEASURED],
    "plan": ["plan world.yaml", "plan world.yaml --json"],
    "scenarios": ["scenarios"],
    "scenario": [
        "scenario world.yaml",
        "scenario paper --assumptions",
        "scenario --schema",
        "scenario --families",
        "scenario --family trickle --seed 3",
    ],
    "planners": ["planners", "planners ionn", "planners --json", "planners local --check"],
    "policies": ["policies", "policies drf", "policies --json", "policies greedy --check"],
    "models": ["models squeezenet", "models shufflenet --layers", "models squeezenet --json"],
    "predict": ["predict squeezenet"],
    "preprocess": ["preprocess", "preprocess squeezenet merge prune:keep=0.5 --samples 0"],
    "profile": ["profile squeezenet --runs 1 --accept -o profile.json"],
    "train": ["train --help"],  # training takes torch; what it shows is tested beside it
    "reproduce figure5": [
        "reproduce figure5 --models squeezenet --factors 10 --links shared --servers edge --offloading greedy "
        "--algorithms ionn --out figure --force"
    ],
    "reproduce ionn": ["reproduce ionn --help"],
    "reproduce neurosurgeon": ["reproduce neurosurgeon --help"],
    "reproduce dads": ["reproduce dads --help"],
    "reproduce lin": ["reproduce lin --help"],
}
HOW = {"at 80 columns": {"COLUMNS": "80"}, "at 40 columns": {"COLUMNS": "40"}, "in a pipe": {"COLUMNS": ""}}


def every(group: click.Group, before: str = "") -> Iterator[str]:
    """All commands of a group, those of its groups included."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield from every(command, f"{before}{name} ") if isinstance(command, click.Group) else [before + name]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("world.yaml").write_text(WORLD, encoding="utf-8")


def told(line: str, charset: str = "utf-8", **env: str) -> str:
    """What a command says on both streams, decoded as a terminal of that character set would."""
    runner = CliRunner(charset=charset, env=env)
    done = runner.invoke(main, line.split(), catch_exceptions=False)
    assert done.exit_code == (1 if line == UNMEASURED else 0), done.stderr_bytes
    return done.stdout_bytes.decode(charset) + done.stderr_bytes.decode(charset)


def test_no_command_is_forgotten() -> None:
    assert sorted(COMMANDS) == sorted(every(main))


@pytest.mark.parametrize("name", sorted({command.split()[0] for command in COMMANDS}))
def test_a_command_is_found_without_the_modules_of_the_others(name: str) -> None:
    group = Layerlift("layerlift")
    found = group.get_command(click.Context(group), name)
    assert found is not None
    assert found.name == name
    assert found is main.get_command(click.Context(main), name)
    modules = {command.callback.__module__ for command in group.commands.values() if command.callback}
    assert len(modules) <= 1, "of others nothing was imported"


def test_without_a_command_the_help_is_shown() -> None:
    done, helped = (CliRunner().invoke(main, line) for line in ([], ["--help"]))
    assert (done.exit_code, done.stdout) == (0, helped.stdout)
    assert len(done.stdout.splitlines()) > 20


def test_who_mistypes_a_command_is_told_the_near_ones() -> None:
    done = CliRunner().invoke(main, ["validat", "--full"])
    assert done.exit_code == 2
    assert "there is no command 'validat'; did you mean validate?" in done.stderr
    assert "; known: " in CliRunner().invoke(main, ["zzzz"]).stderr


def test_what_is_no_command_is_not_looked_for_among_modules() -> None:
    for name in ("results", "layerlift", "../run", "ru"):
        assert main.get_command(click.Context(main), name) is None


@pytest.mark.long
@pytest.mark.parametrize("command", COMMANDS)
def test_on_any_terminal(command: str) -> None:
    if any("made" in line.split() for line in COMMANDS[command]):
        told(f"{RUN} made --quiet")
    for line in COMMANDS[command]:
        told(line, "ascii", COLUMNS="80")
        for env in HOW.values() if command not in ("profile", "reproduce figure5") else ():
            assert "…" not in told(line, **env).replace("§ 4 …", "")


@pytest.mark.long
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("planners", planners.available()),
        ("policies", policies.available()),
        ("scenarios", [*bundled()]),
        ("scenario commuters --assumptions", [entry["path"] for entry in Scenario.load("commuters").assumptions()]),
        ("scenario world.yaml --assumptions", ["links.client-edge.price_per_gb", "users.0.device.price_per_core_hour"]),
    ],
)
def test_names_are_whole(line: str, names: list[str], how: str) -> None:
    words = set(re.split(r"[\s│|]+", told(line, **HOW[how])))
    assert set(names) <= words


@pytest.mark.long
def test_names_of_networks_and_variants_are_whole() -> None:
    wanted = {*zoo.names(), *zoo.ALIASES}
    for env in (HOW["at 80 columns"], HOW["in a pipe"]):
        assert wanted <= set(re.split(r"[\s│,]+", told("models", **env)))
        compared = told(f"{COMMANDS['compare'][1]} --policy drf --policy alpha_fair:alpha=2", **env)
        assert "min_cut+recursive, alpha_fair:alpha=2" in compared


def test_a_row_is_a_line_in_a_pipe() -> None:
    said = told("planners", COLUMNS="")
    assert all(len(re.findall(rf"^│ {name} .*│ \w+ +│$", said, re.M)) == 1 for name in planners.available())


def test_a_scenario_is_piped_as_it_is() -> None:
    assert told("scenario quickstart", COLUMNS="").startswith(bundled()["quickstart"].read_text(encoding="utf-8"))


@pytest.mark.long
@pytest.mark.parametrize("locale", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_a_process_of_an_old_locale(locale: dict[str, str]) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}
    env |= {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONCOERCECLOCALE": "0", "COLUMNS": "60", **locale}
    command = [sys.executable, "-m", "layerlift", "scenario", "world.yaml"]
    done = subprocess.run(command, env=env, capture_output=True, check=True)
    said = done.stdout.decode("ascii" if "PYTHONIOENCODING" in locale else "utf-8")
    assert "client-edge" in said
    assert not done.stderr


def test_words_are_kept_whole_and_what_is_left_goes_where_it_is_wanted() -> None:
    assert shared([(5, 5), (3, 13), (2, 22)], 100) == [5, 13, 22]
    assert shared([(5, 5), (3, 13), (2, 22)], 25) == [5, 8, 12]
    assert shared([(5, 5), (3, 13), (2, 22)], 4) == [5, 3, 2]
