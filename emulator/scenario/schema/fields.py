"""The small types that scenario fields are made of, and how a wrong value is told in one sentence."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from layerlift.emulator.scenario.schema.document import FieldPath, dotted
from layerlift.emulator.scenario.schema.titles import titled, with_unit
from layerlift.models.errors import ScenarioError, near, quoted
from layerlift.models.text import printable

MB: Final = 1 << 20
GB: Final = 1 << 30
MBIT: Final = 125_000
"""Bytes of a megabit (10**6 bits), so that 1 MB/s is 8.388608 Mbit/s."""
LARGEST: Final = 1e15
"""No number of a scenario is larger, so that no product of two overflows."""

Text = Annotated[str, Field(strict=True, min_length=1, max_length=500)]
Flag = Annotated[bool, Field(strict=True)]
Number = Annotated[float, Field(strict=True, ge=-LARGEST, le=LARGEST)]
Positive = Annotated[float, Field(strict=True, ge=1e-9, le=LARGEST)]
NonNegative = Annotated[float, Field(strict=True, ge=0, le=LARGEST)]
Duration = Annotated[float, Field(strict=True, ge=0.001, le=1e9)]
"""Seconds; not so short that a run would do nothing else."""
Instant = Annotated[float, Field(strict=True, ge=0, le=1e9)]
Count = Annotated[int, Field(strict=True, ge=1, le=100_000)]
Whole = Annotated[int, Field(strict=True, ge=0, le=10**12)]


class Flaw(Exception):
    """A wrong value and where it is; `Scenario` turns it into a `ScenarioError` that also says the line."""

    def __init__(self, path: FieldPath, text: str) -> None:
        super().__init__(text)
        self.path = path
        self.text = text


class CodeFlaw(Flaw):
    """A text that names code where only somebody who types it may."""


class Section(BaseModel):
    """A section of a scenario: frozen, and an unknown field is answered with the near names."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        model_title_generator=lambda section: section.__name__.removesuffix("Section"),
        field_title_generator=lambda name, _: titled(name),
    )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy it with some fields changed, checked like any other: pydantic's own would take whatever it is given."""
        if not update:
            return super().model_copy(deep=deep)
        return type(self)._checked({name: getattr(self, name) for name in self.model_fields_set} | dict(update))

    @classmethod
    def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:
        """Make one of fields that are checked all the same: what was not checked cannot run."""
        return cls._checked(values)

    @classmethod
    def _checked(cls, values: dict[str, Any]) -> Self:
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            wrong = first_flaw(error, values)
            raise ScenarioError(printable(f"{dotted(wrong.path) or cls.__name__} {wrong.text}")) from None

    @model_validator(mode="before")
    @classmethod
    def _names(cls, data: Any) -> Any:
        for key in data if isinstance(data, dict) else ():
            if key not in cls.model_fields:
                known = tuple(cls.model_fields)
                raise PydanticCustomError("unknown_field", "unknown field", {"field": str(key), "known": known})
        return data


