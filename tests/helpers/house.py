"""The house: the rooms in their order, and what a tree of modules may not do.

A tree is a mapping {full name of a module: its source}, so that a fault can be planted without a file. Every rule
takes a tree and answers with one sentence per fault; an empty list is a house in order.
"""

from __future__ import annotations

import ast
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("models", "planners", "emulator")
FACE = ROOT / "emulator" / "face"
"""What is installed as `layerlift` itself; it lies in the emulator's folder and is no part of that package."""

Tree = Mapping[str, str]

FLOORS: tuple[tuple[str, ...], ...] = (
    ("layerlift.models.errors", "layerlift.models.sums", "layerlift.models.text", "layerlift.models.files"),
    ("layerlift.models.onnx_files", "layerlift.models.zoo"),
    ("layerlift.models.graph",),
    ("layerlift.models.running",),
    ("layerlift.models.loading",),
    ("layerlift.models.timing", "layerlift.models.preprocess"),
    ("layerlift.models.report",),
    ("layerlift.models",),
    ("layerlift.planners.problem",),
    ("layerlift.planners.cost", "layerlift.planners.registry"),
    ("layerlift.planners.graphs", "layerlift.planners.swarm", "layerlift.planners.testing"),
    (
        *("layerlift.planners.offloading", "layerlift.planners.uploading", "layerlift.planners.game"),
        "layerlift.planners.learned",
    ),
    ("layerlift.planners.exact",),
    ("layerlift.planners",),
    ("layerlift.emulator.kernel",),
    ("layerlift.emulator.results",),
    ("layerlift.emulator.protocol",),
    ("layerlift.emulator.world",),
    ("layerlift.emulator.policies",),
    ("layerlift.emulator.conditions",),
    ("layerlift.emulator.network",),
    ("layerlift.emulator.planning",),
    ("layerlift.emulator.scenario",),
    ("layerlift.emulator.nodes",),
    ("layerlift.emulator.runtime",),
    ("layerlift.emulator.execution",),
    ("layerlift.emulator.cluster",),
    ("layerlift.emulator.report",),
    ("layerlift.emulator.run",),
    ("layerlift.emulator.studies",),
    ("layerlift.emulator.cli",),
    ("layerlift.emulator",),
    ("layerlift",),
)
"""The rooms from the ground up: a room imports only rooms of lower floors, so never its neighbour on its own floor.

A package's own face (`__init__.py`) is the top of that package; `layerlift` is the face of all.
"""
_FACES = {"layerlift", *(f"layerlift.{package}" for package in PACKAGES)}
_LENT = {"layerlift.emulator.assembly": "layerlift.emulator.run"}
"""Modules that stand beside their room rather than in it."""
_FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

MOST_FILES = 20
MOST_LINES = 400

_RAY_ROOM = "layerlift.emulator.cluster"
QUIET_RUNTIME = "layerlift.models.onnx_files.runtime"
VIRTUAL_ROOMS = tuple(
    f"layerlift.emulator.{room}"
    for room in ("kernel", "protocol", "world", "conditions", "network", "policies", "nodes", "runtime")
)
"""What runs in virtual time ..."""
REAL_MODULES = frozenset(
    (
        *("layerlift.emulator.policies.testing", "layerlift.emulator.policies.cases"),
        *(f"layerlift.emulator.runtime.{name}" for name in ("interruption", "measured", "pacing", "placing")),
    )
)
"""... but for these: kits for people, and what ties virtual time to the machine that runs."""
REAL_WORLD = frozenset(
    (
        *("time", "timeit", "datetime", "sched", "signal", "select", "queue", "secrets", "uuid", "posix", "_random"),
        *("threading", "_thread", "asyncio", "concurrent", "multiprocessing", "subprocess", "socket"),
        *("onnx", "onnxruntime", "pyarrow", "scipy", "ray", "layerlift.models.onnx_files"),
        *(f"layerlift.emulator.runtime.{name}" for name in ("pacing", "interruption", "measured")),
        *("layerlift.models.running", "layerlift.models.loading", "layerlift.models.graph.from_onnx"),
    )
)
"""Clocks, true randomness, threads and real tensors: no place for them where the same seed gives the same tables."""
_SEEDED = ("random.Random", "numpy.random.Generator", "numpy.random.default_rng", "numpy.random.PCG64")


