"""A user's own `models/`, `planners/` and `emulator/` break nothing: beside a script, in a notebook, over Ray."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

OURS = ("models", "planners", "emulator", "benchmarks", "tests")
"""The folders of the repository: a user may have any of them."""
SMALL = ("users.0.count=2", "users.0.queries=2", "inputs=1")
SCRIPT = f"""
import os
from layerlift import Scenario, run

result = run(Scenario.load("quickstart", {list(SMALL)}), local=not os.environ.get("OVER_RAY"))
print(result.digest)
"""
PLANNER = """
from layerlift.planners import PlannerBase, all_local

class Stay(PlannerBase):
    def plan(self, problem, rng):
        return all_local(problem)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose packages raise as soon as somebody takes them for Layerlift's."""
    folder = tmp_path / "mine"
    for name in OURS:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"raise RuntimeError('the package {name} of a user was imported')\n")
    (folder / "script.py").write_text(SCRIPT)
    (folder / "my_planner.py").write_text(PLANNER)
    return folder


@pytest.fixture
def console(tmp_path: Path) -> Path:
    """A script as pip makes it: elsewhere, so that the current folder is not on Python's path."""
    script = tmp_path / "bin" / "layerlift"
    script.parent.mkdir()
    script.write_text("import sys\nfrom layerlift.emulator.cli.main import main\nsys.exit(main())\n")
    return script


def python(folder: Path, *arguments: str | Path, code: str = "", own_path: bool = False, **more: str) -> str:
    """What a new Python in the folder prints; it must end well."""
    known = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join((["."] if own_path else []) + ([known] if known else []))
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], input=code, cwd=folder, env={**os.environ, "PYTHONPATH": path, **more},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def digest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """That of the script where there is nothing else."""
    return python(tmp_path_factory.mktemp("empty"), "-c", SCRIPT)


def test_the_folder_is_as_hostile_as_it_is_said_to_be(folder: Path) -> None:
    for name in OURS:
        with pytest.raises(AssertionError, match=f"the package {name} of a user was imported"):
            python(folder, "-c", f"import {name}")


def test_a_script_beside_them_and_a_notebook_run(folder: Path, tmp_path: Path, digest: str) -> None:
    assert re.fullmatch("[0-9a-f]{32}", digest)
    assert python(tmp_path, folder / "script.py") == digest
    assert python(folder, "-", code=SCRIPT) == digest
    assert python(folder, "script.py", own_path=True) == digest


def test_studies_run(folder: Path) -> None:
    code = (
        "from layerlift import compare, fairness, run\n"
        f"how = dict(overrides={list(SMALL)}, seeds=1, local=True)\n"
        "print(compare('quickstart', planners=['ionn', 'my_planner:Stay'], **how))\n"
        "print(fairness(run('quickstart', local=True), alone=True)['cost'])"
    )
    said = python(folder, "-", code=code).splitlines()
    assert said == ["<Comparison quickstart: 2 variants (ionn, my_planner:Stay), 1 seed, 2 of 2 runs done>", "slowdown"]


def test_the_kits_run(folder: Path) -> None:
    kit = "layerlift.planners.testing"
    assert "direct" in python(folder, "-m", kit, "direct", own_path=True)
    assert "Stay" in python(folder, "-m", kit, "my_planner:Stay")
    assert "drf" in python(folder, "-m", "layerlift.emulator.policies.testing", "drf", own_path=True)


@pytest.mark.parametrize(("way", "planner"), [("console", "my_planner:Stay"), ("module", "direct")])
def test_the_command_line_runs_and_replays(folder: Path, console: Path, way: str, planner: str) -> None:
    start: tuple[str | Path, ...] = (console,) if way == "console" else ("-m", "layerlift")
    settings = [word for setting in SMALL for word in ("--set", setting)]
    run = ("run", "quickstart", "--local", "--execution", "none", "--planner", planner, *settings)
    python(folder, *start, *run, "--strict", "--quiet", "--out", "made")
    typed = ("--allow-code",) if ":" in planner else ()
    assert python(folder, *start, "replay", "made", *typed).startswith("Same digest: ")


def test_planners_of_a_users_package_with_the_same_name_are_found(tmp_path: Path, console: Path) -> None:
    package = tmp_path / "planners"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "mine.py").write_text(PLANNER)
    run = ("run", "quickstart", "--local", "--execution", "none", "--planner", "planners.mine:Stay", "--strict")
    assert "users" in python(tmp_path, console, *run, "--out", "made")


# Over Ray


@pytest.mark.ray
def test_actors_run_beside_them(folder: Path, digest: str) -> None:
    assert python(folder, "script.py", own_path=True, OVER_RAY="1") == digest


@pytest.mark.ray
@pytest.mark.slow
def test_actors_of_a_notebook_run_beside_them(folder: Path, digest: str) -> None:
    assert python(folder, "-", code=SCRIPT, OVER_RAY="1") == digest


@pytest.mark.ray
def test_actors_and_tasks_find_a_planner_of_the_folder(folder: Path, console: Path) -> None:
    settings = [word for setting in SMALL for word in ("--set", setting)]
    run = ("run", "quickstart", "--actors", "2", "--planner", "my_planner:Stay", *settings)
    python(folder, console, *run, "--strict", "--quiet", "--out", "made")
    assert python(folder, console, "replay", "made", "--allow-code").startswith("Same digest: ")
    compare = ("compare", "quickstart", "--planner", "ionn", "--planner", "my_planner:Stay", "--seeds", "1", *settings)
    assert "failed" not in python(folder, console, *compare)
