"""One run: a scenario in, a result out. Puts hosts, planning, data plane, pacing and results together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from layerlift.emulator.assembly import Options, assemble
from layerlift.emulator.execution import alive
from layerlift.emulator.execution.dataplane import DataPlane as Tensors
from layerlift.emulator.execution.dataplane import Execution
from layerlift.emulator.planning.asking import PlanLog
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.protocol.messages import PlanOutcome
from layerlift.emulator.results.places import folder_of
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.results.rows import MeasuredRow
from layerlift.emulator.results.versions import versions
from layerlift.emulator.results.writer import ResultWriter, check_free
from layerlift.emulator.runtime.conductor import Conductor
from layerlift.emulator.runtime.ending import Ending, Progress
from layerlift.emulator.runtime.interruption import Interruptions, Stopped
from layerlift.emulator.runtime.measured import Measured, Replay, keep, profiled_here, with_profiles
from layerlift.emulator.runtime.one_clock import OneClock
from layerlift.emulator.runtime.pacing import Fidelity, Pacer
from layerlift.emulator.runtime.ports import DataPlane, Plans
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.inputs import doubts
from layerlift.emulator.world.describe import describe_world
from layerlift.emulator.world.endless import check_clocks
from layerlift.emulator.world.world import World
from layerlift.models.errors import LayerliftError, RunError

_LOG = logging.getLogger("layerlift")
"""Gets, at level debug, what Python tells of a planner that raised."""


def run(
    scenario: Scenario | str | Path,
    *,
    out: Path | str | None = None,
    force: bool = False,
    replay: Measured | None = None,
    notice: Callable[[str], None] | None = None,
    progress: Callable[[Progress, World], None] | None = None,
    memory: PlanMemory | None = None,
    overrides: Sequence[str] = (),
    allow_code: bool = False,
    warn: Callable[[str], None] | None = None,
    **options: Any,
) -> RunResult:
    """Run a scenario (or the name or path of one) and return its result.

    `overrides` are `path=value`; they may name planners and policies of your own, as `module:Class`. What was read from
    a file, a text or a dict may not, unless `allow_code`.
    `out` is the run directory; None keeps the tables in memory. `options` are the fields of `Options`. `notice` gets
    a sentence now and then, `warn` (by default `notice` too) what must not be missed, `progress` the state before each
    window. `replay` takes measured costs from an earlier
    run (`measured_costs`) in place of execution; `memory` lets local runs share what they have planned.
    Raises a `LayerliftError` for a scenario, model or planner that cannot be run, before anything is written; an
    interrupted run leaves readable tables whose run.json says so, and so does one that `strict` refuses.
    """
    chosen = Options.of(options)
    loaded = scenario if isinstance(scenario, Scenario) else Scenario.load(scenario, overrides, allow_code=allow_code)
    if isinstance(scenario, Scenario) and (overrides or allow_code):
        loaded = scenario.changed(overrides, allow_code=allow_code)
    say = notice or (lambda text: None)
    warn = warn or say
    pacer = Pacer(chosen.pace)
    inputs = loaded.new_inputs()
    world = loaded.resolve(inputs=inputs)
    taken = inputs.told()
    for sentence in (*check_clocks(world), *doubts(taken["prices"])):
        warn(sentence)
    if out is not None:
        check_free(folder_of(out, "run"), force)
    execution: Execution = "every" if world.compute == "measured" else loaded.execution
    profiles: Mapping[str, tuple[float, ...]] = {}
    if world.compute == "measured":
        networks = {} if replay else {model.name: loaded.network(model.name) for model in world.models}
        profiles = replay.profiles if replay else profiled_here(networks, say)
        world = with_profiles(world, profiles)
    info: dict[str, Any] = {
        "scenario": loaded.model_dump(mode="json"),
        "seed": world.seed,
        "versions": versions(),
        "world": describe_world(world),
        "assumptions": [*loaded.assumptions(world), *inputs.assumptions()],
        **taken,
        "options": asdict(chosen),
        "execution": "replay" if replay is not None else execution,
        "profiles": profiles,
    }
    with Interruptions(warn) as interruptions, ExitStack() as stack:
        began = time.perf_counter()
        late = _LateWriter()
        executed: Execution = execution if replay is None else "none"
        if executed == "every" and (much := alive.warning(world)) is not None:
            warn(much)
        log = PlanLog(warn, _LOG.debug)
        stopped_then = None if replay is None else replay.stopped_plans
        lost = interruptions.stop
        parts = assemble(stack, loaded, world, chosen, executed, late.add, say, memory, log, stopped_then, lost)
        plans = _Interruptible(parts.plans, interruptions)
        writer = late.writer = stack.enter_context(ResultWriter(out, force=force, run=info))
        if out is not None:
            inputs.keep(Path(out))
        data: DataPlane | None = Replay(replay) if replay is not None else parts.tensors
        watch = _watch(pacer, progress, world, interruptions)
        conductor: Conductor | OneClock
        if parts.one_process and world.compute == "profiled" and chosen.pace is None:
            conductor = OneClock(world, plans, writer.add, data, watch)
        else:
            conductor = Conductor(world, parts.hosts(), plans, writer.add, data, watch)
        setup_s = time.perf_counter() - began

        def put_away(stopped: Stopped) -> None:
            so_far = _so_far(conductor.progress, time.perf_counter() - began)
            writer.interrupt(stopped.reason, so_far | ({"signal": stopped.number} if stopped.number else {}))

        interruptions.put_away = put_away
        interruptions.waits_for = lambda: _waits(conductor.progress, parts.tensors is not None)
        try:
            with interruptions.deferred():
                ending = conductor.run()
                if parts.tensors is not None:
                    conductor.progress.executing = True
                    parts.tensors.close()
        except (KeyboardInterrupt, LayerliftError) as error:
            stopped = interruptions.stopped(error)
            if stopped is None:
                raise
            if isinstance(error, KeyboardInterrupt):
                conductor.break_off()
            put_away(stopped)
            if not stopped.number:
                raise RunError(f"{stopped.reason}; {_kept(out)}") from error
            return writer.result()
        _write_planning(writer, world, log)
        _write_lateness(writer, pacer)
        fidelity = pacer.fidelity()
        wall_s = time.perf_counter() - began
        measured = world.compute == "measured" and replay is None and out is not None
        writer.close(
            {
                **_so_far(conductor.progress, wall_s),
                "setup_s": setup_s,
                "virtual_s": ending.at_s,
                "placing": parts.placing,
                "books": _books(ending),
                "media": _media(ending, world),
                "stopped_plans": log.stopped,
                "executed_pieces": parts.tensors.executed if parts.tensors is not None else 0,
                "operators": _operators(parts.tensors),
                "fidelity": fidelity.as_dict(),
                "costs_digest": keep(Path(out), ending.costs) if measured and out is not None else None,
            }
        )
        result = writer.result()
        if chosen.strict:
            _refuse(result, fidelity, f"; the run is kept in {out}" if out is not None else "")
    return result


class _Interruptible:
    """Plannings that a signal ends: a planner may never return, and no window ends before it does."""

    def __init__(self, plans: Plans, interruptions: Interruptions) -> None:
        self._plans, self._interruptions = plans, interruptions
        self.submit = plans.submit

    def result(self, job: PlanJob) -> PlanOutcome:
        """See `Plans`."""
        with self._interruptions.point():
            return self._plans.result(job)


class _LateWriter:
    """Stands for a result writer before there is one: nothing is written until all that can be refused has been."""

    def __init__(self) -> None:
        self.writer: ResultWriter | None = None

    def add(self, table: str, rows: Sequence[Any]) -> None:
        """See `ResultWriter.add`."""
        assert self.writer is not None
        self.writer.add(table, rows)


def _refuse(result: RunResult, fidelity: Fidelity, kept: str) -> None:
    """Raise `RunError` for what `strict` does not let pass; the run has been written all the same."""
    for row in result.plans.select(["user", "planner", "status", "reason"]).to_pylist():
        if row["status"] == "failed":
            raise RunError(f"planner {row['planner']} failed for {row['user']}: {row['reason']}{kept}")
    if not fidelity.trusted:
        raise RunError(f"the paced run is not to be trusted: {fidelity.reason}{kept}")


def _watch(
    pacer: Pacer,
    progress: Callable[[Progress, World], None] | None,
    world: World,
    interruptions: Interruptions,
) -> Callable[[Progress], None]:
    def before_window(state: Progress) -> None:
        with interruptions.point():
            pacer.wait(state.now_s)
            if progress is not None:
                progress(state, world)

    return before_window


def _waits(state: Progress, layers: bool) -> str:
    what = ", in which layers really run" if layers else ""
    return f"after this step, at {state.now_s:.3g} s of virtual time{what}"


def _kept(out: Path | str | None) -> str:
    return f"what the run had by then is in {out}" if out is not None else "nothing was to be kept"


def _so_far(state: Progress, wall_s: float) -> dict[str, Any]:
    return {"wall_s": wall_s, "virtual_s": state.now_s, "windows": state.windows, "calls": state.calls}


def _books(ending: Ending) -> dict[str, int]:
    return {name: getattr(ending, name) for name in ending.__slots__ if name.endswith("_bytes")}


def _media(ending: Ending, world: World) -> dict[str, dict[str, int]]:
    """What each shared medium carried, each way, of messages that arrived."""
    told: dict[str, dict[str, int]] = {medium.name: {} for medium in world.media}
    for (place, way), carried in ending.crossed.items():
        told[world.media[place].name][f"{way}_bytes"] = carried
    return told


def _operators(tensors: Tensors | None) -> dict[str, dict[str, float]]:
    """Measured and profiled seconds per operator, costliest first: how this machine compares with the profile."""
    if tensors is None:
        return {}
    costliest = sorted(tensors.operators.items(), key=lambda item: -item[1][1])
    return {operator: {"measured_s": measured, "profiled_s": profiled} for operator, (measured, profiled) in costliest}


def _write_lateness(writer: ResultWriter, pacer: Pacer) -> None:
    rows = [
        MeasuredRow(
            at_s=at_s, node="conductor", kind="lateness_s", user="", query=-1, step=-1, name="window", value=late_s,
            expected=0.0,
        )
        for at_s, late_s in pacer.lateness
    ]  # fmt: skip
    writer.add("measured", rows)


def _write_planning(writer: ResultWriter, world: World, log: PlanLog) -> None:
    name = world.nodes[world.planner].name
    rows = [
        MeasuredRow(
            at_s=0.0, node=name, kind="planning_s", user="", query=request, step=-1, name=planner, value=seconds,
            expected=world.planning.plan_s,
        )
        for planner, request, seconds in log.took_s
    ]  # fmt: skip
    writer.add("measured", rows)
