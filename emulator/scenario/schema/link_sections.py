"""The sections of a scenario file for links: between tiers, of pairs that differ, and media that many links share."""

from __future__ import annotations

from math import inf
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

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
    expected,
    flaw,
)


def one_rate(section: Section, of: str) -> bool:
    """Whether a rate is given, in one unit. Refuses it in both."""
    given = [name for name in (f"{of}_mb_s", f"{of}_mbit_s") if getattr(section, name) is not None]
    if len(given) == 2:
        raise flaw((given[1],), f"is given beside {given[0]}: expected one of the two (1 MB/s is 8.388608 Mbit/s)")
    return bool(given)


def _listed(given: Any) -> Any:
    if given is not None and not isinstance(given, str | list | tuple):
        raise expected("the name of a shared medium, or a list of names")
    return (given,) if isinstance(given, str) else given


MOST_MEDIA: Final = 1000
_NAME: Final = {"type": "string", "minLength": 1, "maxLength": 500}

MediumNames = Annotated[
    tuple[Text, ...],
    Field(max_length=MOST_MEDIA),
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [_NAME, {"type": "array", "items": _NAME, "maxItems": MOST_MEDIA}]}),
]
"""One medium or several."""


Efficiency = Annotated[float, Field(strict=True, ge=0.01, le=1)]
Wait = Annotated[float, Field(strict=True, ge=0, le=600_000)]
Weight = Annotated[float, Field(strict=True, ge=0.01, le=100)]
TransportProfile = Literal["fair", "bbr", "modem"]
BUFFERED: Final = "modem"
"""The profile that has a buffer."""


class TransportSection(Section):
    """What a transport such as TCP makes of it. A profile gives all four numbers, which fields beside it replace."""

    profile: TransportProfile | None = None
    """`fair` (fair queueing), `bbr`, or `modem`: a drop-tail buffer with CUBIC or Reno."""
    buffer_ms: Wait | None = None
    """With `profile: modem`: what its buffer holds, in time at full bandwidth (50)."""
    efficiency: Efficiency | None = None
    """Share of the bandwidth that carries payload: 0.956 for TCP over Ethernet."""
    queue_ms: Wait | None = None
    """What a message waits that starts while an upload fills it, one way."""
    query_weight: Weight | None = None
    """Of all that is no upload against uploads, where they share."""
    slow_start: Flag | None = None
    """Whether a connection that has been idle is slow at first."""

    @model_validator(mode="after")
    def _buffered(self) -> TransportSection:
        if self.buffer_ms is not None and self.profile != BUFFERED:
            raise flaw(("buffer_ms",), f"is given without profile: {BUFFERED}, which alone has a buffer")
        return self


class MediumSection(TransportSection):
    """What many paths share: a site's uplink, a cell, a back-haul. What crosses it one way shares that way's rate."""

    up_mb_s: Positive | None = assume(None, f"{ASSUMED}: unlimited")
    """Away from what is behind it."""
    down_mb_s: Positive | None = assume(None, f"{ASSUMED}: unlimited")
    up_mbit_s: Positive | None = None
    """Instead of `up_mb_s`."""
    down_mbit_s: Positive | None = None
    """Instead of `down_mb_s`."""
    latency_ms: NonNegative = assume(0.0, f"{ASSUMED}: none of its own")
    """Of each crossing, either way, on top of the link's."""
    price_per_gb: NonNegative = assume(0.0, f"{ASSUMED}: not charged")
    behind: Text | None = None
    """The medium that it is itself behind."""

    @model_validator(mode="after")
    def _rated(self) -> MediumSection:
        given = [one_rate(self, of) for of in ("up", "down")]
        if not any(given):
            raise flaw(("up_mb_s",), "is missing, and so is down_mb_s: expected one of the two at least")
        return self

    def bytes_s(self, of: str) -> float:
        """Bytes per second of one way (`up` or `down`), infinite where it is not given."""
        mb_s, mbit_s = {"up": (self.up_mb_s, self.up_mbit_s), "down": (self.down_mb_s, self.down_mbit_s)}[of]
        return inf if mb_s is None and mbit_s is None else mb_s * MB if mb_s is not None else (mbit_s or 0.0) * MBIT


class RatedSection(TransportSection):
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
    via: MediumNames = ()
    """Media that it crosses from its first end to its second, up; back, in the other order, down."""
    efficiency: Efficiency = assume(1.0, f"{ASSUMED}: all of the bandwidth carries payload")
    queue_ms: Wait = assume(0.0, f"{ASSUMED}: nobody waits behind an upload")
    query_weight: Weight = assume(1.0, f"{ASSUMED}: queries and uploads share evenly")
    slow_start: Flag = assume(False, f"{ASSUMED}: connections are always warm")

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
    via: MediumNames | None = None

    @model_validator(mode="after")
    def _rated(self) -> PairSection:
        one_rate(self, "bandwidth")
        return self
