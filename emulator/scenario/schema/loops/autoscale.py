"""`autoscale` of a group of servers: as many of them are on as their use asks for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from layerlift.emulator.scenario.schema.fields import Count, Duration, Instant, Section, assume, flaw

Use = Annotated[float, Field(strict=True, ge=0.01, le=1)]


class AutoscaleSection(Section):
    """How many servers of a group are on, and how soon that follows their use."""

    min: Count = 1
    """On from the start, and always."""
    max: Count | None = None
    """On at once; null: all of the group."""
    target_use: Use = assume(0.6)
    """Share of the cores' time that is to be busy."""
    start_s: Instant = assume(30.0)
    """From being switched on until it serves."""
    stop_s: Instant = assume(10.0)
    """From word to its users until it is off."""
    check_s: Duration = assume(5.0)
    """How often its use is told and looked at."""
    calm_s: Instant = assume(60.0)
    """How long fewer must have been enough before one is switched off."""

    @model_validator(mode="after")
    def _ordered(self) -> AutoscaleSection:
        if self.max is not None and self.max < self.min:
            raise flaw(("max",), f"is {self.max}, expected at least min ({self.min})")
        return self

    def suits(self, tier: str, count: int) -> None:
        """Raise what is wrong with it for a group of a tier, of so many machines, as a flaw of that group."""
        if tier == "client":
            raise flaw(("autoscale",), "is given for clients: expected it for a group of servers")
        for name, given in (("min", self.min), ("max", self.max)):
            if given is not None and given > count:
                raise flaw(("autoscale", name), f"is {given}, expected at most the count of the group ({count})")
