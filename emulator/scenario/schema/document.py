"""YAML as a scenario may use it: plain values only, bounded, no duplicate keys, and every value knows its line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

import yaml

from layerlift.models.errors import ScenarioError
from layerlift.models.text import printable

FieldPath = tuple[str | int, ...]
"""Where a value is: keys and list indices from the top."""

MAX_BYTES: Final = 1 << 20
MAX_VALUES: Final = 100_000
MAX_DEPTH: Final = 20
_TAG: Final = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """Knows only YAML 1.2's plain words: in 1.1 `off` is a boolean, `1e6` a text and `1:30` the number 90."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own way to be told


for _name, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?[0-9]+(?:_[0-9]+)*$", list("-+0123456789")),
    (
        "float",
        r"^(?:[-+]?(?:[0-9]+(?:_[0-9]+)*\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf)|\.(?:nan|NaN))$",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(_pattern), _first)


class _Dumper(yaml.SafeDumper):
    """Quotes what `_Loader` would take for something else than text, and writes no anchors."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers

    def ignore_aliases(self, data: object) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """Quoted, where PyYAML would write characters as they are that it does not read so."""
        return self.represent_scalar(_TAG + "str", data, style=None if data.isprintable() else '"')


_Dumper.add_representer(str, _Dumper.represent_str)


_PART: Final = 50
"""Characters of a part of a path that a message shows."""


_TOLD: Final = 90
"""Characters of a setting that a message shows."""


class Given(str):
    """A `path=value` that was not given as such: messages name the option or argument that it stands for."""

    option: str

    @classmethod
    def by(cls, option: str, setting: str) -> Given:
        """Make the setting that stands for `option`, such as `--planner ionn`."""
        made = cls(setting)
        made.option = option
        return made


def named(setting: str) -> str:
    """Return what somebody gave, in their terms: `--set users.0.planner=ionn`, or `--planner ionn`."""
    told = setting.option if isinstance(setting, Given) else f"--set {setting}"
    return told if len(told) <= _TOLD else f"{told[:_TOLD]}..."


@dataclass
class Places:
    """Says where each value of a document was written: a line of a file, or a `--set` of the command line.

    All are equal: where a scenario was written does not make it another one.
    """

    name: str = field(default="", compare=False)
    """The file's name; empty for values that were given in Python."""
    lines: dict[FieldPath, int] = field(default_factory=dict, compare=False)
    settings: dict[FieldPath, str] = field(default_factory=dict, compare=False)

    def where(self, path: FieldPath) -> str:
        """Return how a message about `path` begins: `paper.yaml, line 12: `; the nearest known parent's place."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.settings:
                return f"{named(self.settings[path[:length]])}: "
            if path[:length] in self.lines:
                return f"{self.name}, line {self.lines[path[:length]]}: "
        return f"{self.name}: " if self.name else ""

    def set(self, path: FieldPath, setting: str) -> None:
        """Note that the value at `path`, with all below it, now comes from `--set setting`."""
        for known in (self.lines, self.settings):
            for inner in [p for p in known if p[: len(path)] == path]:
                del known[inner]
        self.settings[path] = setting


def dotted(path: FieldPath) -> str:
    """Return `path` as it is written on the command line: `users.0.queries`."""
    return ".".join(str(part) for part in path)


def brief(path: FieldPath) -> str:
    """Return `path` as a message shows it: dotted, with very long parts cut."""
    return dotted(tuple(part if len(str(part)) <= _PART else f"{str(part)[:_PART]}..." for part in path))


def read(text: str, name: str) -> tuple[object, Places]:
    """Read one YAML document of mappings, lists, texts, numbers, true, false and null.

    Raises `ScenarioError` for anything else: broken syntax, other tags, a key given twice, too large, too deep.
    """
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise ScenarioError(f"{name} is larger than {MAX_BYTES >> 10} KiB: expected a scenario of a few dozen lines")
    places = Places(name)
    try:
        root = yaml.compose(text, _Loader)
        return (None if root is None else _Walk(places).value(root, ())), places
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ScenarioError(f"{name}{line}: this is not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ScenarioError(f"{name}: this is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ScenarioError(f"{name} is nested too deeply: expected at most {MAX_DEPTH} levels") from None


def written(value: object) -> str:
    """The YAML from which `read` reads plain values again."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)
    return str(text)


def parse(text: str, name: str) -> object:
    """Read a single value, such as that of a `--set`. Raises `ScenarioError` as `read` does."""
    return read(text, name)[0]


class _Walk:
    """Turns composed nodes into values. Aliases share nodes, so what is visited is counted, not what is written."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.left = MAX_VALUES

    def value(self, node: yaml.Node, path: FieldPath) -> object:
        self.left -= 1
        self.places.lines[path] = node.start_mark.line + 1
        if self.left < 0 or len(path) > MAX_DEPTH:
            raise self._refusal(node, f"too much: expected at most {MAX_VALUES} values, {MAX_DEPTH} levels deep")
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        raise self._refusal(node, f"the tag {node.tag!r} is not allowed: expected plain mappings, lists and values")

    def _mapping(self, node: yaml.MappingNode, path: FieldPath) -> dict[str, object]:
        made: dict[str, object] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._refusal(key, "a key is a list or a mapping: expected a word")
            name = self._text(key)
            if name in made:
                raise self._refusal(key, f"{dotted((*path, name))} is given twice")
            made[name] = self.value(item, (*path, name))
            self.places.lines[(*path, name)] = key.start_mark.line + 1
        return made

    def _scalar(self, node: yaml.ScalarNode) -> object:
        text = node.value
        kind = node.tag.removeprefix(_TAG)
        try:
            match kind:
                case "str":
                    return self._text(node)
                case "null":
                    return None
                case "bool":
                    return {"true": True, "false": False}[text.lower()]
                case "int":
                    return int(text)
                case "float":
                    return float(text.replace(".inf", "inf").replace(".Inf", "inf").replace(".nan", "nan"))
        except (ValueError, KeyError):
            raise self._refusal(node, f"{text[:40]!r} is not a number that can be used") from None
        raise self._refusal(node, f"the tag {node.tag!r} is not allowed: expected plain text or a number")

    def _text(self, node: yaml.ScalarNode) -> str:
        """The text, with JSON's surrogate pairs joined; one half alone could never be written out again."""
        try:
            return str(node.value).encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            raise self._refusal(node, "half a character (a lone surrogate): expected Unicode text") from None

    def _refusal(self, node: yaml.Node, text: str) -> ScenarioError:
        return ScenarioError(f"{self.places.name}, line {node.start_mark.line + 1}: {printable(text)}")