def tree_on_disk(root: Path = ROOT) -> dict[str, str]:
    """The modules of this checkout by the names under which they are installed."""
    paths = {"layerlift": root / FACE.relative_to(ROOT) / "__init__.py"}
    for package in PACKAGES:
        for path in (root / package).rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            if parts[:2] != ("emulator", "face"):
                paths[".".join(("layerlift", *parts)).removesuffix(".__init__")] = path
    return {name: path.read_text(encoding="utf-8") for name, path in sorted(paths.items())}


@cache
def nodes(source: str) -> tuple[ast.AST, ...]:
    """All that Python makes of a module, once for all rules; nobody changes it."""
    return tuple(ast.walk(ast.parse(source)))


@cache
def targets(source: str) -> tuple[str, ...]:
    """Whatever a module imports, anywhere in it, by whole dotted names; `from a import b` names `a.b`."""
    return tuple(_targets(nodes(source)))


def _targets(module: Iterable[ast.AST]) -> Iterator[str]:
    for node in module:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"line {node.lineno}: a relative import; write the whole name")
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.args[0].value


def imports(tree: Tree, name: str) -> set[str]:
    """The modules of the tree that one of them imports: the module meant, not the packages on the way to it."""
    found = {_module(tree, target) for target in targets(tree[name])}
    return {module for module in found if module is not None and module != name}


def _module(tree: Tree, target: str) -> str | None:
    while target:
        if target in tree:
            return target
        target = target.rpartition(".")[0]
    return None


def room_of(name: str) -> str | None:
    """The room that a module lies in; None where no room is known."""
    if name in _FACES:
        return name
    candidate = _LENT.get(name, name)
    while candidate not in _FACES:
        if candidate in _FLOOR_OF:
            return candidate
        candidate = candidate.rpartition(".")[0]
    return None


def circles(tree: Tree) -> list[str]:
    """Rule 1: no import circle, type-only imports and imports inside functions included."""
    graph = {name: sorted(imports(tree, name)) for name in tree}
    found: dict[frozenset[str], str] = {}
    for name in graph:
        way = _way_back(graph, name)
        if way:
            found.setdefault(frozenset(way), "a circle: " + " -> ".join((*way, way[0])))
    return sorted(found.values())


def _way_back(graph: Mapping[str, Iterable[str]], start: str) -> list[str]:
    """The shortest way from a module through its imports back to itself, without its second mention; or nothing."""
    came_from: dict[str, str] = {}
    queue = deque([start])
    while queue:
        module = queue.popleft()
        for imported in graph[module]:
            if imported == start:
                way = [module]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if imported not in came_from:
                came_from[imported] = module
                queue.append(imported)
    return []


def climbs(tree: Tree) -> list[str]:
    """Rule 2: a room imports only what lies below it; every module lies in a room, and no room is empty."""
    rooms = {name: room_of(name) for name in tree}
    found = [f"{name} lies in no room that is known" for name, room in rooms.items() if room is None]
    found += [f"nothing lies in {room}" for room in sorted(_FLOOR_OF.keys() - set(rooms.values()))]
    for name, room in rooms.items():
        for imported in sorted(imports(tree, name)):
            other = rooms[imported]
            if room and other and room != other and _FLOOR_OF[room] <= _FLOOR_OF[other]:
                found.append(f"{name} imports {imported}: {other} does not lie below {room}")
    return found


def crowding(tree: Tree) -> list[str]:
    """Rule 3, first half: no folder with too many files, no module with too many lines."""
    folders = Counter(name if _is_package(tree, name) else name.rpartition(".")[0] for name in tree)
    found = [f"{folder} holds {count} files" for folder, count in folders.items() if count > MOST_FILES]
    lines = {name: len(source.splitlines()) for name, source in tree.items()}
    return found + [f"{name} has {count} lines" for name, count in lines.items() if count > MOST_LINES]


def _is_package(tree: Tree, name: str) -> bool:
    return any(other.startswith(f"{name}.") for other in tree)


