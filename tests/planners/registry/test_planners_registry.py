"""Planners by name: what is found, how options are typed, and what wrong texts are answered with."""

from __future__ import annotations

import importlib.metadata
import random
import sys
from typing import Literal

import pytest

from layerlift import planners
from layerlift.models.errors import PlanError
from layerlift.planners.registry import planners as registry
from layerlift.planners.registry.options import options_of, typed
from layerlift.planners.testing.problems import battery

PROBLEM = battery()["chain"]


class Tunable(planners.PlannerBase):
    def __init__(
        self,
        count: int = 3,
        rate: float = 0.5,
        loud: bool = False,
        mode: Literal["slow", "fast"] = "slow",
        seed: int | None = None,
        steps: tuple[float, ...] = (1.0, 0.5),
    ) -> None:
        self.given = (count, rate, loud, mode, seed, steps)

    def plan(self, problem, rng):
        return planners.all_local(problem)


class NeedsSpecial(Tunable):
    REQUIRED_MODULES = ("no_such_module_anywhere",)
    extra = "layerlift[special]"


class NotAPlanner:
    pass


class Unlicensed(planners.PlannerBase):
    def __init__(self) -> None:
        raise ValueError("no licence")

    def plan(self, problem, rng): ...


@pytest.fixture
def tunable():
    registry.register("tunable", Tunable)
    yield
    registry.unregister("tunable")


@pytest.fixture
def plugins(monkeypatch):
    """Stand-ins for what installed packages offer."""
    points: list[importlib.metadata.EntryPoint] = []
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [p for p in points if p.group == group])
    registry._plugins.cache_clear()
    yield lambda name, value: points.append(importlib.metadata.EntryPoint(name, value, registry.GROUP))
    registry._plugins.cache_clear()


@pytest.mark.parametrize("name", planners.available())
def test_every_name_makes_a_planner(name: str) -> None:
    if not registry.spec(name).attribute("REQUIRED_MODULES"):
        assert isinstance(planners.make(name), planners.Planner)
    assert registry.spec(name).attribute("optimises") in (
        "latency", "energy", "money", "period", "objective", "nothing",
    )  # fmt: skip


def test_a_pair_places_with_the_first_and_orders_with_the_second() -> None:
    placed = planners.make("shortest_path").plan(PROBLEM, random.Random(0))
    both = planners.make("shortest_path+recursive").plan(PROBLEM, random.Random(0))
    assert both.placement == placed.placement
    assert placed.whole
    assert not both.whole
    assert len(both.uploads) > len(placed.uploads)
    direct = planners.make("shortest_path+direct").plan(PROBLEM, random.Random(0))
    assert (direct.uploads, direct.whole) == (placed.uploads, True)


@pytest.mark.usefixtures("tunable")
def test_options_are_typed_by_the_signature() -> None:
    made = planners.make("tunable:count=7,rate=1e-3,loud=yes,mode=fast,seed=5,steps=1/0.25/0")
    assert made.given == (7, 0.001, True, "fast", 5, (1.0, 0.25, 0.0))
    assert planners.make("tunable").given == (3, 0.5, False, "slow", None, (1.0, 0.5))
    assert planners.make("tunable:seed=none", {"count": 4, "loud": True}).given[:3] == (4, 0.5, True)
    assert planners.make("tunable:rate=1e+3+direct").offloading.given[1] == 1000.0


