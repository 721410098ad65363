"""`--set users.0.queries=5`: change any field of a scenario before it is checked."""

from __future__ import annotations

from layerlift.emulator.scenario.schema.document import FieldPath, Places, dotted, named, parse
from layerlift.emulator.scenario.schema.fields import shown
from layerlift.models.errors import ScenarioError
from layerlift.models.text import printable


def override(data: object, setting: str, places: Places) -> None:
    """Apply one `path=value` to a scenario as read, in place, and note where the value comes from.

    List items are named by index, `*` is every item of a list or every key of a mapping (`users.*.planner=ionn`),
    the value is YAML. Raises `ScenarioError` when the path leads nowhere.
    """
    path, equals, text = setting.partition("=")
    parts = path.strip().split(".")
    if not equals or not all(parts):
        raise ScenarioError(printable(f"{named(setting)}: expected path=value, such as users.0.queries=5"))
    _set(data, parts, parse(text, named(setting)), (), _Note(places, setting))


class _Note:
    def __init__(self, places: Places, setting: str) -> None:
        self.places = places
        self.setting = setting

    def refusal(self, text: str) -> ScenarioError:
        return ScenarioError(printable(f"{named(self.setting)}: {text}"))


def _set(inside: object, parts: list[str], value: object, path: FieldPath, note: _Note) -> None:
    first, rest = parts[0], parts[1:]
    for key in _keys(inside, first, path, note):
        here = (*path, key)
        if not rest:
            _forget_other_unit(inside, key)
            inside[key] = value  # type: ignore[index]
            note.places.set(here, note.setting)
            continue
        if isinstance(inside, dict) and inside.get(key) is None:
            inside[key] = {}
            note.places.set(here, note.setting)
        _set(inside[key], rest, value, here, note)  # type: ignore[index]


def _forget_other_unit(inside: object, key: str | int) -> None:
    """A rate has one unit: who sets it in Mbit/s does not mean what the file says in MB/s."""
    for unit, other in (("_mb_s", "_mbit_s"), ("_mbit_s", "_mb_s")):
        if isinstance(inside, dict) and isinstance(key, str) and key.endswith(unit):
            inside.pop(key.removesuffix(unit) + other, None)


def _keys(inside: object, part: str, path: FieldPath, note: _Note) -> list[str] | list[int]:
    if isinstance(inside, dict):
        return list(inside) if part == "*" else [part]
    if isinstance(inside, list):
        if part == "*":
            return list(range(len(inside)))
        if part.isascii() and part.isdigit() and len(part) < 7 and int(part) < len(inside):
            return [int(part)]
        raise note.refusal(
            f"{dotted(path)} is a list of {len(inside)}, expected an index from 0 to {len(inside) - 1} or *, not {part}"
        )
    raise note.refusal(f"{dotted(path) or 'the scenario'} is {shown(inside)}, which has no field {part!r}")
