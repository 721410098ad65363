"""A family: what its worlds are, what it catches, and the distribution that a seed draws one from.

Seeds are numbers from 0 on, and by convention those from `HELD_OUT_FROM` on are held out: nothing is trained or tuned
on their worlds, so that a planner is judged in worlds that it cannot have seen. A family with `held_out: true` is held
out as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError

from layerlift.emulator.scenario.families.drawing import Drawer
from layerlift.emulator.scenario.overrides import override
from layerlift.emulator.scenario.scenario import Scenario, located
from layerlift.emulator.scenario.schema.document import MAX_BYTES, Places, read
from layerlift.emulator.scenario.schema.fields import Flag, Flaw, Section, Text, first_flaw, shown
from layerlift.models.errors import ScenarioError, near
from layerlift.models.files import read_regular

HELD_OUT_FROM: Final = 1_000_000
"""The first seed that is held out."""
LARGEST_SEED: Final = 10**12
Sentence = Annotated[str, Field(strict=True, min_length=1, max_length=1000)]


class FamilySection(Section):
    """A family's file."""

    about: Sentence
    """What its worlds are."""
    catches: Sentence
    """Which planners do badly in it, in one sentence that begins "a planner that"."""
    like: Text | None = None
    """Another family that ships: its worlds, but for what `let` and `world` say; the rest is drawn alike."""
    held_out: Flag = False
    """Whether all of its seeds are held out."""
    let: dict[Text, Any] = Field(default_factory=dict)
    """Values that are shared, by name."""
    world: dict[Text, Any] = Field(default_factory=dict)
    """The fields of a scenario, in which any value may be a drawing."""


@dataclass(frozen=True)
class Family:
    """A distribution over scenarios."""

    name: str
    about: str
    catches: str
    held_out: bool
    let: Mapping[str, Any]
    world: Mapping[str, Any]
    stream: str
    """Names its random numbers: the family that it is `like`, so that both draw what they share alike."""
    places: Places
    folder: str = ""
    """Where relative file names of its worlds begin; empty for a family that ships."""

    def document(self, seed: int) -> dict[str, Any]:
        """Draw the fields of the scenario of a seed. Raises `ScenarioError` for a drawing that cannot be."""
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
            raise ScenarioError(f"seed is {shown(seed)}, expected a whole number from 0 to {LARGEST_SEED}")
        head: dict[str, Any] = {"name": f"{self.name}-{seed}", "about": self.about, "seed": seed}
        if self.folder:
            head["folder"] = self.folder
        try:
            return head | Drawer(self.stream, seed).world(self.world, self.let)
        except Flaw as flaw:
            raise located(flaw, self.places) from None

    def draw(self, seed: int, overrides: Sequence[str] = ()) -> Scenario:
        """Draw the scenario of a seed, with `path=value` overrides. Raises `ScenarioError`."""
        return Scenario.from_dict(self.document(seed), overrides, origin=f"{self.name}, seed {seed}")

    def is_held_out(self, seed: int) -> bool:
        """Whether nothing may be trained on the world of a seed."""
        return self.held_out or seed >= HELD_OUT_FROM


def shipped() -> dict[str, Path]:
    """Return the families that ship with Layerlift, by name."""
    folder = Path(str(resources.files("layerlift.emulator") / "families"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load(name_or_path: str | os.PathLike[str]) -> Family:
    """Load a family that ships by name, or a file. Raises `ScenarioError` for one that is not there or not right."""
    given = os.fspath(name_or_path)
    known = shipped()
    if given not in known and not Path(given).suffix:
        raise ScenarioError(
            f"no family {shown(given)}: expected a file or the name of one that ships{near(given, known)}"
        )
    path = known.get(given, Path(given))
    section, places = _section(path)
    let, world, stream = section.let, section.world, path.stem
    if section.like is not None:
        base = _base(section.like, known, places)
        let, world, stream = base.let | let, merged(base.world, world), section.like
    folder = "" if given in known else str(path.parent.resolve())
    return Family(path.stem, section.about, section.catches, section.held_out, let, world, stream, places, folder)


def document(name_or_path: str | os.PathLike[str], seed: int, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Draw the fields of a scenario, which are those of a valid one. Raises `ScenarioError`."""
    family = load(name_or_path)
    made = family.document(seed)
    Scenario.from_dict(made, overrides, origin=f"{family.name}, seed {seed}")
    for setting in overrides:
        override(made, setting, Places(family.name))
    return made


def draw(name_or_path: str | os.PathLike[str], seed: int, overrides: Sequence[str] = ()) -> Scenario:
    """Draw a scenario of a family that ships (see `shipped`), or of a file. Raises `ScenarioError`."""
    return load(name_or_path).draw(seed, overrides)


def training_seeds(count: int) -> range:
    """The first `count` seeds that planners may be trained and tuned on."""
    return range(min(count, HELD_OUT_FROM))


def held_out_seeds(count: int) -> range:
    """The first `count` seeds that planners are judged on."""
    return range(HELD_OUT_FROM, HELD_OUT_FROM + count)


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with what `change` says instead: mappings field by field, everything else (lists, drawings) as a whole."""
    made = dict(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(made.get(key), dict)
        made[key] = merged(made[key], value) if both and not _drawing(value) and not _drawing(made[key]) else value
    return made


def _drawing(value: Mapping[str, Any]) -> bool:
    return "draw" in value


def _section(path: Path) -> tuple[FamilySection, Places]:
    try:
        text = read_regular(path, MAX_BYTES).decode("utf-8")
    except UnicodeDecodeError:
        raise ScenarioError(f"{path.name} is not text in UTF-8: expected a YAML file") from None
    except OSError as error:
        raise ScenarioError(f"family {path} cannot be read: {error.strerror or error}") from None
    data, places = read(text, path.name)
    if not isinstance(data, dict):
        raise ScenarioError(f"{path.name} holds no family: expected the fields about, catches and world")
    try:
        return FamilySection.model_validate(data), places
    except ValidationError as error:
        raise located(first_flaw(error, data), places) from None


def _base(name: str, known: Mapping[str, Path], places: Places) -> FamilySection:
    if name not in known:
        raise located(Flaw(("like",), f"is {shown(name)}, which does not ship{near(name, known)}"), places)
    section, _ = _section(known[name])
    if section.like is not None:
        raise located(Flaw(("like",), f"is {shown(name)}, which is like {section.like} itself: name that"), places)
    return section
