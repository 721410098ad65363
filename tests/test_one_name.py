"""One name, `layerlift`: what it gives, and that it gives it without loading what was not asked for."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version

import pytest

import layerlift

NAMES = [
    "LayerliftError",
    "RunResult",
    "Scenario",
    "__version__",
    "adapt",
    "compare",
    "fairness",
    "run",
    "sensitivity",
    "size",
    "stress",
    "sweep",
    "train",
    "validate",
]
HEAVY = ("ray", "onnx", "onnxruntime", "pyarrow", "numpy", "pydantic", "altair", "rich", "click", "gymnasium", "torch")


def python(code: str) -> str:
    """What a new Python prints; it must end well."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_users_call_is_there_and_dir_shows_it_alone() -> None:
    assert dir(layerlift) == sorted(layerlift.__all__) == NAMES
    for name in NAMES:
        assert getattr(layerlift, name) is not None
    assert layerlift.__version__ == version("layerlift")
    with pytest.raises(AttributeError, match="'layerlift' has no attribute 'simulate'"):
        layerlift.simulate  # type: ignore[attr-defined]  # noqa: B018


def test_names_are_those_of_the_rooms() -> None:
    import layerlift.emulator
    import layerlift.models.errors

    assert layerlift.run is layerlift.emulator.run
    assert layerlift.Scenario is layerlift.emulator.Scenario
    assert layerlift.RunResult is layerlift.emulator.RunResult
    assert layerlift.LayerliftError is layerlift.models.errors.LayerliftError


@pytest.mark.long
def test_dir_stays_as_it_is_when_rooms_are_loaded() -> None:
    code = "import layerlift, layerlift.planners; from layerlift import *; print(run.__name__, dir(layerlift))"
    assert python(code) == f"run {NAMES}"


def test_importing_it_loads_nothing_else() -> None:
    code = f"import sys, layerlift; print([name for name in {HEAVY} if name in sys.modules], dir(layerlift) != [])"
    assert python(code) == "[] True"


@pytest.mark.long
def test_what_users_call_loads_no_ray_before_it_is_wanted() -> None:
    code = "import sys; from layerlift import *; print([name for name in ('ray', 'altair') if name in sys.modules])"
    assert python(code) == "[]"


@pytest.mark.long
def test_the_command_line_is_a_module_too() -> None:
    said = subprocess.run([sys.executable, "-m", "layerlift", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"layerlift, version {version('layerlift')}\n"
    wrong = subprocess.run([sys.executable, "-m", "layerlift", "show", "nowhere"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("layerlift: nowhere does not exist")


def test_without_gymnasium_its_environments_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.delitem(sys.modules, "layerlift.gym", raising=False)
    with pytest.raises(ImportError, match=r"needs gymnasium.*: pip install 'layerlift\[learn\]'$"):
        importlib.import_module("layerlift.gym")


ASKED = {
    "run": ("quickstart",),
    "compare": ("quickstart",),
    "size": ("quickstart", "users.0.count=1..2", "p95_ms <= 1"),
    "sensitivity": ("quickstart",),
    "stress": ("local",),
    "validate": (),
    "train": ("dil",),
    "adapt": ("quickstart",),
}


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("out", [5, b"here", ["here"], True, ""])
def test_what_names_no_folder_is_told_before_anything_is_done(name: str, out: object) -> None:
    told = re.escape(repr(out)) if out else "empty"
    with pytest.raises(layerlift.LayerliftError, match=f"^out is {told}, expected a folder for the"):
        getattr(layerlift, name)(*ASKED[name], out=out)


@pytest.mark.parametrize("planners", [5, [5], b"ionn"])
def test_what_names_no_planners_is_told(planners: object) -> None:
    with pytest.raises(layerlift.LayerliftError, match=r"^planners is .*, expected a name, or several in a list"):
        layerlift.stress(planners)  # type: ignore[arg-type]


@pytest.mark.parametrize("actors", [None, [5], "some", 0])
def test_what_is_no_number_of_actors_is_told(actors: object) -> None:
    with pytest.raises(layerlift.LayerliftError, match=r"^actors is .*, expected auto or a whole number"):
        layerlift.run("quickstart", actors=actors)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "call",
    [
        lambda huge: layerlift.compare("quickstart", seeds=huge),
        lambda huge: layerlift.compare("quickstart", seeds=[huge]),
        lambda huge: layerlift.size(huge, "users.0.count=1..2", "p95_ms <= 1"),
        lambda huge: layerlift.size("quickstart", huge, "p95_ms <= 1"),
        lambda huge: layerlift.validate(huge),
        lambda huge: layerlift.validate(repeats=huge),
    ],
)
def test_a_number_too_long_to_be_written_is_told_in_words(call: Callable[[object], object]) -> None:
    with pytest.raises(layerlift.LayerliftError, match="a number of thousands of digits"):
        call(10**5000)
