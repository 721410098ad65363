"""The house: six rules, one test each; and each rule seen to fail where a fault is planted."""

from __future__ import annotations

import tomllib

import house
import pytest
from house import ROOT, Tree

E = "layerlift.emulator"


@pytest.fixture(scope="module")
def tree() -> Tree:
    return house.tree_on_disk()


@pytest.fixture(scope="module")
def tests() -> list[str]:
    folder = ROOT / "tests"
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("test_*.py"))


@pytest.fixture(scope="module")
def settings() -> dict[str, object]:
    found: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    return found


def test_rule_1_no_import_circle(tree: Tree) -> None:
    assert house.circles(tree) == []


def test_rule_2_a_room_imports_only_what_lies_below(tree: Tree) -> None:
    assert house.climbs(tree) == []


def test_rule_3_rooms_are_small_and_tests_mirror_them(tree: Tree, tests: list[str]) -> None:
    assert house.crowding(tree) == []
    assert house.mirroring(tree, tests) == []


def test_rule_4_only_one_room_imports_ray(tree: Tree) -> None:
    assert house.ray_users(tree) == []


def test_onnxruntime_is_quiet_wherever_it_is_used(tree: Tree) -> None:
    assert house.loud_imports(tree) == []
    planted = with_line(tree, "layerlift.models.running.session", "import onnxruntime")
    assert house.loud_imports(planted) != []


def test_rule_5_virtual_time_sees_no_other_clock_and_no_other_chance(tree: Tree) -> None:
    assert house.wall_clocks(tree) == []


def test_rule_6_the_only_top_level_name_is_layerlift(settings: dict[str, object]) -> None:
    assert house.packaging(settings, house.package_folders()) == []


# Each rule fails where a fault is planted in the real tree: a rule that sees too little would say nothing.


def with_line(tree: Tree, module: str, line: str) -> Tree:
    """The tree with one more line at the end of a module; a module that is not there begins with it."""
    return {**tree, module: f"{tree.get(module, '')}\n{line}\n"}


@pytest.mark.parametrize(
    "line",
    [
        f"from {E}.kernel import flows",
        f"from {E}.kernel.flows import settle",
        f"import {E}.kernel.flows",
        f"if TYPE_CHECKING:\n    from {E}.kernel.flows import Flow",
        f"def late():\n    from {E}.kernel.flows import Flow",
        f"flows = importlib.import_module('{E}.kernel.flows')",
    ],
)
def test_rule_1_fails_on_a_circle_however_it_is_closed(tree: Tree, line: str) -> None:
    planted = with_line(with_line(tree, f"{E}.kernel.clock", line), f"{E}.kernel.flows", f"import {E}.kernel.clock")
    circle = f"a circle: {E}.kernel.clock -> {E}.kernel.flows -> {E}.kernel.clock"
    assert circle in house.circles(planted)
    assert circle not in house.circles(tree)


def test_rule_1_fails_on_a_circle_of_many_modules() -> None:
    chain = {"a": "", "a.one": "import a.two", "a.two": "from a import three", "a.three": "x = 1"}
    assert house.circles(chain) == []
    closed = {**chain, "a.three": "def f():\n    from a.one import g"}
    assert house.circles(closed) == ["a circle: a.one -> a.two -> a.three -> a.one"]


@pytest.mark.parametrize(
    ("module", "line", "message"),
    [
        (
            f"{E}.kernel.clock",
            f"from {E}.nodes.machine import Machine",
            f"{E}.kernel.clock imports {E}.nodes.machine: {E}.nodes does not lie below {E}.kernel",
        ),
        (
            "layerlift.planners.swarm.bees",
            "from layerlift.planners.graphs.chain import Chain",
            "layerlift.planners.swarm.bees imports layerlift.planners.graphs.chain: "
            "layerlift.planners.graphs does not lie below layerlift.planners.swarm",
        ),
        (
            "layerlift.models.graph.graph",
            "from layerlift.models import LayerliftError",
            "layerlift.models.graph.graph imports layerlift.models: "
            "layerlift.models does not lie below layerlift.models.graph",
        ),
        (
            f"{E}.report.report",
            f"def f():\n    from {E}.assembly import Options",
            f"{E}.report.report imports {E}.assembly: {E}.run does not lie below {E}.report",
        ),
        (
            f"{E}.cli.main",
            "from layerlift import Scenario",
            f"{E}.cli.main imports layerlift: layerlift does not lie below {E}.cli",
        ),
        (f"{E}.attic.trunk", "x = 1", f"{E}.attic.trunk lies in no room that is known"),
        (f"{E}.loose", "x = 1", f"{E}.loose lies in no room that is known"),
    ],
)
def test_rule_2_fails_on_a_module_in_the_wrong_room(tree: Tree, module: str, line: str, message: str) -> None:
    assert message in house.climbs(with_line(tree, module, line))
    assert message not in house.climbs(tree)


def test_rule_2_fails_on_a_room_that_is_gone(tree: Tree) -> None:
    gone = {name: source for name, source in tree.items() if not name.startswith(f"{E}.planning")}
    assert f"nothing lies in {E}.planning" in house.climbs(gone)


def test_rule_2_lets_rooms_look_down(tree: Tree) -> None:
    line = f"from {E}.kernel.clock import Kernel\nfrom layerlift.planners import PlannerBase\nimport json"
    assert house.climbs(with_line(tree, f"{E}.report.formatting", line)) == house.climbs(tree)


