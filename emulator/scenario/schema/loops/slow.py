"""`replan: {when: slow}`: users who ask for another plan when theirs does not keep its promise."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from layerlift.emulator.scenario.schema.fields import LARGEST, Duration, Positive, Section, assume, expected

Factor = Annotated[float, Field(strict=True, ge=1, le=LARGEST)]


class SlowSection(Section):
    """A user asks anew when its queries take longer than promised, and goes back when that was worse."""

    when: Literal["slow"]
    factor: Factor = assume(1.5)
    """How many times the promise the mean latency must be."""
    for_s: Duration = assume(5.0)
    """Over which time it is seen, and for how long at least."""
    cooldown_s: Duration = assume(30.0)
    """From one asking to the next; doubles with each that was in vain."""


def _shaped(value: Any) -> Any:
    """Refuse what is none of the three; a misspelt word is told by itself."""
    shapes = str | int | float | dict | SlowSection
    if value == "slow" or isinstance(value, bool) or not isinstance(value, shapes):
        raise expected("never, on_change, a number of seconds, or {when: slow}")
    return value


def _replan(value: Any) -> str:
    if isinstance(value, dict | SlowSection):
        return "<slow>"
    return "<word>" if isinstance(value, str) else "<seconds>"


Replan = Annotated[
    Annotated[Literal["never", "on_change"], Tag("<word>")]
    | Annotated[Positive, Tag("<seconds>")]
    | Annotated[SlowSection, Tag("<slow>")],
    Discriminator(_replan),
    BeforeValidator(_shaped),
]
"""When a user asks for another plan."""
