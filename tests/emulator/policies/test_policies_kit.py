"""Policies by name, the conformance kit, the command, and the example of the documentation."""

from __future__ import annotations

import importlib.metadata
import json
import random
import re
import sys
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiers import long_but

from layerlift.emulator import policies
from layerlift.emulator.cli.main import main
from layerlift.emulator.policies import registry, testing
from layerlift.emulator.policies.allocation import Capacity, Grant, PolicyBase, PolicyError
from layerlift.emulator.policies.cases import battery
from layerlift.emulator.policies.testing import conform
from layerlift.planners import registry as planner_registry

VARIANTS = [
    "greedy:cores=0.3",
    "alpha_fair:alpha=0.3",
    "alpha_fair:alpha=1",
    "alpha_fair:alpha=40",
    "drf:spare=false",
    "dynamic_drf:disruptions=1",
    "dynamic_drf:disruptions=2,expected=20",
]
DOCS = (Path(__file__).parents[3] / "docs" / "policies.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", long_but([*registry.BUILTIN, *VARIANTS], ("first_come", "drf", "alpha_fair")))
def test_ours_meet_every_demand(name: str) -> None:
    assert conform(name) > 500


class Fair(PolicyBase):
    """An honest equal split, of which the cheats are made."""

    weighs_links = False
    starves = False

    def divide(self, capacity, claims, before):
        n = len(claims)
        return [Grant(capacity.memory_bytes / n, capacity.cores / n, 1 / n, reason="none") for _ in claims]


class TooFew(Fair):
    def divide(self, capacity, claims, before):
        return super().divide(capacity, claims, before)

    def grants(self, capacity, claims, before):
        return super().grants(capacity, claims, before)[:1]


class TooMuch(Fair):
    def divide(self, capacity, claims, before):
        return [
            replace(grant, memory_bytes=capacity.memory_bytes) for grant in super().divide(capacity, claims, before)
        ]


class Negative(Fair):
    def divide(self, capacity, claims, before):
        return [replace(grant, memory_bytes=-1.0) for grant in super().divide(capacity, claims, before)]


class NotNumbers(Fair):
    def divide(self, capacity, claims, before):
        return [replace(grant, cpu=nan) for grant in super().divide(capacity, claims, before)]


class Endless(Fair):
    def divide(self, capacity, claims, before):
        return [replace(grant, memory_bytes=inf) for grant in super().divide(capacity, claims, before)]


class Silent(Fair):
    def divide(self, capacity, claims, before):
        made = super().divide(capacity, claims, before)
        return [*made[:1], *(replace(grant, cpu=0.0, reason="") for grant in made[1:])]


class Miser(Fair):
    starves = True

    def divide(self, capacity, claims, before):
        return [Grant(0.0, 0.0, 1 / len(claims), 0.0, "not today") for _ in claims]


class Hypocrite(Fair):
    def divide(self, capacity, claims, before):
        made = super().divide(capacity, claims, before)
        return [*made[:1], *(replace(grant, memory_bytes=0.0) for grant in made[1:])]


class FirstListed(Fair):
    def grants(self, capacity, claims, before):
        return [
            Grant(capacity.memory_bytes / 2 ** (n + 1), capacity.cores / 2 ** (n + 1), 1 / len(claims), reason="late")
            for n in range(len(claims))
        ]


class Dice(Fair):
    def divide(self, capacity, claims, before):
        part = random.random()
        return [replace(grant, cpu=grant.cpu * part) for grant in super().divide(capacity, claims, before)]


class Stateful(Fair):
    def __init__(self):
        self.calls = 0

    def divide(self, capacity, claims, before):
        self.calls += 1
        return [replace(grant, cpu=grant.cpu / self.calls) for grant in super().divide(capacity, claims, before)]


class Writer(Fair):
    def grants(self, capacity, claims, before):
        made = super().grants(capacity, claims, before)
        before.update({claim.user: grant for claim, grant in zip(claims, made, strict=True)})
        return made


class Unequal(Fair):
    weighs_links = True
    weighs_cpu = False

    def divide(self, capacity, claims, before):
        made = super().divide(capacity, claims, before)
        return [replace(grant, cpu=grant.cpu / (1 + claim.order)) for claim, grant in zip(claims, made, strict=True)]


class BreaksItsWord(Fair):
    revokes = False


class Disturbing(Fair):
    disruptions = 1


class Crasher(Fair):
    def divide(self, capacity, claims, before):
        raise ZeroDivisionError("oops")


class Lister(Fair):
    def grants(self, capacity, claims, before):
        return [1.0 for _ in claims]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (TooFew, "1 grants for 2 claims"),
        (TooMuch, "come to"),
        (Negative, "not negative"),
        (NotNumbers, "not negative|finite"),
        (Endless, "an infinite quota of a finite memory"),
        (Silent, "no reason is given"),
        (Miser, "nobody has any"),
        (Hypocrite, "starves=False"),
        (FirstListed, "where its claim is listed"),
        (Dice, "two equal calls differ"),
        (Stateful, "two equal calls differ"),
        (Writer, "wrote to what it was given"),
        (Unequal, "weighs_cpu is False"),
        (BreaksItsWord, "revokes is False"),
        (Disturbing, "disruptions=1, but when"),
        (Crasher, "it raised ZeroDivisionError: oops"),
        (Lister, "something else than a list of Grant"),
    ],
)
def test_cheats_are_found_out(policy, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        conform(policy())


def test_the_honest_twin_of_the_cheats_passes() -> None:
    conform(Fair())


def test_the_battery_is_the_same_every_time() -> None:
    assert battery() == battery()
    assert len(battery()) > 50


# By name


class Tunable(Fair):
    def __init__(self, depth: int = 1) -> None:
        self.depth = depth


class NotAPolicy:
    pass


@pytest.fixture
def plugins(monkeypatch):
    """Stand-ins for what installed packages offer."""
    points: list[importlib.metadata.EntryPoint] = []
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [p for p in points if p.group == group])
    for each in (registry, planner_registry.planners):
        each._plugins.cache_clear()
    yield lambda name, value: points.append(importlib.metadata.EntryPoint(name, value, registry.GROUP))
    for each in (registry, planner_registry.planners):
        each._plugins.cache_clear()


