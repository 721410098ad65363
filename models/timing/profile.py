"""File_1 of the installation phase: layer -> seconds on one machine, measured, kept and looked up."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from layerlift.models.errors import ModelError
from layerlift.models.files import read_regular
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.loading import disk_cache
from layerlift.models.running.network import Network
from layerlift.models.timing.batch_sizes import between

FORMAT = 1
_MOST_BYTES: Final = 64 << 20
TRUSTED: Final = (0.9, 1.1)
"""Coverage outside of which a profile is doubted."""


def within(coverage: float) -> bool:
    """Whether a coverage is one of a quiet machine."""
    return TRUSTED[0] <= coverage <= TRUSTED[1]


@dataclass(frozen=True, slots=True)
class Profile:
    """Seconds per layer of one network on one machine, one thread, graph optimisation off, at `ghz`."""

    network: str
    digest: str
    """`Network.topology`: timing does not depend on the weights' values."""
    ghz: float
    """Clock at which it was measured: a node at `g` GHz takes `seconds x ghz / g` (within a device class)."""
    host: str
    layers: tuple[str, ...]
    operators: tuple[str, ...]
    seconds: tuple[float, ...]
    """Per layer, median of the runs, rounded to 1 ns; the sum is the uncut network's thread CPU time."""
    spread_s: tuple[float, ...]
    """Per layer, interquartile range over the runs."""
    parameter_bytes: tuple[int, ...]
    """Per layer, bytes of its parameters (a shared one counts in each)."""
    output_bytes: tuple[int, ...]
    """Per layer, bytes of the tensors that it makes."""
    blocks: tuple[tuple[int, int, float], ...]
    """First layer, last layer, and thread CPU seconds of that run of layers at full optimisation.

    See `layerlift.models.graph.cuts.blocks`; empty where layers were merged.
    """
    uncut_s: float
    """Thread CPU seconds of the uncut network at graph optimisation off."""
    fused_s: float
    """The same at full optimisation, where operators are fused across layers."""
    coverage: float
    """Sum of the layers' raw medians over `uncut_s`: how well the parts explain the whole before they are fitted."""
    runs: int
    date: str
    method: str
    mem_gb_s: float | None = None
    """Memory bandwidth (1e9 bytes per second) below whose time no layer falls on a faster clock; None for no floor."""
    batches: tuple[tuple[int, tuple[float, ...]], ...] = ()
    """For each number of queries at once that was measured, ascending and above 1: seconds per layer for all."""

    @property
    def total_s(self) -> float:
        """Seconds of all layers."""
        return math.fsum(self.seconds)

    @property
    def trusted(self) -> bool:
        """Whether the layers' times explain the whole network's: they do not where the machine was busy."""
        return within(self.coverage)

    @property
    def doubt(self) -> str:
        """Why it is not trusted, in a sentence."""
        return (
            f"the layers of {self.network} were measured at {self.coverage:.2f} of the whole network's time, expected "
            f"{TRUSTED[0]:g} to {TRUSTED[1]:g}: this machine was busy, or the network is too small to be measured"
        )

    def save(self, path: Path) -> None:
        """Write it as JSON, atomically."""
        body = {"format": FORMAT, **asdict(self)}
        if self.mem_gb_s is None:
            body.pop("mem_gb_s")
        if not body.pop("batches"):
            batches = ""
        else:
            batches = ',\n  "batches": [' + _lines([[size, list(spent)] for size, spent in self.batches]) + "]"
        columns = [body.pop(name) for name in _COLUMNS]
        blocks = body.pop("blocks")
        head = json.dumps(body, indent=2)[:-2]
        layers = _lines([list(_COLUMNS), *zip(*columns, strict=True)])
        disk_cache.write_bytes(
            path, f'{head},\n  "blocks": [{_lines(blocks)}]{batches},\n  "layers": [{layers}]\n}}\n'.encode()
        )

    @classmethod
    def load(cls, path: Path) -> Profile:
        """Read what `save` wrote. Raises `ModelError` for a missing, damaged or impossible file."""
        try:
            text = read_regular(path, _MOST_BYTES).decode("utf-8")
        except FileNotFoundError:
            raise ModelError(f"there is no profile at {path}; make one with layerlift profile") from None
        except OSError as error:
            raise ModelError(f"the profile {path} cannot be read: {error.strerror or error}") from None
        except UnicodeDecodeError:
            raise ModelError(
                f"{path} is not text in UTF-8: expected a profile; make one with layerlift profile"
            ) from None
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, origin: str) -> Profile:
        """The profile in `text`; `origin` names it in errors (`ModelError`)."""
        try:
            body = json.loads(text)
            header, *rows = body.pop("layers")
            if tuple(header) != tuple(_COLUMNS):
                raise ValueError(f"columns {header}")
            if body.pop("format") != FORMAT:
                raise ModelError(f"{origin} is a profile of another format; measure again with layerlift profile")
            columns: dict[str, Any] = {
                name: tuple(kind(row[at]) for row in rows) for at, (name, kind) in enumerate(_COLUMNS.items())
            }
            floor = body.pop("mem_gb_s", None)
            batches = tuple((int(size), tuple(map(float, spent))) for size, spent in body.pop("batches", ()))
            profile = cls(
                mem_gb_s=None if floor is None else float(floor),
                batches=batches,
                **columns,
                blocks=tuple((int(first), int(last), float(spent)) for first, last, spent in body.pop("blocks")),
                **{name: kind(body.pop(name)) for name, kind in _SCALARS.items()},
            )
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise ModelError(f"{origin} is not a profile ({type(error).__name__}: {error})") from None
        if body:
            raise ModelError(f"{origin} has the unknown field {next(iter(body))!r}; expected a profile's fields only")
        profile._check(origin)
        return profile

    def seconds_at(self, graph: LayerGraph, ghz: float) -> tuple[float, ...]:
        """Seconds per layer of `graph` on a core at `ghz` of this device class.

        Each is the measured time scaled by the clocks, but not less than moving the layer's parameters and activations
        once at `mem_gb_s`.
        """
        scaled = [seconds * self.ghz / ghz for seconds in self.seconds]
        if self.mem_gb_s is None:
            return tuple(scaled)
        rate = self.mem_gb_s * 1e9
        moved = [graph.held_bytes([layer.index]) + layer.run_bytes for layer in graph.layers]
        return tuple(max(seconds, size / rate) for seconds, size in zip(scaled, moved, strict=True))

    def batch_seconds(self, size: int) -> tuple[float, ...]:
        """Seconds per layer for `size` queries at once, between the sizes that were measured along straight lines.

        Beyond the largest each layer goes on as between the last two. Raises `ModelError` when `size` is below 1, or
        above 1 where no batch was measured.
        """
        if size == 1:
            return self.seconds
        if size < 1 or not self.batches:
            raise ModelError(
                f"a batch of {size} was asked of the profile of {self.network}, which has none of that size: measure "
                "it with layerlift profile --batch"
            )
        return between(self.seconds, self.batches, size)

    def fits(self, network: Network) -> bool:
        """Whether it was measured on this network's topology."""
        return self.digest == network.topology and len(self.layers) == len(network.graph)

    def over(self, network: Network) -> Profile | None:
        """The profile for `network`, or None when it was measured on another.

        Where layers of the measured network were merged, see `merged`.
        """
        if self.fits(network):
            return self
        return self.merged(network) if self.fits(network.unmerged) else None

    def merged(self, network: Network) -> Profile:
        """The profile of `network.unmerged` for `network`: a merged layer has the sum of its nodes' seconds.

        Spreads are added as well, which is the most that theirs can be.
        """
        row = {name: at for at, name in enumerate(self.layers)}
        members = [[row[node] for node in layer.nodes] for layer in network.graph.layers]
        return replace(
            self,
            **described(network.graph),
            blocks=(),
            seconds=tuple(math.fsum(self.seconds[at] for at in group) for group in members),
            spread_s=tuple(math.fsum(self.spread_s[at] for at in group) for group in members),
            batches=tuple(
                (size, tuple(math.fsum(spent[at] for at in group) for group in members)) for size, spent in self.batches
            ),
        )

    def _check(self, origin: str) -> None:
        numbers = (*self.seconds, *(block[2] for block in self.blocks), *self.spread_s, self.uncut_s, self.fused_s)
        sizes = [size for size, _ in self.batches]
        if sizes != sorted(set(sizes)) or any(
            size < 2 or len(spent) != len(self.layers) for size, spent in self.batches
        ):
            raise ModelError(
                f"{origin}: batches are of {sizes}; expected sizes from 2, ascending, with a time per layer"
            )
        numbers += tuple(second for _, spent in self.batches for second in spent)
        if not self.layers or not all(math.isfinite(n) and n >= 0 for n in numbers):
            raise ModelError(f"{origin}: seconds must be finite and not negative, one per layer")
        if self.mem_gb_s is not None and not (math.isfinite(self.mem_gb_s) and self.mem_gb_s > 0):
            raise ModelError(f"{origin}: mem_gb_s is {self.mem_gb_s}; expected GB per second above 0, or no field")
        if not (math.isfinite(self.ghz) and self.ghz > 0) or self.total_s <= 0:
            raise ModelError(f"{origin}: ghz is {self.ghz} and the layers take {self.total_s} s; both must be above 0")


_COLUMNS: dict[str, Any] = {
    "layers": str,
    "operators": str,
    "seconds": float,
    "spread_s": float,
    "parameter_bytes": int,
    "output_bytes": int,
}
_SCALARS: dict[str, Any] = {
    f.name: {"str": str, "float": float, "int": int}[str(f.type)]
    for f in fields(Profile)
    if f.name not in _COLUMNS and f.name not in ("blocks", "mem_gb_s", "batches")
}


def described(graph: LayerGraph) -> dict[str, Any]:
    """The columns of a profile that do not need measuring: names, operators and bytes of the layers of `graph`."""
    return {
        "layers": tuple(layer.name for layer in graph.layers),
        "operators": tuple(layer.op_type for layer in graph.layers),
        "parameter_bytes": tuple(graph.held_bytes([layer.index]) for layer in graph.layers),
        "output_bytes": tuple(sum(graph.tensors[t].bytes for t in layer.outputs) for layer in graph.layers),
    }


def _lines(rows: Sequence[Sequence[Any]]) -> str:
    return "\n    " + ",\n    ".join(json.dumps(row) for row in rows) + "\n  " if rows else ""
