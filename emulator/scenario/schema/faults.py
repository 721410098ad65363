"""What breaks and who moves, as a scenario lists it: a tagged union in which one key tells the kind. Only shapes."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, PlainSerializer, PlainValidator, Tag, model_validator

from layerlift.emulator.scenario.schema.fields import (
    NOTHING,
    Flag,
    NonNegative,
    NonNegativeRange,
    PositiveRange,
    Section,
    Text,
    assume,
    flaw,
    shown,
)

Duration = Annotated[float, Field(strict=True, ge=0.001, le=1e9)]
"""Seconds; not so short that a run would do nothing else."""
Instant = Annotated[float, Field(strict=True, ge=0, le=1e9)]
Share = Annotated[float, Field(strict=True, ge=0, lt=1)]
Metres = Annotated[float, Field(strict=True, ge=1, le=1e6)]

LONGEST_NAME: Final = 500
SLOWEST_M_S, FASTEST_M_S = 0.001, 1000.0


def _where(given: Any) -> str | tuple[str, str]:
    names = given if isinstance(given, list | tuple) and len(given) == 2 else (given,)
    if not all(isinstance(name, str) and 0 < len(name) <= LONGEST_NAME for name in names):
        wanted = "a pair of tiers such as client-edge, a node, or [node, node]"
        raise flaw((), f"is {shown(given)}, expected {wanted}")
    return names[0] if len(names) == 1 else (names[0], names[1])


def _written(names: Any) -> Any:
    return names if isinstance(names, str) else list(names)


LinkNames = Annotated[str | tuple[str, str], PlainValidator(_where), PlainSerializer(_written)]


def _names(given: Any) -> tuple[str, ...]:
    names = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not names or not all(isinstance(name, str) and 0 < len(name) <= LONGEST_NAME for name in names):
        raise flaw((), f"is {shown(given)}, expected a name or a list of names")
    return names


NameList = Annotated[tuple[str, ...], PlainValidator(_names), PlainSerializer(_written)]


class OutageSection(Section):
    """Links are down for a span."""

    outage: LinkNames
    at_s: Instant
    for_s: Duration
    every_s: Duration | None = None
    """Again with this period."""
    one_way: Flag = False
    """Only from the first end to the second."""

    @model_validator(mode="after")
    def _gaps(self) -> OutageSection:
        _fits(self.for_s, self.every_s)
        return self


class OnOffSection(Section):
    """Links come and go: exponential sojourns, each pair of nodes by itself, up first (Gilbert-Elliott)."""

    on_off: LinkNames
    on_s: Duration
    """Mean of the times up."""
    off_s: Duration
    one_way: Flag = False


class LossSection(Section):
    """Each message is lost with a probability; in bursts with the three `bad` and `good` fields."""

    loss: LinkNames
    share: Share
    bad_share: Share | None = None
    good_s: Duration | None = None
    bad_s: Duration | None = None
    one_way: Flag = False

    @model_validator(mode="after")
    def _whole(self) -> LossSection:
        given = {name: getattr(self, name) for name in ("bad_share", "good_s", "bad_s")}
        missing = [name for name, value in given.items() if value is None]
        if missing and len(missing) < len(given):
            raise flaw((missing[0],), "is missing: bursts take bad_share, good_s and bad_s together")
        return self


class TraceSection(Section):
    """Links follow a file with the columns time_s, bandwidth_mb_s and latency_ms (one of the two may be missing)."""

    trace: LinkNames
    file: Text
    repeat: Flag | Duration = False
    """From the beginning again: true when its last row has lasted as long as the one before, or this period in s."""
    one_way: Flag = False


class CrashSection(Section):
    """Servers are dead for a span and lose their stores: at a given time, or at random, each by itself."""

    crash: NameList
    at_s: Instant | None = None
    for_s: Duration | None = None
    """Until it is alive again; for ever when left out."""
    every_s: Duration | None = None
    mean_up_s: Duration | None = None
    mean_down_s: Duration | None = None

    @model_validator(mode="after")
    def _one_way_or_the_other(self) -> CrashSection:
        means = {name: getattr(self, name) for name in ("mean_up_s", "mean_down_s")}
        times = [name for name in ("at_s", "for_s", "every_s") if getattr(self, name) is not None]
        missing = [name for name, value in means.items() if value is None]
        if len(missing) == len(means):
            if self.at_s is None:
                raise flaw(("at_s",), "is missing: expected at_s, or mean_up_s and mean_down_s")
            if self.every_s is not None and self.for_s is None:
                raise flaw(("for_s",), "is missing: what crashes every_s must come back in between")
            _fits(self.for_s, self.every_s)
        elif missing:
            raise flaw((missing[0],), "is missing: mean_up_s and mean_down_s are given together")
        elif times:
            raise flaw((times[0],), "is given beside mean_up_s: expected a time or means")
        return self


def _fits(for_s: float | None, every_s: float | None) -> None:
    if for_s is not None and every_s is not None and not for_s < every_s:
        raise flaw(("for_s",), f"is {for_s:g}, expected less than every_s ({every_s:g})")


class MoveSection(Section):
    """Clients walk at random in a rectangle (random waypoint) and are attached to the nearest edge server."""

    move: NameList
    """Kinds of users, or clients."""
    within_m: tuple[Metres, Metres]
    """Width and height."""
    speed_m_s: PositiveRange
    """Drawn for each way, uniform over a range `[low, high]`."""
    pause_s: NonNegativeRange = assume(NOTHING)
    """Drawn at each place."""
    edges_m: dict[Text, tuple[NonNegative, NonNegative]] | None = Field(None, min_length=1)
    """Places of edge servers, [x, y]; on a grid over the area when left out."""
    hysteresis_m: Annotated[float, Field(strict=True, ge=0, le=1e6)] = assume(0.0)
    """Another server must be nearer by more than this."""
    interruption_ms: NonNegative = assume(0.0)
    """How long a hand-over cuts the client off from all servers."""
    handover: Literal["reupload", "copy", "forward"] = "reupload"

    @model_validator(mode="after")
    def _possible(self) -> MoveSection:
        if not SLOWEST_M_S <= self.speed_m_s.low <= self.speed_m_s.high <= FASTEST_M_S:
            given = [self.speed_m_s.low, self.speed_m_s.high]
            raise flaw(("speed_m_s",), f"is {given}, expected {SLOWEST_M_S:g} to {FASTEST_M_S:g}, or a range of them")
        for name, place in (self.edges_m or {}).items():
            if place[0] > self.within_m[0] or place[1] > self.within_m[1]:
                raise flaw(("edges_m", name), f"is {list(place)}, expected a place within_m {list(self.within_m)}")
        return self


class JourneySection(Section):
    """Clients are attached as a file says: columns time_s, client, edge."""

    journey: Text
    """The file."""
    interruption_ms: NonNegative = assume(0.0)
    handover: Literal["reupload", "copy", "forward"] = "reupload"


KINDS: Final = ("outage", "on_off", "loss", "trace", "crash", "move", "journey")


def _kind(value: Any) -> str | None:
    keys = value if isinstance(value, dict) else type(value).model_fields if isinstance(value, Section) else ()
    return next((f"<{kind}>" for kind in KINDS if kind in keys), None)


AnyFault = Annotated[
    Annotated[OutageSection, Tag("<outage>")]
    | Annotated[OnOffSection, Tag("<on_off>")]
    | Annotated[LossSection, Tag("<loss>")]
    | Annotated[TraceSection, Tag("<trace>")]
    | Annotated[CrashSection, Tag("<crash>")]
    | Annotated[MoveSection, Tag("<move>")]
    | Annotated[JourneySection, Tag("<journey>")],
    Discriminator(
        _kind,
        custom_error_type="fault_kind",
        custom_error_message=f"one with the key {', '.join(KINDS[:-1])} or {KINDS[-1]}",
    ),
]
