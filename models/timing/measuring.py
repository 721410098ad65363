"""Measuring a profile: one thread, its own CPU clock, medians, preempted runs left out."""

from __future__ import annotations

import datetime
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx

from layerlift.models.errors import ModelError
from layerlift.models.graph.cuts import blocks
from layerlift.models.onnx_files.runtime import ort
from layerlift.models.running.batching import BOUND, batched, difference
from layerlift.models.running.cutting import subgraph
from layerlift.models.running.network import Network
from layerlift.models.running.session import Optimization, Session, Uncut, inside_session, uncut_session
from layerlift.models.sums import int_sum, left_sum
from layerlift.models.timing import this_machine
from layerlift.models.timing.cheap import CHEAP_S, grouped
from layerlift.models.timing.profile import Profile, described

MeasuringProgress = Callable[[int, int], None]
"""Called with (runs done, runs in all)."""

_QUIET = 1.05
"""A run counts as quiet when its wall time is within this factor of its thread's CPU time."""
_ATTEMPTS, _TOLERANCE = 3, 0.10
_HALVINGS = 60
_EVERYTHING = 1 << 62
_WITHIN_A_MODEL = 1 << 30
"""Of weights above this no second copy is made for the groups' sake."""
_SUFFIX = "_kernel_time"


def measure(
    network: Network, runs: int = 30, progress: MeasuringProgress | None = None, *, ghz: float | None = None
) -> Profile:
    """Measure `network` on this machine, weights inside, `runs` times each without and with per-node events.

    A layer's seconds are the median of its node's event, which is wall time at microsecond resolution, over the runs
    that were not preempted. When the medians sum to more than 10 % off the uncut network's median thread CPU time, the
    both are taken again (twice at most); what then differs is shared by the layers (`fit_total`), so that the
    profile sums to that time, and `coverage` keeps the ratio. Before that, layers too cheap for events are timed in
    groups (`layerlift.models.timing.cheap`), and the call of the session counts as explained. Raises `ModelError` when
    onnxruntime refuses the network, `runs` is below 1, or the machine does not tell its clock and `ghz` is not given.
    Of a network whose layers were merged the ONNX nodes are measured, and merged layers have their sums
    (`Profile.over`).
    """
    if network.base is not None:
        return measure(network.base, runs, progress, ghz=ghz).merged(network)
    if runs < 1:
        raise ModelError(f"runs is {runs}; expected 1 or more")
    clock = this_machine.clock_ghz() if ghz is None else ghz
    tick = _Ticker(progress, 4 * runs)
    uncut_s = statistics.median(timed(network, runs, "off", tick))
    fused_s = statistics.median(timed(network, runs, "all", tick))
    for attempt in range(_ATTEMPTS):
        if attempt:  # a machine that was busy may have been so while the whole network ran, too
            tick.total += 2 * runs
            uncut_s = statistics.median(timed(network, runs, "off", tick))
        durations = _events(network, runs, tick)
        raw = [statistics.median(durations[layer.name]) for layer in network.graph.layers]
        held_s = left_sum(raw)
        if abs(held_s / uncut_s - 1) > _TOLERANCE:
            raw, held_s = _regrouped(network, raw, runs)
        if abs(held_s / uncut_s - 1) <= _TOLERANCE:
            break
    seconds = fit_total(raw, uncut_s)
    return Profile(
        network=network.name,
        digest=network.topology,
        ghz=clock,
        host=this_machine.description(),
        **described(network.graph),
        seconds=tuple(round(s, 9) for s in seconds),
        spread_s=tuple(round(_iqr(durations[layer.name]), 9) for layer in network.graph.layers),
        blocks=_blocks(network, runs, tick),
        uncut_s=round(uncut_s, 9),
        fused_s=round(fused_s, 9),
        coverage=round(held_s / uncut_s, 3),
        runs=runs,
        date=datetime.date.today().isoformat(),
        method=f"onnxruntime {ort.__version__}, 1 thread, optimisation off, node events scaled to thread CPU time",
    )


def _regrouped(network: Network, raw: list[float], runs: int) -> tuple[list[float], float]:
    """`raw` with cheap layers timed in groups, and the seconds that it explains: the call of the session is one."""
    cheap = [layer for layer, seconds in enumerate(raw) if seconds < CHEAP_S]
    held_bytes = int_sum(p.held_bytes for p in network.graph.parameters)
    if not cheap or network.too_large_for_a_file or held_bytes > _WITHIN_A_MODEL:
        return raw, left_sum(raw)
    groups = grouped(network, cheap, runs)
    better = [groups.seconds.get(layer, seconds) for layer, seconds in enumerate(raw)]
    return better, left_sum(better) + groups.call_s


def measure_batches(
    network: Network, sizes: Sequence[int], runs: int, progress: MeasuringProgress | None = None
) -> tuple[tuple[int, tuple[float, ...]], ...]:
    """Per size above 1, seconds of each layer of `network.unmerged` for so many queries at once, measured as `measure`.

    Raises `ModelError` when the network cannot run them, or answers them otherwise than alone.
    """
    found = []
    for size in sorted(set(sizes) - {1}):
        together = batched(network, size)
        apart = difference(network, together, size)
        if not apart <= BOUND:
            raise ModelError(
                f"{network.name} answers {size} queries at once otherwise than each alone (by {apart:.2g} of the "
                f"largest value, expected {BOUND:g} at most): its layers mix queries, so leave --batch out"
            )
        found.append((size, measure(together, runs, progress, ghz=1.0).seconds))
    return tuple(found)


