"""The house: imports run models <- planners <- emulator, and only one file knows Ray."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("models", "planners", "emulator")
"""From the ground up: a room may import itself and those before it."""
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
LONGEST = 400


@cache
def imported(path: Path) -> tuple[str, ...]:
    """Full names of the modules that a file imports, wherever in it."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            found += [name.name.removeprefix("layerlift.") for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found.append((node.module or "").removeprefix("layerlift."))
    return tuple(found)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_run_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    above = set(ROOMS[ROOMS.index(room) + 1 :]) | {"tests", "worlds", "strategies", "benchmarks"}
    wrong = [name for name in imported(path) if name.split(".")[0] in above]
    assert not wrong, f"{name_of(path)} is in {room} and imports {wrong}"


def test_only_one_file_imports_ray() -> None:
    found = {name_of(path) for path in MODULES if any(name.split(".")[0] == "ray" for name in imported(path))}
    assert found == {"emulator/cluster/hosts.py"}


def test_the_kernel_knows_nothing_of_networks_or_models() -> None:
    own = {name for name in imported(ROOT / "emulator/kernel/clock.py") if name.split(".")[0] in ROOMS}
    assert own == set()
    assert {n for n in imported(ROOT / "emulator/kernel/cpu.py") if n.split(".")[0] in ROOMS} == {"emulator.kernel"}


TIME_PLANE = (
    *("kernel", "sharing", "messages", "problems", "routes", "flows", "fabric", "traffic"),
    *("host", "lockstep", "conductor", "together", "books"),
    *(
        "allocation",
        "filling",
        "weighted",
        "policies/alpha_fair",
        "policies/arrival",
        "policies/drf",
        "policies/quotas",
    ),
    *("faults", "timeline", "link_faults", "wandering", "weather"),
    *("asking", "live_links"),
    *(f"nodes/{path.stem}" for path in sorted((ROOT / "emulator/nodes").glob("[a-z]*.py"))),
)
UNWANTED = {"time", "datetime", "secrets", "uuid", "threading", "asyncio", "scipy", "onnxruntime", "pyarrow"}
"""Clocks, true randomness and threads have no place where the same seed must give the same tables."""


@pytest.mark.parametrize("name", TIME_PLANE)
def test_the_time_plane_has_no_other_clock_and_no_other_chance(name: str) -> None:
    path = ROOT / "emulator" / f"{name}.py"
    found = {module.split(".")[0] for module in imported(path)} & UNWANTED
    assert not found
    tree = ast.parse(path.read_text(encoding="utf-8"))
    drawn = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "random"
    ]
    assert all(text == "random.Random" for text in drawn), f"{name} draws from the global generator: {drawn}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_stay_readable(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, f"{name_of(path)} has {lines} lines"
