"""A profile from somebody else's times: kernels find their layers, and what finds none is said."""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from layerlift.models.errors import ModelError, sentence, shortened
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.running.network import Network
from layerlift.models.timing import foreign, predictor
from layerlift.models.timing.operator_classes import class_of
from layerlift.models.timing.profile import Profile, described, within


@dataclass(frozen=True, slots=True)
class Imported:
    """A profile, and what of the file and of the network had no counterpart."""

    profile: Profile
    strange: tuple[str, ...]
    """Names of the file that are no layer, operator or class of the network, the slowest first."""
    estimated: tuple[str, ...]
    """Layers that the file has no time of their own for."""
    estimated_share: float
    """Share of the profile's time that these have."""
    launched: str = ""
    """The provider of onnxruntime whose kernels the file has no times of; empty where there is none."""

    @property
    def doubt(self) -> str:
        """Why it is not trusted, in a sentence; empty when it is."""
        if self.launched:
            return sentence(
                f"nodes on {self.launched} have the times of starting their kernels only, for the file has no events "
                "of kernels; profile with an onnxruntime that records them, or with trtexec"
            )
        if within(self.profile.coverage):
            return ""
        first = f", {self.strange[0]!r} for one" if self.strange else ""
        return sentence(
            f"only {self.profile.coverage:.0%} of the time belongs to layers of {self.profile.network} by name or "
            f"operator{first}; expected 90 %: export the times of this very file, with its layers' names"
        )


def imported(network: Network, path: Path, *, ghz: float | None = None, host: str | None = None) -> Imported:
    """The profile of `network` that the times in `path` give (see `layerlift.models.timing.foreign`).

    A kernel's seconds go to the layers that it names, in proportion to what the shipped regressions say of each. In a
    file of one whole run, time that names no layer goes to the layers that have none; layers that are left were fused
    away and take nothing. In a file of times, operators' seconds go to the layers of theirs that are not named, and
    what is left is predicted, at the speed of what is not, or to make up the total where one is given. Batches are read
    alike, with the seconds of one query in place of what the regressions say. `ghz` (or the file's, or 1) is the clock
    that nodes of this device class are compared with. Raises `ModelError` when nothing of the file is of this network.
    """
    if network.base is not None:
        found = imported(network.base, path, ghz=ghz, host=host)
        return dataclasses.replace(found, profile=found.profile.merged(network))
    times = foreign.read(path)
    clock = next(value for value in (ghz, times.ghz, 1.0) if value is not None)
    if not (math.isfinite(clock) and clock > 0):
        raise ModelError(f"ghz is {clock}; expected the clock of the device, above 0")
    work = _Sharing(network.graph, times, predictor.shipped().seconds(network))
    seconds = work.seconds()
    total = math.fsum(seconds)
    profile = Profile(
        network=network.name,
        digest=network.topology,
        ghz=clock,
        host=host or times.device or f"a device that {times.source} ran on",
        **described(network.graph),
        seconds=tuple(round(s, 9) for s in seconds),
        spread_s=(0.0,) * len(seconds),
        blocks=(),
        uncut_s=round(total, 9),
        fused_s=round(total, 9),
        coverage=round(work.matched_s / total, 3),
        runs=1,
        date=datetime.date.today().isoformat(),
        method=f"imported from {times.source}",
        batches=tuple(
            (size, tuple(round(s, 9) for s in _Sharing(network.graph, each, seconds).seconds()))
            for size, each in times.batches.items()
        ),
    )
    rest = [layer.index for layer in network.graph.layers if layer.index not in work.own]
    share = math.fsum(seconds[at] for at in rest) / total
    return Imported(
        profile, tuple(work.strange), tuple(network.graph.layers[at].name for at in rest), share, times.launched
    )


