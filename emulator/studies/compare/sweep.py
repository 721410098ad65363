"""`--sweep users=50,100,200`: the values of one scenario field, and what has to be set for each of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from numbers import Integral, Real

from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.schema.document import parse
from layerlift.models.errors import ScenarioError

USERS = "users"


@dataclass(frozen=True, slots=True)
class Sweep:
    """A field and the values that it takes in turn, as texts of YAML."""

    path: str
    values: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Sweep:
        """Read `PATH=V1,V2,...`; commas within brackets, braces and quotes belong to a value.

        Raises `ScenarioError` when there is no path, or fewer than two different values.
        """
        path, equals, rest = text.partition("=")
        values = list(dict.fromkeys(_split(rest)))
        if not path.strip() or not equals or not all(values) or len(values) < 2:
            raise ScenarioError(
                f"--sweep is {text!r}, expected PATH=V1,V2,... with two values or more, as users=50,100"
            )
        return cls(path.strip(), tuple(values))

    @classmethod
    def of(cls, path: str, values: Sequence[object]) -> Sweep:
        """Make a sweep of plain Python values: numbers, texts, booleans, None, lists and dicts.

        Raises `ScenarioError` for an empty path, fewer than two different values, and values that YAML cannot hold.
        """
        if isinstance(values, str | bytes) or not isinstance(path, str) or not path.strip():
            raise ScenarioError(
                f"a sweep of {path!r} over {values!r} was asked for, expected a field and a list of values"
            )
        texts = tuple(dict.fromkeys(_text(value) for value in values))
        if len(texts) < 2:
            given = f"only {texts[0]}" if texts else "no value"
            raise ScenarioError(f"the sweep of {path} has {given}: expected two different values or more")
        return cls(path.strip(), texts)

    def settings(self, value: str, scenario: Scenario) -> list[str]:
        """Return the `path=value` overrides that give the scenario this value.

        `users` stands for how many there are in all: the only kind's count, or of several kinds counts in the
        proportion that they have in `scenario`. Raises `ScenarioError` for a number of users that cannot be.
        """
        if self.path != USERS:
            return [f"{self.path}={value}"]
        if not (value.isascii() and value.isdigit() and len(value) <= 6 and int(value) >= len(scenario.users)):
            least = f"a whole number of at least {len(scenario.users)}, one of each kind"
            raise ScenarioError(f"{USERS} is to be {value!r}, expected {least}")
        counts = apportion(int(value), sizes(scenario))
        return [f"{USERS}.{number}.count={count}" for number, count in enumerate(counts)]

    def named(self, value: str) -> str:
        """What gave a value, as messages show it."""
        return f"{self.path}={value}"

    def given(self, value: str) -> dict[str, object]:
        """What a table says of a value: the plain value by the field's path."""
        return {self.path: parse(value, self.path)}

    def told(self, scenario: Scenario) -> str:
        """Return a sentence on how the users were scaled; empty when there is nothing to say."""
        if self.path != USERS or len(scenario.users) < 2:
            return ""
        shares = ":".join(map(str, sizes(scenario)))
        return f"--sweep users keeps the proportions of the {len(scenario.users)} kinds, {shares}"


@dataclass(frozen=True, slots=True)
class Overrides(Sweep):
    """Lists of `path=value` in turn, in place of the values of one field."""

    lists: tuple[tuple[str, ...], ...] = ()
    """Of each value."""

    @classmethod
    def of_lists(cls, given: Sequence[object]) -> Overrides:
        """Make it of lists of overrides, each a list of texts, one text, or a dict of values by path.

        Raises `ScenarioError` for anything else, for none, and for the same list twice.
        """
        lists = tuple(_settings(each) for each in given)
        names = tuple(", ".join(each) or "as it is" for each in lists)
        if not names:
            raise ScenarioError("there is no list of overrides, expected at least one: [] is the scenario as it is")
        if len(set(names)) < len(names):
            raise ScenarioError(f"{len(names)} lists of overrides, of which some are alike: expected different ones")
        return cls("overrides", names, lists)

    def settings(self, value: str, scenario: Scenario) -> list[str]:
        """The overrides that a value stands for."""
        return list(self.lists[self.values.index(value)])

    def named(self, value: str) -> str:
        """The overrides themselves."""
        return value

    def given(self, value: str) -> dict[str, object]:
        """The plain value of each override by its path."""
        pairs = (setting.partition("=") for setting in self.lists[self.values.index(value)])
        return {path.strip(): parse(text, path) for path, _, text in pairs}


def sizes(scenario: Scenario) -> list[int]:
    """Return how many users of each kind a scenario has."""
    given = [kind.count or (1 if kind.device else 0) for kind in scenario.users]
    rest = scenario.user_count - sum(given)
    return [count or max(rest, 1) for count in given]


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """Divide `total` in whole parts, at least 1 each, in proportion to weights: the largest remainders get the rest."""
    spare = total - len(weights)
    exact = [max(total * weight / sum(weights) - 1, 0.0) for weight in weights]
    scale = spare / sum(exact) if sum(exact) else 0.0
    parts = [int(share * scale) for share in exact]
    by_rest = sorted(range(len(weights)), key=lambda n: (parts[n] - exact[n] * scale, n))
    for number in by_rest[: spare - sum(parts)]:
        parts[number] += 1
    return [part + 1 for part in parts]


def _settings(given: object) -> tuple[str, ...]:
    if isinstance(given, Mapping) and all(isinstance(path, str) for path in given):
        return tuple(f"{path}={_text(value)}" for path, value in given.items())
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) and "=" in text for text in texts):
        raise ScenarioError(f"{given!r:.80} is among the overrides, expected a list of path=value, or a dict by path")
    return tuple(texts)


def _text(value: object) -> str:
    """A value as YAML: a word as it is where it stays one (`ionn`, but `"5"`), everything else as JSON."""
    if isinstance(value, str) and value == value.strip() and "\n" not in value:
        with suppress(ScenarioError):
            if parse(value, "value") == value:
                return value
    try:
        return json.dumps(value, allow_nan=False, default=_number)
    except (TypeError, ValueError, RecursionError):
        raise ScenarioError(f"a sweep has {value!r:.80}, expected a number, text, list or dict") from None


def _number(value: object) -> int | float:
    """Numbers of other packages, such as NumPy's."""
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    raise TypeError


def _split(text: str) -> list[str]:
    found, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        depth += (letter in "[{") - (letter in "]}") if not quote else 0
        if letter == "," and not depth and not quote:
            found.append("")
        else:
            found[-1] += letter
    return [value.strip() for value in found]
