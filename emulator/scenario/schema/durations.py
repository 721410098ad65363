"""How long something takes each time: a number of seconds, or the law that it is drawn from."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Discriminator, Tag, model_validator

from layerlift.emulator.scenario.schema.fields import NonNegative, Positive, Section, flaw
from layerlift.emulator.world import laws


class ExponentialDraw(Section):
    """Exponential with this mean in seconds."""

    exponential: Positive

    def law(self) -> laws.Draw:
        """Return the law as a world carries it."""
        return laws.Exponential(self.exponential)


class UniformDraw(Section):
    """Any number of seconds between two ends alike."""

    uniform: tuple[NonNegative, NonNegative]

    @model_validator(mode="after")
    def _ascending(self) -> UniformDraw:
        if self.uniform[0] > self.uniform[1]:
            raise flaw(("uniform",), f"is {list(self.uniform)}, expected [low, high]")
        return self

    def law(self) -> laws.Draw:
        """Return the law as a world carries it."""
        return laws.Uniform(*self.uniform)


def draw_of(given: float | ExponentialDraw | UniformDraw) -> laws.Draw:
    """Return the law of a field that is a number or a law."""
    return laws.Fixed(given) if isinstance(given, int | float) else given.law()


def _law(value: Any) -> str | None:
    if isinstance(value, int | float):
        return "<seconds>"
    keys = value if isinstance(value, dict) else type(value).model_fields if isinstance(value, Section) else ()
    return next((f"<{key}>" for key in ("exponential", "uniform") if key in keys), None)


_WHICH: Final = Discriminator(
    _law,
    custom_error_type="draw",
    custom_error_message="a number of seconds, {exponential: mean} or {uniform: [low, high]}",
)
_Laws = Annotated[ExponentialDraw, Tag("<exponential>")] | Annotated[UniformDraw, Tag("<uniform>")]
Pause = Annotated[Annotated[NonNegative, Tag("<seconds>")] | _Laws, _WHICH]
"""Seconds of at least 0, or a law."""
Spell = Annotated[Annotated[Positive, Tag("<seconds>")] | _Laws, _WHICH]
"""Seconds above 0, or a law."""