@pytest.mark.long
def test_rule_3_fails_on_a_crowded_folder_and_on_a_long_module(tree: Tree) -> None:
    crowd = {f"{E}.network.wire{number}": "" for number in range(20)}
    assert any(fault.startswith(f"{E}.network holds ") for fault in house.crowding({**tree, **crowd}))
    long = {f"{E}.network.fabric": "x = 1\n" * 401}
    assert house.crowding({**tree, **long}) == [f"{E}.network.fabric has 401 lines"]


def test_rule_3_fails_on_tests_that_mirror_no_room(tree: Tree, tests: list[str]) -> None:
    strays = ["emulator/attic/test_trunk.py", "emulator/kernel/deep/test_clock.py", "planners/test_anything.py"]
    assert house.mirroring(tree, [*tests, *strays]) == [
        f"tests/emulator/attic/test_trunk.py mirrors no room: there is no {E}.attic",
        f"tests/emulator/kernel/deep/test_clock.py mirrors no room: there is no {E}.kernel.deep",
        "tests/planners/test_anything.py lies in no room and is named after no module of layerlift.planners",
    ]


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("import ray", "ray"),
        ("import ray.util", "ray.util"),
        ("def f():\n    from ray.exceptions import RayError", "ray.exceptions.RayError"),
        ("util = importlib.import_module('ray.util')", "ray.util"),
        ("ray = __import__('ray')", "ray"),
    ],
)
@pytest.mark.parametrize("module", [f"{E}.runtime.host", "layerlift.models.running.session", f"{E}.cli.main"])
def test_rule_4_fails_on_ray_elsewhere(tree: Tree, module: str, line: str, target: str) -> None:
    assert house.ray_users(with_line(tree, module, line)) == [f"{module} imports {target}: only {E}.cluster may"]


def test_rule_4_sees_the_ray_that_is_there(tree: Tree) -> None:
    moved = {**tree, f"{E}.runtime.hosts": tree[f"{E}.cluster.hosts"]}
    assert f"{E}.runtime.hosts imports ray: only {E}.cluster may" in house.ray_users(moved)


@pytest.mark.long
@pytest.mark.parametrize(
    ("module", "line", "fault"),
    [
        ("kernel.clock", "import time", "imports time"),
        ("nodes.client.uploader", "def f():\n    from time import monotonic", "imports time.monotonic"),
        ("runtime.conductor", "import threading", "imports threading"),
        ("network.fabric", "import asyncio.events", "imports asyncio.events"),
        ("world.laws", "from secrets import token_hex", "imports secrets.token_hex"),
        ("nodes.server.server", "import onnxruntime as ort", "imports onnxruntime"),
        ("runtime.row_books", "import pyarrow.parquet", "imports pyarrow.parquet"),
        (
            "protocol.messages",
            "from layerlift.models.running.network import Network",
            "imports layerlift.models.running.network.Network",
        ),
        ("nodes.client.battery", "import random\nx = random.random()", "draws from random.random"),
        ("policies.drf", "from random import shuffle\nshuffle([])", "draws from random.shuffle"),
        ("policies.drf", "import random as r\nx = r.SystemRandom()", "draws from random.SystemRandom"),
        ("conditions.links", "import numpy as np\nx = np.random.rand(3)", "draws from numpy.random.rand"),
        ("conditions.links", "import os\nx = os.urandom(3)", "draws from os.urandom"),
        ("world.laws", "import random\nx = random.Random()", "draws from random.Random() without a seed"),
    ],
)
def test_rule_5_fails_on_other_clocks_threads_tensors_and_chance(
    tree: Tree, module: str, line: str, fault: str
) -> None:
    planted = with_line(tree, f"{E}.{module}", line)
    assert f"{E}.{module} runs in virtual time and {fault}" in house.wall_clocks(planted)


@pytest.mark.long
def test_rule_5_lets_seeded_generators_and_what_ties_time_to_the_machine_be(tree: Tree) -> None:
    seeded = with_line(tree, f"{E}.world.laws", "import random\nx = random.Random('1/a').random()")
    assert house.wall_clocks(seeded) == house.wall_clocks(tree)
    assert "time" in house.targets(tree[f"{E}.runtime.pacing"])
    assert tree.keys() >= house.REAL_MODULES


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"packages": ["models"]}, "the wheel would have a top-level name models"),
        ({"package-dir": {"planners": "planners"}}, "the wheel would have a top-level name planners"),
        ({"py-modules": ["conftest"]}, "the wheel would have top-level modules"),
        ({"packages": ["layerlift.attic"]}, "layerlift.attic is listed and is no folder"),
        ({"packages": []}, "emulator/kernel is not in the wheel: list layerlift.emulator.kernel"),
    ],
)
def test_rule_6_fails_on_another_name_and_on_a_forgotten_folder(
    settings: dict[str, object], change: dict[str, object], fault: str
) -> None:
    faults = house.packaging({**settings, **change}, house.package_folders())
    assert fault in faults
    assert fault not in house.packaging(settings, house.package_folders())


def test_relative_imports_are_refused() -> None:
    with pytest.raises(ValueError, match="a relative import; write the whole name"):
        house.circles({"a": "from . import b", "b": ""})
