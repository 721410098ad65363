"""From a family's world, in which values are drawings, to plain values.

Each drawing has a stream of random numbers of its own, named by the family, the seed and its place in the file: what
else is drawn, and in which order, does not matter.

* `{draw: {LAW: BOUNDS}}` is a drawn value (`layerlift.emulator.scenario.families.draws`), `{draw: NAME}` one that is
  shared: it stands under `let`, of the family or of a `repeat` around it. `times: X` beside it multiplies a number.
  Bounds and factors may be drawings themselves.
* `{repeat: COUNT, let: {...}, of: VALUE or LIST}` within a list stands for COUNT times what `of` says, each drawn anew;
  `{number}` in a text within is 1, 2, ...
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from layerlift.emulator.scenario.families.draws import by_law, four_digits
from layerlift.emulator.scenario.schema.document import MAX_DEPTH, MAX_VALUES, FieldPath, dotted
from layerlift.emulator.scenario.schema.fields import Flaw, shown
from layerlift.emulator.world import streams
from layerlift.models.errors import near

MOST_REPEATS: Final = 10_000
NUMBER: Final = "{number}"
_PENDING: Final = object()
"""Stands for a shared value while it is being drawn."""


class _Scope:
    """Shared values by name, drawn when they are first asked for, before those of the scope around."""

    def __init__(self, drawer: Drawer, given: Mapping[str, Any], at: _Place, outer: _Scope | None = None) -> None:
        self._drawer, self._given, self._at, self._outer = drawer, given, at, outer
        self._known: dict[str, Any] = {}

    def value(self, name: str, path: FieldPath) -> Any:
        """The value of a name. Raises `Flaw` at `path` for one that is not there, or that asks for itself."""
        if name not in self._given:
            if self._outer is None:
                raise Flaw(path, f"is {shown(name)}, which is not under let{near(name, self._names())}")
            return self._outer.value(name, path)
        if self._known.get(name) is _PENDING:
            raise Flaw(path, f"is {shown(name)}, which is drawn from itself: expected another name")
        if name not in self._known:
            self._known[name] = _PENDING
            self._known[name] = self._drawer.shared(self._given[name], self._at.inside(name), self)
        return self._known[name]

    def _names(self) -> list[str]:
        return [*self._given, *(self._outer._names() if self._outer is not None else ())]


class _Place:
    """Where a value stands: its path in the file, and the stream's name, which also counts repetitions."""

    __slots__ = ("number", "path", "stream")

    def __init__(self, path: FieldPath, stream: FieldPath, number: int | None = None) -> None:
        self.path, self.stream, self.number = path, stream, number

    def inside(self, *parts: str | int) -> _Place:
        return _Place((*self.path, *parts), (*self.stream, *parts), self.number)

    def repeated(self, number: int) -> _Place:
        """The place of the repetition with this number, 1 for the first."""
        return _Place(self.path, (*self.stream, f"#{number}"), number)


class Drawer:
    """Draws the values of one world; `family` names its streams. Raises `Flaw` with the path of what is wrong."""

    def __init__(self, family: str, seed: int) -> None:
        self._family, self._seed = family, seed
        self._left, self._deep = MAX_VALUES, 0

    def world(self, world: Mapping[str, Any], let: Mapping[str, Any]) -> dict[str, Any]:
        """The drawn world; both are the fields of a family."""
        scope = _Scope(self, let, _Place(("let",), ("let",)))
        made = self.value(dict(world), _Place(("world",), ("world",)), scope)
        if not isinstance(made, dict):
            raise Flaw(("world",), f"is drawn as {shown(made)}, expected the fields of a scenario")
        return made

    def shared(self, given: Any, at: _Place, scope: _Scope) -> Any:
        """What a value under `let` stands for."""
        self._deep += 1
        if self._deep > MAX_DEPTH:
            raise Flaw(at.path, f"is drawn from names that are drawn from names: expected at most {MAX_DEPTH} in a row")
        made = self.value(given, at, scope)
        self._deep -= 1
        return made

    def value(self, given: Any, at: _Place, scope: _Scope) -> Any:
        """What a value of the file stands for."""
        self._left -= 1
        if self._left < 0 or len(at.stream) > 3 * MAX_DEPTH:
            raise Flaw(at.path, f"is too much: expected worlds of at most {MAX_VALUES} values")
        if isinstance(given, dict):
            if "draw" in given:
                return self._drawn(given, at, scope)
            if "repeat" in given:
                raise Flaw(at.path, "repeats itself where no list is: expected repeat only for items of a list")
            return {key: self.value(item, at.inside(key), scope) for key, item in given.items()}
        if isinstance(given, list):
            return self._items(given, at, scope)
        return given.replace(NUMBER, str(at.number)) if isinstance(given, str) and at.number is not None else given

    def _items(self, given: list[Any], at: _Place, scope: _Scope) -> list[Any]:
        made: list[Any] = []
        for index, item in enumerate(given):
            here = at.inside(index)
            if isinstance(item, dict) and "repeat" in item:
                made += self._repeated(item, here, scope)
            else:
                made.append(self.value(item, here, scope))
        return made

    def _repeated(self, given: Mapping[str, Any], at: _Place, scope: _Scope) -> list[Any]:
        _only(given, ("repeat", "let", "of"), at.path)
        if "of" not in given:
            raise Flaw((*at.path, "of"), "is missing: expected what is repeated")
        count = self.value(given["repeat"], at.inside("repeat"), scope)
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST_REPEATS:
            raise Flaw((*at.path, "repeat"), f"is {shown(count)}, expected a whole number from 0 to {MOST_REPEATS}")
        let = given.get("let", {})
        if not isinstance(let, dict):
            raise Flaw((*at.path, "let"), f"is {shown(let)}, expected shared values by name")
        items = given["of"] if isinstance(given["of"], list) else [given["of"]]
        made: list[Any] = []
        for number in range(1, count + 1):
            here = at.repeated(number)
            made += self._items(items, here.inside("of"), _Scope(self, let, here.inside("let"), scope))
        return made

    def _drawn(self, given: Mapping[str, Any], at: _Place, scope: _Scope) -> Any:
        _only(given, ("draw", "times"), at.path)
        law, here = given["draw"], at.inside("draw")
        if isinstance(law, str):
            made = deepcopy(scope.value(law, here.path))  # who changes one place of a world changes no other
        elif isinstance(law, dict):
            bounds = {key: self.value(item, here.inside(key), scope) for key, item in law.items()}
            try:
                made = by_law(bounds, streams.family(self._seed, self._family, dotted(at.stream)))
            except Flaw as flaw:
                raise Flaw((*here.path, *flaw.path), flaw.text) from None
        else:
            raise Flaw(here.path, f"is {shown(law)}, expected a law such as {{uniform: [1, 2]}}, or a name under let")
        if "times" not in given:
            return made
        return _times(made, self.value(given["times"], at.inside("times"), scope), at.path)


def _times(value: Any, factor: Any, path: FieldPath) -> float | int:
    for number, key in ((factor, "times"), (value, "draw")):
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise Flaw((*path, key), f"is {shown(number)}, expected a number, as times multiplies")
    made = value * factor
    return made if isinstance(made, int) else four_digits(made)


def _only(given: Mapping[str, Any], known: tuple[str, ...], path: FieldPath) -> None:
    for key in given:
        if key not in known:
            raise Flaw((*path, key), f"is not known beside {known[0]}{near(key, known)}")
