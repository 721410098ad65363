"""What a user writes: a few lines of YAML that describe a world. Units are in the names; MB = 2**20 bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import PrivateAttr, ValidationError, model_validator

from layerlift.emulator.scenario.assumptions import Assumption, assumptions, sources_fit
from layerlift.emulator.scenario.checks.checks import check
from layerlift.emulator.scenario.inputs import Inputs
from layerlift.emulator.scenario.overrides import override
from layerlift.emulator.scenario.resolving.catalog import Catalog, network
from layerlift.emulator.scenario.resolving.machines import in_folder
from layerlift.emulator.scenario.resolving.resolve import model_options, model_source, resolve
from layerlift.emulator.scenario.schema.description import Description
from layerlift.emulator.scenario.schema.document import MAX_BYTES, Places, brief, dotted, read
from layerlift.emulator.scenario.schema.fields import CodeFlaw, Flaw, first_flaw, shown
from layerlift.emulator.scenario.schema.files import Files
from layerlift.emulator.scenario.schema.trust import Trust
from layerlift.emulator.world.world import World
from layerlift.models.errors import CodeRefused, ScenarioError, near, quoted, sentence
from layerlift.models.files import read_regular
from layerlift.models.running.given import with_inputs
from layerlift.models.running.network import Network
from layerlift.models.text import escaped, printable

__all__ = ["Scenario", "bundled", "source_text"]


class Scenario(Description):
    """A world as a user describes it. `resolve` makes the `World` of plain numbers that runs."""

    _earlier: Callable[[], Inputs] | None = PrivateAttr(None)

    if not TYPE_CHECKING:  # so that type checkers go on to see the fields as parameters

        def __init__(self, *given: object, **fields: Any) -> None:
            """Make a scenario from its fields. Raises `ScenarioError` where pydantic would speak of its own."""
            if given:
                raise ScenarioError(
                    f"Scenario({given[0]!r}) was called, expected fields by name; a bundled scenario or a file is "
                    f"had by Scenario.load({given[0]!r})"
                )
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise located(first_flaw(error, fields), Places()) from None
            self._trust = Trust(everything=True)  # a call in a program is typed

        # Else pydantic would call it from `model_validate` too, and `_made` could no longer say where the flaw is.
        __init__.__pydantic_base_init__ = True

    @model_validator(mode="after")
    def _whole(self) -> Scenario:
        check(self)
        sources_fit(self)
        return self

    @classmethod
    def load(
        cls, name_or_path: str | os.PathLike[str], overrides: Sequence[str] = (), *, allow_code: bool = False
    ) -> Scenario:
        """Load a bundled scenario by name, or a YAML file, with `path=value` overrides.

        The overrides may name planners and policies of your own, as `module:Class`; the file may with `allow_code`.
        Raises `ScenarioError`: no such scenario, not YAML, or a field that is unknown, ill-typed or impossible.
        """
        if isinstance(overrides, str):
            raise ScenarioError(f"overrides is the text {overrides!r}, expected a list such as [{overrides!r}]")
        if not isinstance(name_or_path, str | os.PathLike):
            raise ScenarioError(
                f"the scenario is {quoted(name_or_path)}, expected the name of one, a file or a Scenario"
            )
        path = _find(os.fspath(name_or_path))
        data, places = read(_text(path), path.name)
        if not isinstance(data, dict):
            raise ScenarioError(f"{path.name} holds no scenario: expected fields such as nodes, links and users")
        for setting in overrides:
            override(data, setting, places)
        data.setdefault("name", path.stem)
        if path.parent != _folder():
            data.setdefault("folder", str(path.parent.resolve()))
        return cls._made(data, places, Trust(allow_code))

    @classmethod
    def from_dict(
        cls,
        data: Mapping[str, Any],
        overrides: Sequence[str] = (),
        *,
        allow_code: bool = False,
        trust: Trust | None = None,
        origin: str = "",
    ) -> Scenario:
        """Make a scenario from plain values, such as `model_dump(mode="json")` gives. Raises `ScenarioError`.

        `overrides` and `allow_code` are as in `load`; `trust` is that of the scenario whose values these are, and
        `origin` names the file that they were read from.
        """
        places = Places(origin)
        copy = _plain(data)
        for setting in overrides:
            override(copy, setting, places)
        return cls._made(copy, places, (trust or Trust()).also(Trust(allow_code)))

    @classmethod
    def _made(cls, data: object, places: Places, trust: Trust) -> Scenario:
        try:
            made = cls.model_validate(data)
        except ValidationError as error:
            raise located(first_flaw(error, data), places) from None
        made._places = places
        typed = frozenset(text for path, text in made.plugged() if made.setting(dotted(path)))
        made._trust = trust.also(Trust(typed=typed))
        return made

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy it with some fields changed, which are checked; raises `ScenarioError`. What they name was typed."""
        made = super().model_copy(update=update, deep=deep)
        known = {text for _, text in self.plugged()}
        typed = frozenset(text for _, text in made.plugged() if text not in known)
        made._trust = self._trust.also(Trust(typed=typed))
        return made

    def changed(self, overrides: Sequence[str] = (), *, allow_code: bool = False) -> Scenario:
        """Return it with `path=value` overrides, and with `allow_code` trusted to name code; raises `ScenarioError`."""
        # What nobody gave stays so: it is listed among the assumptions.
        plain = self.model_dump(mode="json", exclude_unset=True)
        return Scenario.from_dict(plain, overrides, allow_code=allow_code, trust=self._trust, origin=self._places.name)

    def resolve(self, catalog: Catalog | None = None, inputs: Inputs | None = None) -> World:
        """Return the world of plain numbers: machines, links, users and priced models.

        `catalog` stands in for the zoo and the planners (see `layerlift.emulator.scenario.resolving.catalog.Catalog`),
        `inputs` notes what is read and priced.
        Raises `ScenarioError` for what only the world can tell: an unknown model or planner, a missing file.
        """
        try:
            taken = inputs or self.new_inputs()
            return resolve(self, catalog or taken, taken.files)
        except Flaw as flaw:
            raise located(flaw, self._places) from None

    def new_inputs(self) -> Inputs:
        """Return where files and prices come from: the scenario's folder and the zoo, or the run that it is of."""
        return Inputs(Files(self.folder)) if self._earlier is None else self._earlier()

    def network(self, model: str) -> Network:
        """Load a model of this scenario as it is run, by its `ModelSpec.name`. Raises `ModelError`."""
        options = model_options(self, model)
        loaded = network(model_source(self, model), options)
        return loaded if options.inputs is None else with_inputs(loaded, in_folder(self, options.inputs))

    def __repr__(self) -> str:
        return f"Scenario({self.name!r}: {self.user_count} users, {_servers(self)} servers, seed {self.seed})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """A small table for notebooks; whatever the user wrote is escaped."""
        models = dict.fromkeys(name for kind in self.users for name in kind.model)
        planners = dict.fromkeys(kind.planner for kind in self.users)
        rows = {
            "users": str(self.user_count),
            "servers": str(_servers(self)),
            "models": ", ".join(models),
            "planners": ", ".join(planners),
            "faults": str(len(self.faults)),
            "seed": str(self.seed),
        }
        cells = "".join(f"<tr><th>{name}</th><td>{escaped(value)}</td></tr>" for name, value in rows.items())
        about = f"{self.name}: {self.about}" if self.about else self.name
        return f"<table><caption>{escaped(about)}</caption>{cells}</table>"

    def assumptions(self, world: World | None = None) -> list[Assumption]:
        """Return every number that nobody gave, and every one whose source the file states; run.json holds the list."""
        return assumptions(self, world)


def _servers(scenario: Description) -> int:
    return sum(group.count or 1 for group in scenario.nodes if group.tier != "client")


def located(flaw: Flaw, places: Places) -> ScenarioError:
    """Return the error that says where the flaw is, in the file or on the command line, and under which path."""
    text = sentence(printable(f"{places.where(flaw.path)}{brief(flaw.path) or 'the scenario'} {flaw.text}"))
    return CodeRefused(text) if isinstance(flaw, CodeFlaw) else ScenarioError(text)


def bundled() -> dict[str, Path]:
    """Return the scenarios that ship with Layerlift, by name."""
    return {path.stem: path for path in sorted(_folder().glob("*.yaml"))}


def source_text(name_or_path: str | os.PathLike[str]) -> str:
    """Return a scenario's YAML as it was written. Raises `ScenarioError` when it cannot be found or read."""
    return _text(_find(os.fspath(name_or_path)))


def _folder() -> Path:
    return Path(str(resources.files("layerlift.emulator") / "scenarios"))


def _find(given: str) -> Path:
    known = bundled()
    if given in known:
        return known[given]
    path = Path(given)
    try:
        if path.is_file():
            return path
        if given and path.is_dir():
            raise ScenarioError(f"{given} is a folder: expected a scenario file or the name of a bundled scenario")
    except (OSError, ValueError):
        pass
    raise ScenarioError(
        f"no scenario {shown(given)}: expected a file or the name of a bundled scenario{near(given, known)}"
    )


def _text(path: Path) -> str:
    try:
        return read_regular(path, MAX_BYTES).decode("utf-8")
    except UnicodeDecodeError:
        raise ScenarioError(f"{path.name} is not text in UTF-8: expected a YAML file") from None
    except OSError as error:
        raise ScenarioError(f"{path} cannot be read: {error.strerror or error}") from None


def _plain(value: object) -> Any:
    """Copy containers, so that overrides never reach what the caller holds."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
