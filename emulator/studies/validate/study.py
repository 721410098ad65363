"""`validate`: what a program calls, and what `layerlift validate` calls for it."""

from __future__ import annotations

import datetime
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from layerlift.emulator.report import validated
from layerlift.emulator.report.formatting import count
from layerlift.emulator.results.places import folder_of
from layerlift.emulator.results.versions import versions
from layerlift.emulator.runtime.interruption import felt
from layerlift.emulator.studies.validate import page
from layerlift.emulator.studies.validate.budget import ALL_S, STARTING_S, Planned, asked, queries, shares, within_budget
from layerlift.emulator.studies.validate.emulated import Twin, emulate
from layerlift.emulator.studies.validate.kernel import KINDS, Kind, Namespaces, Shape, check
from layerlift.emulator.studies.validate.kernel import LATENCY_S as KERNEL_LATENCY_S
from layerlift.emulator.studies.validate.processes.children import Children
from layerlift.emulator.studies.validate.real import WARM, Machines, Way, measured_transport, started
from layerlift.emulator.studies.validate.records import Round, interference
from layerlift.emulator.studies.validate.situations import Situation, situations
from layerlift.emulator.studies.validate.validation import Validation
from layerlift.emulator.studies.validate.verdicts import Row, Standing, rows
from layerlift.models.errors import ModelError, RunError, quoted
from layerlift.models.loading.dimensions import Fixed
from layerlift.models.loading.load import load
from layerlift.models.loading.zoo import is_known
from layerlift.models.onnx_files.runtime import ort
from layerlift.models.running.network import Network
from layerlift.models.sums import int_sum, left_sum
from layerlift.models.timing import this_machine
from layerlift.models.timing.measuring import measure, timed
from layerlift.models.timing.profile import Profile, within

Progress = Callable[[str, float, float], None]
"""Called with (what is done, seconds that are over, seconds in all)."""

DEFAULT: Final = ("squeezenet", 2.0 * (1 << 20), 5)
FULL: Final = ("alexnet", 80e6 / 8, 3)
LATENCY_S: Final = 0.001
LEAST_BYTES_S, MOST_BYTES_S = 50e3, 200e6
MOST_REPEATS: Final = 100
_LIMIT_S: Final = 600.0
"""After which processes end by themselves."""
MOST_QUERY_S: Final = 2.0
_PROFILE_S: Final = 1.5
"""For each of the five ways in which a network is run to be measured."""
_PREPARE_S: Final = 0.5
_MORE_PROFILES: Final = 2
"""After one that the rest could not be judged by."""


def validate(
    model: str | Path | None = None,
    *,
    bandwidth_bytes_s: float | None = None,
    repeats: int | None = None,
    full: bool = False,
    dims: Mapping[str, int] | None = None,
    fix: Mapping[str, Fixed] | None = None,
    outputs: Sequence[str] = (),
    out: Path | str | None = None,
    force: bool = False,
    progress: Progress | None = None,
    kernel: Shape | None = None,
    bandwidth_off: float = 1.0,
    ghz_off: float = 1.0,
    keep: bool = True,
) -> Validation:
    """See whether the emulation is true on this machine: processes, layers and sockets beside the same, emulated.

    A client and one or two servers are processes of this machine, connected over loopback by a link that senders pace
    themselves; queries come before, beside and after the upload of a network's parts. `model` is a name of the zoo or
    a file (`dims`, `fix` and `outputs` as in `load`); left out, SqueezeNet at 2 MB/s five times, which takes about a
    minute, or, with `full`, AlexNet at 80 Mbit/s three times, two and a half. What would take more than three minutes
    is repeated less often. `out` is a folder for validate.json and validate.html.

    `kernel` takes the kernel's network for the link, between namespaces, which only root may: `fair`, `sender`, `bbr`
    or `modem`; the emulation's links have the fields of such a transport. `bandwidth_off` tells the emulation so many
    times the real bandwidth, `ghz_off` so many times this machine's clock: checks that a wrong emulation is found. With
    `keep` the result is kept in the cache, for the reports of later runs, when there is a verdict on a link of senders
    that pace themselves. Raises a `LayerliftError` for what cannot be tried; an interrupt ends all processes, and
    nothing is written.
    """
    folder = folder_of(out) if out is not None else None
    page.check(folder, force)
    request = _Asked(model, bandwidth_bytes_s, repeats, full, dims, fix, outputs, kernel, bandwidth_off, ghz_off)
    with felt():
        found = request.carried_out(progress or (lambda what, over, total: None))
    if folder is not None:
        page.write(found, folder)
    right = kernel is None and bandwidth_off == ghz_off == 1
    if keep and right and found.holds is not None and not math.isnan(found.worst):
        # Where the cache cannot be written nothing is lost but a sentence in reports.
        with suppress(ModelError):
            validated.keep(found.date, found.worst, found.holds, f"{found.network}, {found.link}")
    return found


