"""Options of plug-ins as people write them: `particles=100,iterations=50`, typed by the plug-in's own signature."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from layerlift.models.errors import LayerliftError, PlanError, near

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
SEPARATOR = "/"
"""Between the items of a list-valued option: a comma already ends an option."""


class Wording(NamedTuple):
    """How messages speak of one kind of plug-in."""

    noun: str
    error: type[LayerliftError]
    """What is raised."""
    example: str
    """An option of one of them, as people write it."""


PLANNER = Wording("planner", PlanError, "particles=100")


@dataclass(frozen=True, slots=True)
class Option:
    """One keyword of a plug-in's constructor."""

    name: str
    kind: Any
    """Its annotation: int, float, bool, str, a Literal, a tuple or list of these, or one of these or None."""
    default: Any
    required: bool

    @property
    def type_name(self) -> str:
        """How the type is shown to a person."""
        return _type_name(self.kind)


def options_of(maker: Callable[..., object]) -> dict[str, Option]:
    """The options that `maker` (a class or a function) takes, in its order.

    Variable arguments are not options; a parameter without annotation is taken for text.
    """
    function = maker.__init__ if inspect.isclass(maker) else maker
    if function is object.__init__:
        return {}
    return dict(_kept_options(maker) if inspect.isfunction(function) else _options(maker, function))


@lru_cache(maxsize=256)
def _kept_options(maker: Callable[..., object]) -> dict[str, Option]:
    """The same, looked at once: a plug-in is made anew for every request."""
    return _options(maker, maker.__init__ if inspect.isclass(maker) else maker)


def _options(maker: Callable[..., object], function: Callable[..., object]) -> dict[str, Option]:
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError):
        hints = {}
    found: dict[str, Option] = {}
    for name, parameter in inspect.signature(maker).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            continue
        required = parameter.default is parameter.empty
        found[name] = Option(name, hints.get(name, str), None if required else parameter.default, required)
    return found


def split_options(name: str, text: str, wording: Wording = PLANNER) -> dict[str, str]:
    """Split `a=1,b=2` into a dictionary of texts.

    Raises the wording's error when a piece is not `option=value` or an option is given twice.
    """
    noun, error, example = wording
    found: dict[str, str] = {}
    for piece in text.split(","):
        option, equals, value = piece.partition("=")
        if not equals or not option.strip():
            raise error(f"{noun} {name}: option {piece!r} was given, expected name=value (as in {example})")
        if option.strip() in found:
            raise error(f"{noun} {name}: option {option.strip()!r} is given twice")
        found[option.strip()] = value.strip()
    return found


def typed(
    name: str, maker: Callable[..., object], given: Mapping[str, object], wording: Wording = PLANNER
) -> dict[str, Any]:
    """Check and convert the options `given` for `maker`: texts by its annotations, other values by their type.

    Raises the wording's error for an unknown option (with the near names), a missing one, or a value of the wrong type.
    """
    noun, error, _ = wording
    known = options_of(maker)
    made: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            hint = near(key, known) if known else "; it takes no options"
            raise error(f"{noun} {name} has no option {key!r}{hint}")
        option = known[key]
        try:
            made[key] = convert(option.kind, value)
        except (ValueError, TypeError):
            raise error(f"{noun} {name}: option {key}={value} was given, expected {option.type_name}") from None
    missing = [key for key, option in known.items() if option.required and key not in made]
    if missing:
        raise error(f"{noun} {name} needs the option {missing[0]!r} ({known[missing[0]].type_name})")
    return made


def convert(kind: Any, value: object) -> Any:
    """Turn `value` (text, or already a Python value) into `kind`; raises `ValueError` when it is not one."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _convert_any(get_args(kind), value)
    if origin is Literal:
        for choice in get_args(kind):
            if value == choice or str(value) == str(choice):
                return choice
        raise ValueError(value)
    if origin in (tuple, list) or kind in (tuple, list):
        return _convert_many(kind, value)
    if kind is bool:
        return _convert_bool(value)
    if kind is int:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError(value)
        return int(value)  # type: ignore[call-overload]
    if kind is float:
        if isinstance(value, bool):
            raise ValueError(value)
        return float(value)  # type: ignore[arg-type]
    if kind is str:
        if not isinstance(value, str):
            raise ValueError(value)
        return value
    return value


def _convert_any(kinds: tuple[Any, ...], value: object) -> Any:
    if type(None) in kinds and (value is None or (isinstance(value, str) and value.lower() in ("none", "null"))):
        return None
    for kind in kinds:
        if kind is not type(None):
            try:
                return convert(kind, value)
            except (ValueError, TypeError):
                continue
    raise ValueError(value)


def _convert_many(kind: Any, value: object) -> Any:
    inner = [argument for argument in get_args(kind) if argument is not Ellipsis]
    item = inner[0] if inner else str
    if isinstance(value, str):
        value = [piece for piece in value.split(SEPARATOR) if piece]
    if not isinstance(value, (list, tuple)):
        raise ValueError(value)
    items = [convert(item, each) for each in value]
    return items if (get_origin(kind) or kind) is list else tuple(items)


def _convert_bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in TRUE + FALSE:
        return value.lower() in TRUE
    raise ValueError(value)


def _type_name(kind: Any) -> str:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return " or ".join("none" if part is type(None) else _type_name(part) for part in get_args(kind))
    if origin is Literal:
        return " or ".join(str(choice) for choice in get_args(kind))
    if origin in (tuple, list):
        inner = [argument for argument in get_args(kind) if argument is not Ellipsis]
        return f"a list of {_type_name(inner[0])} separated by {SEPARATOR!r}" if inner else "a list"
    return {int: "an integer", float: "a number", bool: "true or false", str: "text"}.get(kind, str(kind))
