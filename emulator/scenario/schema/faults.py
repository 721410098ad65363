"""What breaks, as a scenario lists it: sections that one key tells apart. `FAULTS` lists all, those who move included.

A new kind is one more section here, in `FAULTS`, and one more fault in `layerlift.emulator.world.faults`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Final

from pydantic import model_validator

from layerlift.emulator.scenario.schema.fault_section import FaultSection, LinkNames, NameList, Share
from layerlift.emulator.scenario.schema.fields import Duration, Flag, Instant, Text, flaw
from layerlift.emulator.scenario.schema.instants import Start
from layerlift.emulator.scenario.schema.link_traces import COLUMNS, OPTIONAL, link_points, period_s
from layerlift.emulator.scenario.schema.moves import JourneySection, MoveSection
from layerlift.emulator.scenario.schema.names import Machines, Names
from layerlift.emulator.scenario.schema.unions import key_of, one_of
from layerlift.emulator.world import faults
from layerlift.emulator.world.faults import Fault
from layerlift.emulator.world.mobility import Mobility


class OutageSection(FaultSection):
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

    def check(self, names: Names) -> None:
        """See `FaultSection`."""
        names.check_links(self.outage, "outage")

    def resolve(self, machines: Machines) -> Sequence[Fault | Mobility]:
        """See `FaultSection`."""
        pairs = machines.pairs(self.outage, self.one_way)
        return [faults.Outage(pairs, self.at_s, self.for_s, self.every_s)]


class OnOffSection(FaultSection):
    """Links come and go: exponential sojourns, each pair of nodes by itself, up first (Gilbert-Elliott)."""

    on_off: LinkNames
    on_s: Duration
    """Mean of the times up."""
    off_s: Duration
    one_way: Flag = False

    def check(self, names: Names) -> None:
        """See `FaultSection`."""
        names.check_links(self.on_off, "on_off")

    def resolve(self, machines: Machines) -> Sequence[Fault | Mobility]:
        """See `FaultSection`."""
        return [faults.OnOff(machines.pairs(self.on_off, self.one_way), self.on_s, self.off_s)]


class LossSection(FaultSection):
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

    def check(self, names: Names) -> None:
        """See `FaultSection`."""
        names.check_links(self.loss, "loss")

    def resolve(self, machines: Machines) -> Sequence[Fault | Mobility]:
        """See `FaultSection`."""
        pairs = machines.pairs(self.loss, self.one_way)
        if self.good_s is None or self.bad_s is None:
            return [faults.Loss(pairs, self.share)]
        return [faults.Loss(pairs, self.share, self.bad_share, self.good_s, self.bad_s)]


class TraceSection(FaultSection):
    """Links follow a file with the columns time_s, bandwidth_mb_s and latency_ms (one of the two may be missing)."""

    trace: LinkNames
    file: Text
    repeat: Flag | Duration = False
    """From the beginning again: true when its last row has lasted as long as the one before, or this period in s."""
    start_s: Start = 0.0
    """When second 0 of the file is; below 0 for a file that counts from long ago, such as from 1970."""
    one_way: Flag = False

    def check(self, names: Names) -> None:
        """See `FaultSection`."""
        names.check_links(self.trace, "trace")

    def resolve(self, machines: Machines) -> Sequence[Fault | Mobility]:
        """See `FaultSection`."""
        table = machines.read(self.file, "file", COLUMNS, OPTIONAL)
        points = link_points(table, self.file, self.start_s)
        again_s = period_s(self.repeat, [at_s for at_s, _, _ in points], self.file)
        return [faults.Trace(machines.pairs(self.trace, self.one_way), points, again_s)]


class CrashSection(FaultSection):
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

    def check(self, names: Names) -> None:
        """See `FaultSection`."""
        names.check_servers(self.crash, "crash")

    def resolve(self, machines: Machines) -> Sequence[Fault | Mobility]:
        """See `FaultSection`."""
        for_s = inf if self.for_s is None else self.for_s
        servers = machines.servers(self.crash)
        return [faults.Crash(servers, self.at_s or 0.0, for_s, self.every_s, self.mean_up_s, self.mean_down_s)]


def _fits(for_s: float | None, every_s: float | None) -> None:
    if for_s is not None and every_s is not None and not for_s < every_s:
        raise flaw(("for_s",), f"is {for_s:g}, expected less than every_s ({every_s:g})")


FAULTS: Final[tuple[type[FaultSection], ...]] = (
    *(OutageSection, OnOffSection, LossSection, TraceSection, CrashSection),
    *(MoveSection, JourneySection),
)
"""Every kind of entry."""


def any_fault(sections: Sequence[type[FaultSection]]) -> Any:
    """The type of an entry that is one of these sections."""
    *keys, last = map(key_of, sections)
    return one_of(sections, "fault_kind", f"one with the key {', '.join(keys)} or {last}")


if TYPE_CHECKING:
    AnyFault = FaultSection
else:
    AnyFault = any_fault(FAULTS)