class _Asked:
    """What was asked for, checked: nothing has been started."""

    def __init__(
        self,
        model: str | Path | None,
        bytes_s: float | None,
        repeats: int | None,
        full: bool,
        dims: Mapping[str, int] | None,
        fix: Mapping[str, Fixed] | None,
        outputs: Sequence[str],
        kernel: Shape | None,
        bandwidth_off: float,
        ghz_off: float,
    ) -> None:
        if kernel is not None:
            check(kernel)
        self.kernel = kernel
        self.kind = None if kernel is None else KINDS[kernel]
        self.transport: Mapping[str, Any] = {}
        usual = FULL if full else DEFAULT
        self.bytes_s = checked("the bandwidth", usual[1] if bytes_s is None else bytes_s)
        self.repeats = usual[2] if repeats is None else repeats
        if not 1 <= self.repeats <= MOST_REPEATS:
            raise RunError(f"repeats is {quoted(self.repeats)}, expected 1 to {MOST_REPEATS}")
        for what, off in (("bandwidth_off", bandwidth_off), ("ghz_off", ghz_off)):
            if not 0.01 <= off <= 100:
                raise RunError(f"{what} is {off:g}, expected 0.01 to 100 times the real one")
        self.bandwidth_off, self.ghz_off = bandwidth_off, ghz_off
        self._due_s = math.inf
        if not isinstance(model, str | os.PathLike | None):
            raise RunError(f"the model is {quoted(model)}, expected the name of a network or the path of a file")
        name = str(usual[0] if model is None else model)
        # Processes start elsewhere: a file needs its whole name.
        source = name if is_known(name) or not Path(name).exists() else str(Path(name).absolute())
        self.source = {"name": source, "dims": dict(dims or {}), "fix": dict(fix or {}), "outputs": list(outputs)}
        self.network = load(source, dims=dims, fix=fix, outputs=outputs)
        self.network.weights()

    def carried_out(self, say: Progress) -> Validation:
        """Measure, run and emulate."""
        load_1, _, _ = os.getloadavg()
        self._due_s = time.monotonic() + ALL_S
        profile = steady(self.network, say)
        chosen = situations(self.network.graph, profile.seconds, self.bytes_s)
        if self.kernel is not None:
            chosen = [each for each in chosen if each.servers == 1]
        # Children end before the network that they are in.
        with tempfile.TemporaryDirectory() as folder, self._network() as way, Children() as children:
            file = Path(folder) / "profile.json"
            profile.save(file)
            if self.kind is not None:
                self.transport = transport(self.kind, children, way, say)
            plan, notes = self._planned(chosen, profile, file)
            say("starting processes", 0.0, ALL_S)
            machines = started(children, self.network, self.source, [each.situation for each in plan], way, _LIMIT_S)
            found = self._rounds(machines, plan, say)
            if int_sum(len(rounds) for _, rounds in found) < int_sum(each.repeats for each in plan):
                notes.append("This machine was slower than was foretold: not all repeats were carried out in time.")
            twin = self._twin(file, profile, machines.books.load_s_per_byte)
            twin = replace(twin, ghz=twin.ghz * self.ghz_off, bytes_s=twin.bytes_s * self.bandwidth_off)
            told = [row for each, rounds in found for row in self._rows(each, rounds, twin, profile)]
        every = [each for _, rounds in found for each in rounds]
        books = machines.books
        return Validation(
            network=self.network.name,
            link=self._link(),
            rows=tuple(told),
            standing=Standing(interference(every), books.rate_error(self.bytes_s), profile.coverage),
            goodput_bytes_s=books.uploaded / books.upload_s,
            output_error=max(each.error for each in every),
            host=this_machine.description(),
            load=load_1,
            cores=os.cpu_count() or 1,
            transport=dict(self.transport),
            versions={**versions(), "onnxruntime": ort.__version__},
            date=datetime.date.today().isoformat(),
            repeats=len(found[0][1]),
            bandwidth_off=self.bandwidth_off,
            ghz_off=self.ghz_off,
            notes=tuple(notes),
        )

    @contextmanager
    def _network(self) -> Iterator[Way]:
        """What connects the processes."""
        if self.kernel is None:
            yield Way(self.bytes_s, LATENCY_S)
            return
        with Namespaces(self.kernel, self.bytes_s) as made:
            yield made.way()

    def _link(self) -> str:
        of = f"a link of {rate(self.bytes_s)}"
        return of if self.kind is None else f"{of} of the kernel's, {self.kind.words}, TCP with {self.kind.congestion}"

    def _twin(self, file: Path, profile: Profile, load_s_per_byte: float) -> Twin:
        if self.kind is None:
            return Twin(file, profile.ghz, self.bytes_s, LATENCY_S, load_s_per_byte)
        return Twin(file, profile.ghz, self.bytes_s, KERNEL_LATENCY_S, load_s_per_byte, self.transport)

    def _planned(self, chosen: Sequence[Situation], profile: Profile, file: Path) -> tuple[list[Planned], list[str]]:
        """How often what is tried, so that it all ends in time: the emulation foretells how long a round takes."""
        twin = self._twin(file, profile, 0.0)
        plan = [self._foretold(number, situation, profile, twin) for number, situation in enumerate(chosen)]
        left_s = max(0.0, self._due_s - time.monotonic() - STARTING_S)
        kept, repeats = within_budget([each.round_s for each in plan], self.repeats, left_s)
        if not kept:
            raise RunError(
                f"{self.network.name} took {ALL_S - STARTING_S - left_s:.0f} s to be measured, and one upload at "
                f"{rate(self.bytes_s)} with its queries takes {plan[0].round_s:.0f} s, expected three minutes in all: "
                "let nothing else run, or give a larger --bandwidth or a smaller network"
            )
        notes = []
        if kept < len(plan):
            left = " and ".join(each.situation.name for each in plan[kept:])
            notes.append(f"Left out for want of time: {left}.")
        if repeats < self.repeats:
            notes.append(f"{count(repeats, 'repeat')} instead of {self.repeats}, so that it ends within three minutes.")
        often = shares(repeats, kept)
        return [
            replace(each, repeats=number, before=before, after=after)
            for each, number in zip(plan[:kept], often, strict=True)
            for before, after in [asked(each, profile.total_s, number)]
        ], notes

    def _foretold(self, number: int, situation: Situation, profile: Profile, twin: Twin) -> Planned:
        upload_s = int_sum(situation.bytes(self.network.graph)) / self.bytes_s
        first = emulate(situation, self.source, twin, WARM * profile.total_s, upload_s, 1)
        after_s = first.queries[-1].latency_s
        local_s = profile.total_s * (WARM + queries(profile.total_s, 1.0, 10, self.repeats))
        round_s = local_s + first.upload_s + after_s * (1 + queries(after_s, 1.5, 8, self.repeats)) + _PREPARE_S
        return Planned(number, situation, 0, 0, 0, after_s, upload_s, round_s)

    def _rounds(self, machines: Machines, plan: Sequence[Planned], say: Progress) -> list[tuple[Planned, list[Round]]]:
        total_s, over_s = left_sum(each.repeats * each.round_s for each in plan), 0.0
        found: list[tuple[Planned, list[Round]]] = []
        for each in plan:
            rounds: list[Round] = []
            for number in range(each.repeats):
                if (found or rounds) and time.monotonic() + each.round_s > self._due_s:
                    break  # a machine that is busy takes longer than was foretold
                say(f"{each.situation.name}, {number + 1} of {each.repeats}", over_s, total_s)
                rounds.append(machines.round(each.number, each.before, each.after))
                over_s += each.round_s
            if rounds:
                found.append((each, rounds))
        say("emulating", total_s, total_s)
        return found

    def _rows(self, each: Planned, rounds: Sequence[Round], twin: Twin, profile: Profile) -> list[Row]:
        before_s = (WARM + each.before) * profile.total_s

        def emulation(pace: float) -> Round:
            told = twin.at(pace)
            return emulate(each.situation, self.source, told, before_s * pace, each.upload_s, each.after)

        bound = None if self.kind is None else self.kind.bound
        return list(rows(each.situation.name, rounds, profile.total_s, emulation, bound))