@pytest.mark.parametrize("name", policies.available())
def test_every_name_makes_a_policy_that_names_its_source(name: str) -> None:
    assert isinstance(policies.make(name), policies.Policy)
    assert policies.spec(name).cite()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_mn", "there is no policy 'max_mn'; did you mean max_min"),
        ("alpha_fair:alfa=3", "policy alpha_fair has no option 'alfa'; did you mean alpha?"),
        ("alpha_fair:alpha=x", "option alpha=x was given, expected a number"),
        ("alpha_fair:alpha=0", "alpha=0.0 was given, expected more than 0"),
        ("alpha_fair:alpha=nan", "expected more than 0"),
        ("alpha_fair:alpha", "expected name=value \\(as in alpha=2\\)"),
        ("greedy:cores=0", "cores=0.0 was given, expected more than 0"),
        ("dynamic_drf:disruptions=-1", "disruptions=-1 was given, expected 0 or more"),
        ("max_min:alpha=2", "it takes no options"),
        ("no_such_package.module:Class", "policy 'no_such_package.module:Class'.*cannot be imported"),
        (f"{__name__}:NotAPolicy", "has no method grants"),
        ("", "there is no policy ''"),
    ],
)
def test_a_wrong_text_is_answered_with_what_to_try(text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        policies.make(text)


def test_a_policy_of_ones_own_is_registered_or_named_by_class() -> None:
    assert policies.make(f"{__name__}:Tunable:depth=3").depth == 3
    policies.register("mine", Tunable)
    assert policies.make("mine", {"depth": 4}).depth == 4
    assert "mine" not in planner_registry.available()
    policies.unregister("mine")
    with pytest.raises(PolicyError, match="policy 'drf' exists already"):
        policies.register("drf", Tunable)
    with pytest.raises(PolicyError, match="was not registered"):
        policies.unregister("drf")


def test_an_installed_package_offers_policies_by_entry_point(plugins, monkeypatch) -> None:
    plugins("visitor", f"{__name__}:Tunable")
    assert policies.make("visitor:depth=9").depth == 9
    assert "visitor" not in planner_registry.available()
    monkeypatch.setenv(registry.NO_PLUGINS, "1")
    registry._plugins.cache_clear()
    assert "visitor" not in policies.available()


def test_options_change_what_is_promised() -> None:
    assert (policies.make("dynamic_drf").revokes, policies.make("dynamic_drf").disruptions) == (False, 0)
    cutting = policies.make("dynamic_drf:disruptions=2")
    assert (cutting.revokes, cutting.disruptions) == (True, 2)


# At the command line


def run(*arguments: str):
    return CliRunner().invoke(main, ["policies", *arguments], env={"COLUMNS": "200"})


def test_the_command_lists_and_explains() -> None:
    shown = run()
    assert shown.exit_code == 0
    for name in policies.available():
        assert name in shown.output
    assert "NSDI 2011" in run("drf").output
    one = run("dynamic_drf")
    for text in ("not taken back", "JAIR 51", "expected", "an integer"):
        assert text in re.sub(r"\s+", " ", one.output)


def test_json_is_for_programs() -> None:
    assert [row["name"] for row in json.loads(run("--json").output)] == policies.available()
    facts = json.loads(run("greedy", "--json").output)
    assert (facts["revokes"], facts["disruptions"], facts["starves"]) == (False, 0, True)
    assert {"name": "cores", "type": "a number", "default": "1.0"} in facts["options"]


@pytest.mark.long
def test_the_kit_can_be_run_on_any_policy() -> None:
    assert "meets all" in run("equal", "--check").output
    failed = run(f"{__name__}:Disturbing", "--check")
    assert failed.exit_code == 2
    assert "disruptions=1" in failed.output
    assert run("--check").exit_code == run("dfr").exit_code == 2


def test_the_kit_tells_and_exits(capsys) -> None:
    assert testing.main(["equal"]) == 0
    assert "equal: " in capsys.readouterr().out
    assert testing.main([f"{__name__}:Negative"]) == 1
    assert "not negative" in capsys.readouterr().out
    assert testing.main(["nobody"]) == testing.main([]) == 2


# In the documentation


def test_the_policy_of_the_documentation_is_one_of_20_lines_and_conforms(tmp_path, monkeypatch) -> None:
    [text] = re.findall(r"^```python\n(# my_policy.py\n.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)
    assert sum(1 for line in text.splitlines() if line.strip() and not line.startswith("#")) <= 20
    (tmp_path / "my_policy.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_policy", raising=False)
    assert conform("my_policy:Smallest") > 500


def test_the_documentation_names_every_policy_and_option() -> None:
    for found in policies.specs():
        if found.source == "layerlift":
            assert f"| `{found.name}` |" in DOCS
            assert all(f"`{option}" in DOCS for option in found.options)


def test_a_sound_answer_is_handed_through() -> None:
    capacity = Capacity(10.0, 1, 1.0)
    claims = list(battery()["one on a small server"].claims)
    made = [Grant(10.0, 1.0, 1.0)]
    assert testing.sound(capacity, claims, made) is made
