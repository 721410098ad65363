"""What tests/conftest.py promises of the tiers, seen in runs of pytest of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parent.parent
INNER = """
import pytest
from hypothesis import given, settings, strategies as st

tried = []

@settings(max_examples=200, deadline=None)
@given(st.integers())
def test_property(number):
    tried.append(number)

def test_counted():
    print("tried", len(tried))

@pytest.mark.long
def test_long():
    print("long ran")

@pytest.mark.ray
def test_over_ray():
    print("ray ran")

@pytest.mark.slow
def test_slow():
    print("slow ran")
"""


def inner(tmp_path: Path, *arguments: str) -> str:
    """What pytest says of the file above, under our conftest and settings."""
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (tmp_path / "tests").mkdir()
    (tmp_path / "test_inner.py").write_text(INNER)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:randomly", *arguments],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("tier", "tried", "ran"), [("quick", 3, []), ("not slow", 66, ["long", "ray"]), ("slow", 0, ["slow"])]
)
def test_a_tier_runs_what_it_says(tmp_path: Path, tier: str, tried: int, ran: list[str]) -> None:
    said = inner(tmp_path, "-m", tier, "-s", "test_inner.py")
    assert [name for name in ("long", "ray", "slow") if f"{name} ran" in said] == ran
    if tried:
        assert f"tried {tried}" in said


def test_all_examples_are_tried_on_demand(tmp_path: Path) -> None:
    assert "tried 200" in inner(tmp_path, "--hypothesis-profile=thorough", "-s", "test_inner.py")


@pytest.mark.parametrize(
    ("arguments", "workers"),
    [((".",), 2), (("test_inner.py",), 0), (("test_inner.py::test_counted", "-x"), 0), (("-k", "counted"), 0),
     ((".", "-n", "3"), 3), ((".", "--pdb"), 0)],
)  # fmt: skip
def test_tiers_have_two_workers_and_single_tests_none(tmp_path: Path, arguments: tuple[str, ...], workers: int) -> None:
    said = inner(tmp_path, "-v", "--rootdir", ".", "-o", "testpaths=.", "-m", "quick", *arguments)
    assert (f"created: {workers}/{workers} worker" in said) == (workers > 0)


def test_files_that_start_ray_are_one_workers(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        where = "@pytest.mark.ray\n" if name in "bd" else ""
        (tmp_path / f"test_{name}.py").write_text(f"import pytest\n\n{where}def test_{name}():\n    pass\n")
    said = inner(tmp_path, "-vv", "-n", "4", ".", "-m", "quick or ray")
    worker = {name: gw for gw, name in re.findall(r"\[(gw\d)\].* test_([a-d])\.py", said)}
    assert worker["b"] == worker["d"]
    assert len({worker["a"], worker["b"], worker["c"]}) == 3