def transport(kind: Kind, children: Children, way: Way, say: Progress) -> Mapping[str, Any]:
    """What a scenario says of a link of the kernel's: what is known of its kind, or is measured, in half a minute."""
    if kind.link:
        return kind.link
    say("measuring the link", 0.0, ALL_S)
    return measured_transport(children, way)


def steady(network: Network, say: Progress) -> Profile:
    """The profile of a network on this machine, by which the rest can be judged; after some tries, any."""
    say(f"profiling {network.name}", 0.0, ALL_S)
    profile = measured(network)
    for _ in range(_MORE_PROFILES):
        if within(profile.coverage):
            break
        # The machine's pace has drifted between the layers and the whole: there would be no verdict in the end.
        say(f"profiling {network.name} again", 0.0, ALL_S)
        profile = measured(network)
    return profile


def measured(network: Network) -> Profile:
    """The profile of a network on this machine, in some seconds."""
    alone_s = timed(network, 1, "off", lambda: None)[0]
    if alone_s > MOST_QUERY_S:
        raise RunError(
            f"{network.name} takes {alone_s:.1f} s for one query on this machine, expected {MOST_QUERY_S:g} s at most, "
            "so that it can be measured within three minutes: give a smaller network"
        )
    try:
        ghz = this_machine.clock_ghz()
    except ModelError:
        ghz = 1.0  # it cancels: both sides are this machine
    return measure(network, max(3, min(30, round(_PROFILE_S / max(alone_s, 1e-6)))), ghz=ghz)


def checked(what: str, bytes_s: float) -> float:
    """Raise `RunError` for a bandwidth that cannot be made here."""
    if not LEAST_BYTES_S <= bytes_s <= MOST_BYTES_S:
        raise RunError(
            f"{what} is {bytes_s:g} bytes a second, expected {LEAST_BYTES_S:g} to {MOST_BYTES_S:g}: senders here "
            "cannot pace themselves to others"
        )
    return bytes_s


def rate(bytes_s: float) -> str:
    """`2 MB/s` or `80 Mbit/s`, whichever is rounder."""
    mb, mbit = bytes_s / (1 << 20), bytes_s * 8 / 1e6
    return f"{mbit:.3g} Mbit/s" if abs(mbit - round(mbit)) < 1e-6 else f"{mb:.3g} MB/s"
