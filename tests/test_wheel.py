"""The wheel holds what git tracks, under one name: no stale `build/`, no forgotten package, nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from email import message_from_string
from email.message import Message
from importlib import metadata
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("emulator", "models", "planners")
FOLDERS = {"emulator/face": "layerlift"} | {name: f"layerlift/{name}" for name in ROOMS}
"""Where what lies in a folder of the repository is installed; the first that fits counts."""
SHIPPED = (".py", ".json", ".onnx", ".yaml", ".typed")
COMPLAINTS = ("is absent from the `packages`", "would be ignored", "importable", "Deprecat")
"""How setuptools speaks of packages that are not listed, and of what it will not do much longer."""


def tracked() -> list[str]:
    """What git tracks and is there; of a copy without git, all that could be installed."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
        names = [name for name in listed.stdout.split("\0") if name]
    else:
        found = [*ROOT.iterdir(), *(path for name in ROOMS for path in (ROOT / name).rglob("*"))]
        names = [path.relative_to(ROOT).as_posix() for path in found if "__pycache__" not in path.parts]
    return [name for name in names if (ROOT / name).is_file()]


def installed_as(names: Iterable[str]) -> set[str]:
    """What must be installed of these files of the repository."""
    found = set()
    for name in names:
        folder = next((folder for folder in FOLDERS if name.startswith(f"{folder}/")), None)
        if folder is not None and name.endswith(SHIPPED):
            found.add(FOLDERS[folder] + name.removeprefix(folder))
    return found


def differences(wheel: Iterable[str], repository: Iterable[str]) -> list[str]:
    """How the files of a wheel, without its .dist-info, differ from what they must be: a line for each file."""
    packed = {name for name in wheel if not name.endswith("/") and ".dist-info/" not in name}
    wanted = installed_as(repository)
    return [f"too many: {name}" for name in sorted(packed - wanted)] + [
        f"missing: {name}" for name in sorted(wanted - packed)
    ]


def test_a_stale_or_forgotten_file_is_found() -> None:
    repository = ["emulator/face/__init__.py", "emulator/run.py", "models/profiles/a.json", "docs/x.py", "README.md"]
    wheel = ["layerlift/__init__.py", "layerlift/emulator/run.py", "layerlift/models/profiles/a.json"]
    info = "layerlift-0.1.0.dist-info/RECORD"
    assert differences([*wheel, info], repository) == []
    assert differences([*wheel, "layerlift/emulator/gone.py"], repository) == ["too many: layerlift/emulator/gone.py"]
    assert differences([*wheel, "models/a.py"], repository) == ["too many: models/a.py"]
    assert differences(wheel[:-1], repository) == ["missing: layerlift/models/profiles/a.json"]
    moved = ["emulator/face/emulator/face.py" if name == "emulator/run.py" else name for name in repository]
    assert len(differences(wheel, moved)) == 2


def test_every_package_is_listed() -> None:
    """What is missing here is missing in the wheel, without a word of setuptools."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    folders = {PurePosixPath(name).parent.as_posix().replace("/", ".") for name in installed_as(tracked())}
    assert sorted(listed) == sorted(folders), "pyproject.toml's packages are not the folders that there are"
    assert listed == sorted(listed)


def copy(to: Path) -> Path:
    """The tracked files alone: what a fresh clone has."""
    for name in tracked():
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, to / name)
    return to


def build(source: Path, out: Path) -> tuple[Path, str]:
    """The wheel that pip builds of a folder, and all that was said meanwhile.

    Without the network where this environment's setuptools is new enough.
    """
    here = {found.metadata["Name"]: found.version for found in metadata.distributions(name="setuptools")}
    new = any(int(version.split(".")[0]) >= 77 for version in here.values())
    alone = ["--no-build-isolation"] if new else []
    command = [sys.executable, "-m", "pip", "wheel", "-v", "--no-deps", *alone, "--wheel-dir", str(out), str(source)]
    env = {name: value for name, value in os.environ.items() if name not in ("PIP_QUIET", "PYTHONPATH")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = out.glob("*.whl")
    return wheel, done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], str, Message]:
    """Names of the wheel's files, what was said while it was built, and its metadata."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel, said = build(copy(folder / "source"), folder / "out")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [about] = (name for name in names if name.endswith(".dist-info/METADATA"))
        return names, said, message_from_string(archive.read(about).decode())


@pytest.mark.long
@pytest.mark.xdist_group("wheel")
def test_the_wheel_holds_what_git_tracks_and_nothing_else(built: tuple[list[str], str, Message]) -> None:
    names, _, _ = built
    assert len(installed_as(tracked())) > 200
    assert differences(names, tracked()) == []


@pytest.mark.long
@pytest.mark.xdist_group("wheel")
def test_the_only_name_is_layerlift(built: tuple[list[str], str, Message]) -> None:
    tops = {PurePosixPath(name).parts[0] for name in built[0]}
    assert {top for top in tops if not re.fullmatch(r"layerlift-[\d.]+\.dist-info", top)} == {"layerlift"}
    assert {"layerlift/__init__.py", "layerlift/__main__.py", "layerlift/py.typed"} <= set(built[0])


@pytest.mark.long
@pytest.mark.xdist_group("wheel")
def test_setuptools_has_nothing_to_complain_of(built: tuple[list[str], str, Message]) -> None:
    said = built[1]
    assert "running bdist_wheel" in said, "pip did not hand on what setuptools said"
    assert [line for line in said.splitlines() if any(complaint in line for complaint in COMPLAINTS)] == []


@pytest.mark.long
@pytest.mark.xdist_group("wheel")
def test_the_metadata_says_what_it_is_and_invents_nobody(built: tuple[list[str], str, Message]) -> None:
    about = built[2]
    assert about["Name"] == "layerlift"
    assert about["Requires-Python"] == ">=3.11"
    assert about["License-Expression"] == "Apache-2.0"
    assert "DNN partition" in about["Keywords"]
    classifiers = about.get_all("Classifier") or []
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)} <= set(classifiers)
    assert "Typing :: Typed" in classifiers
    assert about["Description-Content-Type"] == "text/markdown"
    for name in ("Home-page", "Project-URL", "Author", "Author-email", "Maintainer", "Maintainer-email"):
        assert name not in about


def test_what_is_installed_is_what_git_tracks() -> None:
    """An environment that `pip install .` has filled from a folder with a stale `build/` has more."""
    files = [file.as_posix() for file in metadata.files("layerlift") or () if file.parts[0] != ".."]
    if "layerlift/__init__.py" not in files:
        pytest.skip("an editable install has no files of its own")
    kept = [name for name in files if "__pycache__" not in name]
    assert differences(kept, tracked()) == []