def timed(network: Network, runs: int, optimization: Optimization, tick: Callable[[], None]) -> list[float]:
    """Thread CPU seconds of `runs` runs of the uncut network, after one to warm up."""
    uncut = uncut_session(network, optimization=optimization)
    inputs = network.sample_inputs(0)
    uncut.run(inputs)
    spent: list[float] = []
    for _ in range(runs):
        spent.append(uncut.timed_run(inputs)[1])
        tick()
    return spent


def fit_total(raw: Sequence[float], total_s: float) -> list[float]:
    """Per-layer seconds that sum to `total_s`: the difference is shared evenly, because dispatch and the taking of an
    event cost every layer the same; but no layer loses more than half, and beyond that all shrink in proportion.
    """
    held = left_sum(raw)
    if held <= 0:
        return [total_s / len(raw)] * len(raw)
    if held <= total_s:
        return [value + (total_s - held) / len(raw) for value in raw]
    low, high = 0.0, max(raw)
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        left = left_sum(max(value / 2, value - share) for value in raw)
        low, high = (share, high) if left > total_s else (low, share)
    cut = [max(value / 2, value - high) for value in raw]
    return [value * total_s / left_sum(cut) for value in cut]


class _Ticker:
    def __init__(self, progress: MeasuringProgress | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def __call__(self) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total)


def _events(network: Network, runs: int, tick: Callable[[], None]) -> dict[str, list[float]]:
    """Per layer, its seconds in every quiet run (all runs when fewer than a third are quiet)."""
    with tempfile.TemporaryDirectory() as folder:
        uncut = uncut_session(network, profile_prefix=str(Path(folder) / "events"))
        quiet = _profiled_runs(uncut, network, runs, tick)
        events = json.loads(uncut.session.end_profiling().read_text())
    known = {layer.name for layer in network.graph.layers}
    found: dict[str, list[float]] = {name: [] for name in known}
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith(_SUFFIX) and name[: -len(_SUFFIX)] in known:
            found[name[: -len(_SUFFIX)]].append(event["dur"] / 1e6)
    chosen = quiet if len(quiet) * 3 >= runs else list(range(1, runs + 1))
    inputs = network.sample_inputs(0)
    for layer in network.graph.layers:
        seen = found[layer.name]
        if len(seen) == runs + 1:
            found[layer.name] = [seen[run] for run in chosen]
        else:
            found[layer.name] = _alone(network, layer.index, inputs, min(runs, 10))
    return found


def _blocks(network: Network, runs: int, tick: Callable[[], None]) -> tuple[tuple[int, int, float], ...]:
    """Median thread CPU seconds of every block at full optimisation, its weights inside."""
    held = network.sample_inputs(0)
    found: list[tuple[int, int, float]] = []
    spans = blocks(network.graph)
    for number, (first, last) in enumerate(spans):
        session = _whole_block(network, first, last)
        held.update(session.run(held))
        spent = statistics.median(session.timed_run(held)[1] for _ in range(runs))
        found.append((first, last, round(spent, 9)))
        for _ in range(runs * (number + 1) // len(spans) - runs * number // len(spans)):
            tick()
    return tuple(found)


def _whole_block(network: Network, first: int, last: int) -> Session:
    """Layers `first..last` at full optimisation, their weights inside."""
    if not network.too_large_for_a_file:
        return Session(subgraph(network, first, last, big_bytes=_EVERYTHING).model, optimization="all")
    piece = subgraph(network, first, last)
    weights = network.weights()
    fed = {name: weights[name] for name in piece.big}
    return inside_session(onnx.ModelProto.FromString(piece.model), fed, optimization="all")


def _profiled_runs(uncut: Uncut, network: Network, runs: int, tick: Callable[[], None]) -> list[int]:
    inputs = network.sample_inputs(0)
    uncut.run(inputs)
    quiet: list[int] = []
    for run in range(1, runs + 1):
        start = time.perf_counter()
        spent = uncut.timed_run(inputs)[1]
        if time.perf_counter() - start < _QUIET * spent + 5e-4:
            quiet.append(run)
        tick()
    return quiet


def _alone(network: Network, layer: int, inputs: dict[str, np.ndarray], runs: int) -> list[float]:
    """Thread CPU seconds of one layer in a session of its own: for operators that onnxruntime expands into others."""
    feeds = dict(inputs)
    if layer:
        before = subgraph(network, 0, layer - 1)
        feeds.update(Session(before.model).run({**network.weights(), **inputs}))
    piece = Session(subgraph(network, layer, layer).model)
    feeds = {**network.weights(), **feeds}
    piece.run(feeds)
    return [piece.timed_run(feeds)[1] for _ in range(runs)]


def _iqr(values: Sequence[float]) -> float:
    if len(values) < 4:
        return max(values) - min(values)
    low, _, high = statistics.quantiles(values, n=4)
    return high - low
