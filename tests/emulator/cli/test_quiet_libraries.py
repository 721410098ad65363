"""Libraries are quiet: whatever a command or a program does, nothing is left but in `--out` and the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import layerlift

LAYERLIFT = (sys.executable, "-m", "layerlift")
PYTHON = (sys.executable, "-c")
NAMES = [*layerlift.QUIET]


class Home:
    """A home, a folder for temporary files and one to work in, all empty; the cache is that of all tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("home", "tmp", "work"):
            (folder / name).mkdir()

    def run(self, *command: str, **more: str) -> None:
        """Run a command there, with what it says shown when it fails."""
        kept = {name: value for name, value in os.environ.items() if name not in NAMES and not name.startswith("XDG_")}
        kept.pop("RAY_AUTH_TOKEN", None)
        own = {"HOME": "home", "TMPDIR": "tmp"}
        env = kept | {name: str(self.folder / place) for name, place in own.items()} | more
        ended = subprocess.run(command, cwd=self.folder / "work", env=env, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stderr

    def left(self) -> list[str]:
        """Every file in the places that should be empty."""
        places = (self.folder / name for name in ("home", "tmp", "work"))
        files = (path for place in places for path in place.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.folder)) for path in files)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_they_are_quiet_before_anything_of_ours_is_imported() -> None:
    code = f"import os, layerlift; print([os.environ[name] for name in {NAMES}])"
    kept = {name: value for name, value in os.environ.items() if name not in NAMES}
    for given, seen in (({}, ["1", "0"]), ({"ORT_DISABLE_TELEMETRY": "0", "RAY_USAGE_STATS_ENABLED": "1"}, ["0", "1"])):
        told = subprocess.run((*PYTHON, code), env=kept | given, capture_output=True, text=True, check=True).stdout
        assert told.strip() == str(seen)


@pytest.mark.long
def test_networks_from_python_leave_nothing(home: Home) -> None:
    home.run(*PYTHON, "from layerlift.models import load; load('squeezenet')")
    assert home.left() == []


def test_a_library_that_is_not_quiet_would_be_seen(home: Home) -> None:
    """One that writes where telemetry does when nobody forbids it: at home, and among temporary files."""
    places = "pathlib.Path.home(), pathlib.Path(tempfile.gettempdir())"
    noisy = f"import pathlib, tempfile; [(place / 'told').touch() for place in ({places})]"
    home.run(*PYTHON, noisy)
    assert home.left() == ["home/told", "tmp/told"]


@pytest.mark.long
@pytest.mark.parametrize(
    "words",
    [
        "run quickstart --local --strict --out ../out",
        pytest.param("models", marks=pytest.mark.slow),  # all networks, as one
        "models squeezenet --json",
        "plan quickstart --json",
        "profile squeezenet --runs 1 --accept -o ../out.json",
        "preprocess squeezenet merge",
        "compare quickstart --local --seeds 1 --no-alone --policy drf --out ../out --chart ../out/all.svg",
    ],
)
def test_commands_leave_nothing_but_their_results(home: Home, words: str) -> None:
    home.run(*LAYERLIFT, *words.split())
    assert home.left() == []


@pytest.mark.long
def test_a_run_from_python_leaves_nothing(home: Home) -> None:
    home.run(*PYTHON, "import layerlift\nlayerlift.run(layerlift.Scenario.load('quickstart'), local=True)")
    assert home.left() == []


@pytest.mark.ray
def test_over_ray_too_and_no_token_is_left(home: Home) -> None:
    """Ray keeps its logs and sockets in a folder of its own, /tmp/ray; a long TMPDIR would be too long for sockets."""
    home.run(*LAYERLIFT, "run", "quickstart", "--actors", "1", "--quiet", "--out", "../out", RAY_TMPDIR="/tmp")
    assert [path for path in home.left() if not path.startswith("tmp/ray")] == []
    assert (home.folder / "out" / "run.json").exists()