def mirroring(tree: Tree, tests: Iterable[str]) -> list[str]:
    """Rule 3, second half: the tests of a room lie in a folder of its name. `tests` are paths below tests/."""
    found = []
    for test in tests:
        *folders, file = test.split("/")
        if not folders or folders[0] not in PACKAGES:
            continue  # laws and the like: what concerns more than a room
        place = ".".join(("layerlift", *folders))
        beside = [name.rpartition(".")[2] for name in tree if name.rpartition(".")[0] == place]
        if not _is_package(tree, place):
            found.append(f"tests/{test} mirrors no room: there is no {place}")
        elif place in _FACES and not any(file.startswith(f"test_{module}") for module in beside):
            found.append(f"tests/{test} lies in no room and is named after no module of {place}")
    return found


def ray_users(tree: Tree) -> list[str]:
    """Rule 4: only one room imports ray."""
    return [
        f"{name} imports {target}: only {_RAY_ROOM} may"
        for name, source in tree.items()
        for target in targets(source)
        if target.split(".")[0] == "ray" and room_of(name) != _RAY_ROOM
    ]


def loud_imports(tree: Tree) -> list[str]:
    """onnxruntime comes from the one module that keeps it quiet."""
    return [
        f"{name} imports {target}: take `ort` from {QUIET_RUNTIME}"
        for name, source in tree.items()
        for target in targets(source)
        if target.split(".")[0] == "onnxruntime" and name != QUIET_RUNTIME
    ]


def wall_clocks(tree: Tree) -> list[str]:
    """Rule 5: what runs in virtual time sees no other clock, no threads, no tensors and no chance but its seed's."""
    found = []
    for name, source in tree.items():
        if room_of(name) in VIRTUAL_ROOMS and name not in REAL_MODULES:
            unwanted = {target for target in targets(source) if REAL_WORLD & set(_prefixes(target))}
            found += [f"{name} runs in virtual time and imports {target}" for target in sorted(unwanted)]
            found += [f"{name} runs in virtual time and draws from {text}" for text in chances(source)]
    return found


def _prefixes(target: str) -> Iterator[str]:
    parts = target.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def chances(source: str) -> list[str]:
    """What a module draws from that no seed of the run decides: the global generators, and generators without seed."""
    module = nodes(source)
    full = _meanings(module)
    found = []
    for node in module:
        text = _dotted(node, full)
        if text and text.startswith(("random.", "numpy.random.", "os.urandom", "os.getrandom")):
            if text not in _SEEDED:
                found.append(text)
        elif isinstance(node, ast.Call) and not node.args and not node.keywords:
            called = _dotted(node.func, full)
            if called in _SEEDED:
                found.append(f"{called}() without a seed")
    return sorted(set(found))


def _meanings(module: Iterable[ast.AST]) -> dict[str, str]:
    """Whole names by the names that a module's imports give them."""
    found: dict[str, str] = {}
    for node in module:
        if isinstance(node, ast.Import):
            found |= {name.asname or name.name.split(".")[0]: _bound(name) for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
    return found


def _bound(name: ast.alias) -> str:
    return name.name if name.asname else name.name.split(".")[0]


def _dotted(node: ast.AST, full: Mapping[str, str]) -> str:
    if isinstance(node, ast.Name):
        return full.get(node.id, "")
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value, full)
        return f"{base}.{node.attr}" if base else ""
    return ""


def package_folders(root: Path = ROOT) -> dict[str, str]:
    """Every folder of the three packages that holds files, as `package: folder`; the face is `layerlift`."""
    found = {}
    for package in PACKAGES:
        for path in (root / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                folder = path.parent.relative_to(root).as_posix()
                found[_installed(folder)] = folder
    return found


def _installed(folder: str) -> str:
    return "layerlift" if folder == "emulator/face" else "layerlift." + folder.replace("/", ".")


def packaging(settings: Mapping[str, object], folders: Mapping[str, str]) -> list[str]:
    """Rule 6: a wheel's only top-level name is `layerlift`, and it has every folder. `settings` are setuptools'."""
    listed, places = settings.get("packages", []), settings.get("package-dir", {})
    assert isinstance(listed, list)
    assert isinstance(places, dict)
    names = sorted({*listed, *places})
    found = [f"the wheel would have a top-level name {name}" for name in names if name.split(".")[0] != "layerlift"]
    if "py-modules" in settings:
        found.append("the wheel would have top-level modules")
    found += [f"{folders[name]} is not in the wheel: list {name}" for name in sorted(folders.keys() - set(listed))]
    found += [f"{name} is listed and is no folder" for name in sorted(set(listed) - folders.keys())]
    return found