@dataclass(frozen=True, slots=True)
class Range:
    """One number, or a range that the members of a group are spread over."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g}" if self.low == self.high else f"[{self.low:g}, {self.high:g}]"

    def alike(self, other: Range) -> bool:
        """Whether another range has the same ends but for rounding."""
        return math.isclose(self.low, other.low) and math.isclose(self.high, other.high)

    def even(self, count: int) -> list[float]:
        """Return `count` values evenly spaced over the range, both ends included; of one, the middle."""
        if self.low == self.high:
            return [self.low] * count
        if count == 1:
            return [tidy((self.low + self.high) / 2)]
        inner = (tidy(self.low + (self.high - self.low) * k / (count - 1)) for k in range(1, count - 1))
        return [self.low, *inner, self.high]


def clock_of_all(one: Range | None, cores: int) -> Range | None:
    """GHz over all cores of what each of them has."""
    return None if one is None else Range(one.low * cores, one.high * cores)


def tidy(value: float) -> float:
    """Round to nine decimals: 7.725, not 7.7250000000000005."""
    return round(value, 9)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _ranges(least: float, wording: str) -> Callable[[object], Range]:
    def parse(value: object) -> Range:
        if isinstance(value, Range):
            return value
        try:
            low, high = (_number(v) for v in (value if isinstance(value, list | tuple) else (value, value)))
        except (ValueError, OverflowError):
            low, high = 1.0, 0.0
        if not least <= low <= high <= LARGEST:
            bounds = _bounds(low, high, least)
            wanted = f"{wording}{bounds}, or a range [low, high] of them"
            raise PydanticCustomError("range", "{wanted}", {"wanted": wanted})
        return Range(low, high)

    return parse


def _bounds(low: float, high: float, least: float) -> str:
    """Which bound was missed, where "above 0" does not say it."""
    if high > LARGEST:
        return f" and at most {LARGEST:g}"
    return f" and at least {least:g}" if 0 < low < least else ""


def _plain(given: Range) -> float | list[float]:
    return given.low if given.low == given.high else [given.low, given.high]


def _range(least: float, wording: str) -> Any:
    number = {"type": "number", "minimum": least, "maximum": LARGEST}
    pair = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
    return (
        PlainValidator(_ranges(least, wording)),
        PlainSerializer(_plain),
        WithJsonSchema({"anyOf": [number, pair]}),
    )


PositiveRange = Annotated[Range, *_range(1e-9, "a number above 0")]
NonNegativeRange = Annotated[Range, *_range(0, "a number of at least 0")]
NOTHING: Final = Range(0.0, 0.0)
ASSUMED: Final = "default of Layerlift (assumed)"


def assume(default: Any, source: str = ASSUMED) -> Any:
    """A field that run.json lists as an assumption, with its source, where the file does not give it."""
    extra: dict[str, Any] = {"assumed": source}
    if isinstance(default, Range):
        extra["default"] = _plain(default)  # as a scenario writes it; pydantic would show the fields of a Range
    return Field(default, json_schema_extra=extra)


def first_flaw(error: ValidationError, data: object) -> Flaw:
    """Return the first thing that pydantic found wrong with `data`, in our words."""
    found = error.errors(include_url=False)
    first = _flaw(found[0], data)
    if len(found) > 1:
        first.text += f" (and {len(found) - 1} more to mend)"
    return first


_LATENCY: Final = " (the emulation needs a positive latency on every link, such as 0.1)"


def _flaw(detail: ErrorDetails, data: object) -> Flaw:
    path = _real(detail["loc"], data)
    context = detail.get("ctx", {})
    kind = detail["type"]
    if kind == "unknown_field":
        path = (*path, context["field"])
        return Flaw(path, f"is not a known field{near(context['field'], context['known'], with_unit)}")
    if kind == "flaw":
        return Flaw((*path, *context["path"]), context["text"])
    if kind == "missing":
        return Flaw(path, "is missing")
    given = detail["input"]
    hint = _LATENCY if path and path[-1] in ("latency_ms", "loopback_ms") and kind == "greater_than_equal" else ""
    if kind == "literal_error":
        words = [word.strip("' ") for word in context["expected"].replace(" or ", ",").split(",")]
        hint = near(given, words) if isinstance(given, str) else ""
        hint = hint if "did you mean" in hint else ""
    return Flaw(path, f"is {shown(given)}, expected {_expected(detail)}{hint}")


def _real(loc: tuple[int | str, ...], data: object) -> FieldPath:
    """Drop from pydantic's location what is not in the document: names of union members, `[key]`."""
    path: FieldPath = ()
    for position, part in enumerate(loc):
        inside = (isinstance(data, dict) and part in data) or (
            isinstance(data, list | tuple) and isinstance(part, int) and part < len(data)
        )
        if inside:
            data = data[part]  # type: ignore[index]
            path = (*path, part)
        elif position == len(loc) - 1 and isinstance(data, dict | list) and not str(part).startswith(("<", "[")):
            path = (*path, part)
    return path


def shown(value: object) -> str:
    """Return a value as an error message shows it: short, and as YAML writes null, true and false."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return quoted(value)


def _expected(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    match detail["type"]:
        case "greater_than_equal" if context["ge"] == 1e-9 and not detail["input"] > 0:
            return "a number above 0"
        case "greater_than_equal":
            return f"a number of at least {context['ge']:g}"
        case "less_than_equal":
            return f"a number of at most {context['le']:g}"
        case "float_type":
            return "a number"
        case "finite_number":
            return "a finite number"
        case "int_type" | "int_from_float":
            return "a whole number"
        case "string_type" | "string_too_short" | "string_too_long":
            return "a text of 1 to 500 characters"
        case "bool_type":
            return "true or false"
        case "tuple_type" | "list_type":
            return "a list"
        case "too_short":
            return f"a list of at least {context['min_length']}"
        case "too_long":
            return f"a list of at most {context['max_length']}"
        case "dict_type" | "model_type" | "model_attributes_type":
            return "fields (a mapping)"
        case "literal_error":
            return str(context["expected"]).replace("'", "")
        case "range":
            return str(context["wanted"])
        case _:
            return detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")


def expected(wanted: str) -> PydanticCustomError:
    """Return what a validator of a field raises about its value, which is none of those that `wanted` tells."""
    return PydanticCustomError("range", "{wanted}", {"wanted": wanted})


def flaw(path: FieldPath, text: str) -> PydanticCustomError:
    """Return what a validator of a section raises about one of its fields: `path` is relative to the section."""
    return PydanticCustomError("flaw", "{text}", {"path": path, "text": text})


__all__ = [
    "ASSUMED",
    "GB",
    "MB",
    "MBIT",
    "NOTHING",
    "CodeFlaw",
    "Count",
    "Duration",
    "Flag",
    "Flaw",
    "Instant",
    "NonNegative",
    "NonNegativeRange",
    "Number",
    "Positive",
    "PositiveRange",
    "Range",
    "Section",
    "Text",
    "Whole",
    "assume",
    "clock_of_all",
    "dotted",
    "expected",
    "first_flaw",
    "flaw",
    "shown",
    "tidy",
]