class _Sharing:
    """From names to layers."""

    def __init__(self, graph: LayerGraph, times: foreign.Times, guess: Sequence[float]) -> None:
        self.graph, self.times, self.guess = graph, times, guess
        """`guess`: what the layers may take, in proportion."""
        self.spent = [0.0] * len(self.guess)
        self.own: set[int] = set()
        """Layers with a time of their own: by name, or as one of an operator."""
        self.strange: list[str] = []
        self.matched_s = self.stray_s = 0.0
        self._names = _by_name(self.graph)
        self._starts = {**_by_parameter(self.graph), **self._names}

    def seconds(self) -> list[float]:
        """Seconds per layer. Raises `ModelError` when no name is known."""
        # Runs come last: a layer in the midst of one that has a kernel of its own is no part of it.
        for entry in sorted(self.times.entries, key=lambda entry: (bool(entry.last), -entry.seconds)):
            self._give(entry.name, entry.seconds, self._layers(entry))
        self._share_operators()
        total = self.times.total
        if self.matched_s <= 0 and total is None:
            raise ModelError(
                f"no name in the times is a layer or an operator of {self.graph.name}, whose first layer is "
                f"{shortened(self.graph.layers[0].name, 80)!r}: export the times of this very file"
            )
        rest = [at for at in range(len(self.spent)) if at not in self.own]
        if self.times.is_whole:
            self._spread(self.stray_s, rest or range(len(self.spent)))
        elif total is not None:
            self._make_up(total, rest or range(len(self.spent)))
        else:
            speed = self.matched_s / math.fsum(self.guess[at] for at in self.own)
            self._spread(speed * math.fsum(self.guess[at] for at in rest), rest)
        return self.spent

    def _make_up(self, total: float, rest: Sequence[int]) -> None:
        left = total - self.matched_s
        if left < -1e-9 * total:
            raise ModelError(
                f"the times of {self.graph.name} have a total of {total:g} s, but what they name takes "
                f"{self.matched_s:g} s: expected a total of everything"
            )
        self._spread(max(0.0, left), rest)
        self.matched_s = total - min(self.stray_s, total)

    def _give(self, name: str, seconds: float, layers: Sequence[int]) -> None:
        if not layers:
            self.strange.append(name)
            self.stray_s += seconds
            return
        self.own.update(layers)
        self.matched_s += seconds
        self._spread(seconds, layers)

    def _share_operators(self) -> None:
        """An operator's seconds, or those of a class of it, which goes first."""
        named = frozenset(self.own)
        rest = [layer for layer in self.graph.layers if layer.index not in named]
        operators = {layer.op_type for layer in rest}
        for name, seconds in sorted(self.times.operators.items(), key=lambda item: item[0] in operators):
            of = [x.index for x in rest if x.index not in self.own and name in (x.op_type, class_of(x))]
            if self.times.is_whole and name in self._names:
                of = [self._names[name]]
            self._give(name, seconds, of)

    def _layers(self, entry: foreign.Entry) -> Sequence[int]:
        if entry.last:
            return self._run(entry)
        return list(dict.fromkeys(self._names[name] for name in entry.candidates if name in self._names))

    def _run(self, entry: foreign.Entry) -> Sequence[int]:
        """All layers from one to another that have no time of their own; an end that is not known is the next of these.

        A run may begin with a weight: then it does so with the layer that reads it.
        """
        starts = [self._starts[name] for name in entry.candidates if name in self._starts]
        stops = [self._names[name] for name in entry.last if name in self._names]
        if not starts and not stops:
            return []
        first, last = min(starts + stops), max(starts + stops)
        if not starts:
            first = max((at for at in self.own if at < first), default=-1) + 1
        if not stops:
            last = min((at for at in self.own if at > last), default=len(self.graph)) - 1
        between = range(first, last + 1)
        return [at for at in between if at not in self.own] or between

    def _spread(self, seconds: float, layers: Iterable[int]) -> None:
        chosen = list(layers)
        whole = math.fsum(self.guess[at] for at in chosen)
        for at in chosen:
            self.spent[at] += seconds * (self.guess[at] / whole if whole > 0.0 else 1.0 / len(chosen))


def _by_name(graph: LayerGraph) -> Mapping[str, int]:
    """Layers by their names, and by the tensors that they make: some exporters name kernels after these."""
    found = {graph.tensors[tensor].name: layer.index for layer in graph.layers for tensor in layer.outputs}
    return {**found, **{layer.name: layer.index for layer in graph.layers}}


def _by_parameter(graph: LayerGraph) -> Mapping[str, int]:
    """The first layer that reads a weight, by the weight's names."""
    return {
        name: layer.index
        for layer in reversed(graph.layers)
        for parameter in layer.parameters
        for name in graph.parameters[parameter].names
    }