@pytest.mark.usefixtures("tunable")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recursve", "there is no planner 'recursve'; did you mean recursive?"),
        ("tunable:cont=3", "has no option 'cont'; did you mean count?"),
        ("tunable:count=3.5", "option count=3.5 was given, expected an integer"),
        ("tunable:rate=fast", "option rate=fast was given, expected a number"),
        ("tunable:loud=maybe", "expected true or false"),
        ("tunable:mode=medium", "expected slow or fast"),
        ("tunable:seed=x", "expected an integer or none"),
        ("tunable:steps=1/x", "expected a list of a number separated by '/'"),
        ("tunable:count", "expected name=value"),
        ("tunable:count=1,count=2", "given twice"),
        ("tunable:count=1,rate", "expected name=value"),
        ("local:x=1", "it takes no options"),
        ("ionn+local", "cannot order uploads, expected one of: direct, efficiency"),
        ("ionn+", "expected NAME or OFFLOADING\\+UPLOADING"),
        ("ionn+ionn+ionn", "expected NAME or OFFLOADING\\+UPLOADING"),
        ("", "expected NAME"),
        ("no_such_file:Class", r"no module 'no_such_file' in this folder or installed: go to .* no_such_file\.py, or"),
        ("no_such_package.module:Class", "there is no module 'no_such_package' in this folder"),
        (
            "mine.py:Mine",
            r"'mine.py' is a file's name, expected a module's: write mine:CLASS, in the folder of mine.py",
        ),
        ("/there/mine.py:Mine", "write mine:CLASS, in the folder of mine.py"),
        ("layerlift.planners.uploading.ionn:zzz", "has no zzz; known: [A-Za-z]"),
        (f"{__name__}:Unlicensed", "cannot be made: its constructor raised ValueError: no licence"),
        ("layerlift.planners.uploading.ionn:Ion", "layerlift.planners.uploading.ionn has no Ion; did you mean Ionn"),
        ("layerlift.planners.uploading.ionn:BISECTIONS", "expected a class"),
        (f"{__name__}:NotAPlanner", "has no method plan"),
        (f"{__name__}:NeedsSpecial", "needs the module no_such_module_anywhere.*pip install 'layerlift\\[special\\]'"),
    ],
)
def test_a_wrong_text_is_answered_with_what_to_try(text: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        planners.make(text)


def test_a_class_of_ones_own_needs_no_registration(tmp_path, monkeypatch) -> None:
    (tmp_path / "my_own_planner.py").write_text(
        "from layerlift.planners import all_local\n"
        "class Mine:\n"
        "    def __init__(self, depth: int = 1): self.depth = depth\n"
        "    def plan(self, problem, rng): return all_local(problem, note=str(self.depth))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    made = planners.make("my_own_planner:Mine:depth=3")
    assert made.plan(PROBLEM, random.Random(0)).note == "3"


def test_what_a_class_of_ones_own_needs_is_named(tmp_path, monkeypatch) -> None:
    (tmp_path / "needing.py").write_text("import no_such_module_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PlanError, match="no module 'no_such_module_at_all', which needing needs: install it"):
        planners.make("needing:Mine")


def test_names_are_taken_once() -> None:
    with pytest.raises(PlanError, match="'ionn' exists already \\(from layerlift\\)"):
        planners.register("ionn", Tunable)
    with pytest.raises(PlanError, match="expected letters"):
        planners.register("a+b", Tunable)


def test_an_installed_package_offers_planners_by_entry_point(plugins) -> None:
    plugins("visitor", f"{__name__}:Tunable")
    assert "visitor" in planners.available()
    assert planners.make("visitor:count=9").given[0] == 9


def test_a_broken_plugin_warns_and_the_others_stay(plugins) -> None:
    plugins("broken", "no_such_package_at_all:Planner")
    with pytest.warns(UserWarning, match="'broken'.*cannot be imported"):
        names = [found.name for found in registry.specs()]
    assert "broken" not in names
    assert "recursive" in names
    assert isinstance(planners.make("recursive"), planners.Planner)
    with pytest.raises(PlanError, match=r"'broken' \(from .*cannot be imported: .* the package should have brought"):
        planners.make("broken")


def test_two_packages_with_one_name_are_an_error(plugins) -> None:
    plugins("ionn", f"{__name__}:Tunable")
    with pytest.raises(PlanError, match="'ionn' is offered twice"):
        planners.make("ionn")
    assert isinstance(planners.make("recursive"), planners.Planner)


def test_plugins_can_be_switched_off(plugins, monkeypatch) -> None:
    plugins("ionn", f"{__name__}:Tunable")
    monkeypatch.setenv(registry.plugins.NO_PLUGINS, "1")
    registry._plugins.cache_clear()
    assert isinstance(planners.make("ionn"), planners.Planner)


@pytest.mark.long
def test_importing_planners_loads_none_of_them() -> None:
    import subprocess

    code = (
        "import sys; from layerlift import planners; planners.available(); "
        "print([m for m in sys.modules if m.endswith(('.ionn', '.min_cut'))])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_functions_with_required_options_can_make_planners() -> None:
    def maker(depth: int, **rest: object) -> Tunable:
        return Tunable(count=depth)

    assert list(options_of(maker)) == ["depth"]
    with pytest.raises(PlanError, match="needs the option 'depth'"):
        typed("maker", maker, {})
