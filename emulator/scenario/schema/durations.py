"""How long something takes each time: a number of seconds, or the law that it is drawn from.

A new law is one more class here, in `DRAWS`, and one more `Draw` in `layerlift.emulator.world.laws`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, model_validator

from layerlift.emulator.scenario.schema.fields import NonNegative, Positive, Section, flaw
from layerlift.emulator.scenario.schema.unions import one_of
from layerlift.emulator.world import laws


class DrawSection(Section):
    """What all laws can do. The first field is the key that tells the law."""

    example: ClassVar[str]
    """How it is written, as an error message shows it."""

    @abstractmethod
    def law(self) -> laws.Draw:
        """Return the law as a world carries it."""


class ExponentialDraw(DrawSection):
    """Exponential with this mean in seconds."""

    example = "{exponential: mean}"

    exponential: Positive

    def law(self) -> laws.Draw:
        """See `DrawSection`."""
        return laws.Exponential(self.exponential)


class UniformDraw(DrawSection):
    """Any number of seconds between two ends alike."""

    example = "{uniform: [low, high]}"

    uniform: tuple[NonNegative, NonNegative]

    @model_validator(mode="after")
    def _ascending(self) -> UniformDraw:
        if self.uniform[0] > self.uniform[1]:
            raise flaw(("uniform",), f"is {list(self.uniform)}, expected [low, high]")
        return self

    def law(self) -> laws.Draw:
        """See `DrawSection`."""
        return laws.Uniform(*self.uniform)


def draw_of(given: float | DrawSection) -> laws.Draw:
    """Return the law of a field that is a number or a law."""
    return laws.Fixed(given) if isinstance(given, int | float) else given.law()


DRAWS: Final[tuple[type[DrawSection], ...]] = (ExponentialDraw, UniformDraw)
"""Every law."""


def any_draw(sections: Sequence[type[DrawSection]], seconds: Any) -> Any:
    """The type of a field that takes a number (`seconds` is its type), or one of these laws."""
    *examples, last = ("a number of seconds", *(section.example for section in sections))
    return one_of(sections, "draw", f"{', '.join(examples)} or {last}", seconds=seconds)


def lasting(given: float | DrawSection) -> float | DrawSection:
    """Refuse a law that never gives any time: one whose mean is 0, as no law gives less than 0."""
    if draw_of(given).mean_s > 0.0:
        return given
    raise flaw((), "is a law that always gives 0 s, expected some that give more")


if TYPE_CHECKING:
    Pause = float | DrawSection
    Spell = float | DrawSection
else:
    Pause = any_draw(DRAWS, NonNegative)
    """Seconds of at least 0, or a law."""
    Spell = Annotated[any_draw(DRAWS, Positive), AfterValidator(lasting)]
    """Seconds above 0, or a law that gives some."""
