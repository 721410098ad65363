"""The digests that must stay what they are: bundled scenarios, Figure 5, and sixty wild worlds kept as plain JSON.

`python tests/golden.py` runs them all and prints what differs from `tests/golden/digests.json`; `--write` writes that
file anew. The worlds are written once (`--worlds`): kept as data, they outlive changes of the strategies that drew
them. Run from the project's root, with the project installed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from math import isinf
from pathlib import Path
from typing import Any

from hypothesis import given
from wild import wild_worlds
from worlds import InlinePlans, examples

from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.results.writer import ResultWriter
from layerlift.emulator.run import run
from layerlift.emulator.runtime.one_clock import OneClock
from layerlift.emulator.scenario import Scenario, bundled
from layerlift.emulator.studies.reproduce import figure5
from layerlift.emulator.world import faults, laws, mobility, world
from layerlift.emulator.world.world import World
from layerlift.models.graph import graph
from layerlift.planners import problem

FOLDER = Path(__file__).parent / "golden"
WORLDS, DIGESTS = FOLDER / "worlds.json", FOLDER / "digests.json"
COUNT = 60

Digests = dict[str, dict[str, str]]
"""By case: the digest of each table, or of each uploading algorithm."""

_KINDS = {
    kind.__name__: kind
    for module in (faults, laws, mobility, world, graph, problem)
    for kind in vars(module).values()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind)
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def plain(value: Any) -> Any:
    """A world, or anything in it, in JSON's terms; `made` is the way back."""
    if dataclasses.is_dataclass(value):
        fields = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"is": _NAMES[type(value)], **fields}
    if isinstance(value, Mapping):
        return {"is": "mapping", "items": [[plain(key), plain(item)] for key, item in value.items()]}
    if isinstance(value, float) and isinf(value):
        return {"is": "inf"}
    return [plain(each) for each in value] if isinstance(value, tuple | list) else value


def made(value: Any) -> Any:
    """The way back from `plain`."""
    if isinstance(value, list):
        return tuple(made(each) for each in value)
    if not isinstance(value, dict):
        return value
    if value["is"] == "inf":
        return float("inf")
    if value["is"] == "mapping":
        return {made(key): made(item) for key, item in value["items"]}
    return _KINDS[value["is"]](**{name: made(item) for name, item in value.items() if name != "is"})


def kept_worlds() -> list[World]:
    """The sixty worlds."""
    return [made(each) for each in json.loads(WORLDS.read_text())]


def drawn_worlds() -> list[World]:
    """Sixty worlds as the strategy draws them now."""
    drawn: list[World] = []

    @given(wild_worlds())
    @examples(COUNT)
    def draw(one: World) -> None:
        drawn.append(one)

    draw()
    return drawn


def of_world(one: World) -> dict[str, str]:
    """The table digests of a world."""
    with ResultWriter(None) as writer:
        OneClock(one, InlinePlans(one), writer.add).run()
        writer.close({})
        return dict(writer.run["table_digests"])


def of_scenario(name: str) -> dict[str, str]:
    """The table digests of a bundled scenario; real layers are not run, which changes none."""
    return dict(run(Scenario.load(name, ["execution=none"]), local=True).run["table_digests"])


def figure5_cases() -> list[figure5.Case]:
    """What `layerlift reproduce figure5 --models alexnet` runs."""
    return list(figure5.cases(["alexnet"], [1.0, 5.0, 10.0, 27.9], ["independent", "shared"], "both", 1, "pso"))


def name_of(case: figure5.Case) -> str:
    """A case in the file."""
    return f"figure5 {case.model}, factor {case.factor:g}, {case.links} links"


def of_figure5(memory: PlanMemory, case: figure5.Case) -> dict[str, str]:
    """The digest of each uploading algorithm's run."""
    return {c.algorithm: c.sighting.digest for c in figure5.compare(case, figure5.PUBLISHED, memory).curves}


def wild() -> Iterator[tuple[str, dict[str, str]]]:
    """The digests of the sixty worlds."""
    for number, one in enumerate(kept_worlds()):
        yield f"world {number}", of_world(one)


def everything(brief: bool = False) -> Iterator[tuple[str, dict[str, str]]]:
    """Case by case: its name, its digests; without Figure 5 where it is to be `brief`."""
    yield from wild()
    for name in bundled():
        yield f"scenario {name}", of_scenario(name)
    memory = PlanMemory()
    for case in () if brief else figure5_cases():
        yield name_of(case), of_figure5(memory, case)


def known() -> Digests:
    """What `digests.json` says."""
    return dict(json.loads(DIGESTS.read_text()))


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the digests anew")
    parser.add_argument("--worlds", action="store_true", help="draw the sixty worlds anew, and write them")
    parser.add_argument("--brief", action="store_true", help="without Figure 5, which takes half of the time")
    given_ = parser.parse_args()
    if given_.brief and given_.write:
        parser.error("--brief looks at a part: expected --write without it")
    FOLDER.mkdir(exist_ok=True)
    if given_.worlds:
        lines = ",\n".join(json.dumps(plain(one), separators=(",", ":")) for one in drawn_worlds())
        WORLDS.write_text(f"[\n{lines}\n]\n")
    before = {} if given_.write else known()
    found: Digests = {}
    for name, digests in everything(given_.brief):
        found[name] = digests
        same = before.get(name) == digests
        parts = [part for part in digests if before.get(name, {}).get(part) != digests[part]]
        print(
            f"{name}: {'written' if given_.write else 'same' if same else 'differs in ' + ', '.join(parts)}", flush=True
        )
    if given_.write:
        DIGESTS.write_text(json.dumps(found, indent=1) + "\n")
        return 0
    missing = set() if given_.brief else before.keys() - found.keys()
    return int(bool(missing) or any(before.get(name) != digests for name, digests in found.items()))


if __name__ == "__main__":
    sys.exit(main())
