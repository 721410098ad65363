"""The sections of a scenario file for links: those between tiers, and pairs of nodes that differ."""

from __future__ import annotations

from pydantic import model_validator

from layerlift.emulator.scenario.schema.fields import (
    ASSUMED,
    MB,
    MBIT,
    Flag,
    NonNegative,
    Positive,
    Section,
    Text,
    assume,
    flaw,
)


def one_rate(section: Section, of: str) -> bool:
    """Whether a rate is given, in one unit. Refuses it in both."""
    given = [name for name in (f"{of}_mb_s", f"{of}_mbit_s") if getattr(section, name) is not None]
    if len(given) == 2:
        raise flaw((given[1],), f"is given beside {given[0]}: expected one of the two (1 MB/s is 8.388608 Mbit/s)")
    return bool(given)


class RatedSection(Section):
    """What has a bandwidth, in one of two units."""

    bandwidth_mb_s: Positive | None = None
    bandwidth_mbit_s: Positive | None = None
    """Instead of `bandwidth_mb_s`."""

    @property
    def bandwidth_bytes_s(self) -> float | None:
        """Bytes per second, if it is given."""
        if self.bandwidth_mbit_s is not None:
            return self.bandwidth_mbit_s * MBIT
        return None if self.bandwidth_mb_s is None else self.bandwidth_mb_s * MB


class LinkSection(RatedSection):
    """Between any two nodes of two tiers: each pair has it for itself."""

    latency_ms: Positive
    price_per_gb: NonNegative = assume(0.0, f"{ASSUMED}: not charged")

    @model_validator(mode="after")
    def _rated(self) -> LinkSection:
        if not one_rate(self, "bandwidth"):
            raise flaw(("bandwidth_mb_s",), "is missing, and so is bandwidth_mbit_s: expected one of the two")
        return self


class PairSection(RatedSection):
    """Two nodes whose link differs from that of their tiers; what is left out stays."""

    between: tuple[Text, Text]
    one_way: Flag = False
    """Only from the first to the second."""
    latency_ms: Positive | None = None
    price_per_gb: NonNegative | None = None

    @model_validator(mode="after")
    def _rated(self) -> PairSection:
        one_rate(self, "bandwidth")
        return self
