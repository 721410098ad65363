"""What a validation found: the sentence, the table, and all of it as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from layerlift.emulator.report.formatting import NOTHING, count, seconds
from layerlift.emulator.studies.validate.pace import MOST_DRIFT
from layerlift.emulator.studies.validate.verdicts import Row, Standing, worst
from layerlift.models.sums import int_sum
from layerlift.models.text import escaped

HEADS: Final = [
    "situation",
    "phase",
    "n",
    "real, median",
    "[min - max]",
    "CPU-corrected",
    "drift",
    "emulated",
    "off by",
    "bound",
    "verdict",
]
_WORDS: Final = {"holds": "holds", "beyond": "BEYOND", "few": "too few", "drifted": "drifted", "none": "no verdict"}


@dataclass(frozen=True, slots=True)
class Validation:
    """What `validate` found; see `sentences` for the answer."""

    network: str
    link: str
    """What connected the processes, in words."""
    rows: tuple[Row, ...]
    standing: Standing
    goodput_bytes_s: float
    """Of uploads, building and confirming included."""
    output_error: float
    """The largest difference of an answer from the uncut network's, over its largest value."""
    host: str
    load: float
    """Processes that wanted a processor, on average over the minute before."""
    cores: int
    versions: dict[str, str]
    date: str
    repeats: int
    bandwidth_off: float = 1.0
    """How many times the real bandwidth the emulation was told; other than 1 to see that a wrong one is found."""
    ghz_off: float = 1.0
    """How many times this machine's clock it was told, likewise."""
    notes: tuple[str, ...] = ()
    transport: Mapping[str, Any] = field(default_factory=dict)
    """What the emulation was told of a link of the kernel's, as a scenario has it; of another nothing."""

    @property
    def holds(self) -> bool | None:
        """Whether every judged row keeps its bound; None where there is no verdict."""
        words = [row.word(self.standing) for row in self.rows]
        if self.standing.refusal or not any(word in ("holds", "beyond") for word in words):
            return None
        return "beyond" not in words

    @property
    def worst(self) -> float:
        """The largest difference with the network, of what was judged."""
        return worst(self.rows, self.standing)

    def sentences(self) -> list[str]:
        """The answer in words."""
        return [self._answer(), *self._further(), *self.notes]

    def _answer(self) -> str:
        tried = f"{self.network} over {self.link}, {count(self.repeats, 'repeat')}"
        if self.standing.refusal:
            return f"No verdict on {tried}: {self.standing.refusal}; let nothing else run meanwhile."
        if self.holds is None:
            return f"No verdict on {tried}: no phase had enough queries, at a steady pace, to be judged."
        how = "CPU-corrected, for this machine was busy" if self.standing.busy else "this machine was quiet"
        off = "no phase with the network was judged" if math.isnan(self.worst) else f"within {self.worst:.1%}"
        if self.holds:
            return f"The emulation is true here, {off} in every phase with the network ({tried}; {how})."
        wrong = [row for row in self.rows if row.word(self.standing) == "beyond"]
        first = max(wrong, key=lambda row: abs(row.difference(self.standing)) / row.bound(self.standing))
        return (
            f"The emulation is off here in {len(wrong)} of {count(len(self.rows), 'row')}, most in {first.situation}, "
            f"{first.phase}: by {first.difference(self.standing):+.1%}, where the bound is "
            f"{first.bound(self.standing):.0%} ({tried}; {how})."
        )

    def _further(self) -> list[str]:
        standing = self.standing
        told = [
            f"Others had the processor for {standing.interference:.1%} of the time for computing (load "
            f"{self.load:.1f} on {count(self.cores, 'core')}); uploads went at {self.goodput_bytes_s / 1e6:.2f} "
            f"million bytes a second{'' if math.isnan(standing.rate_error) else self._rate()}.",
            f"The profile's coverage is {standing.coverage:.2f}; answers differ by {self.output_error:.1e} at most "
            "from those of the uncut network.",
            *self._drift(),
            *self._transport(),
        ]
        if self.bandwidth_off != 1:
            told.append(f"The emulation was told {self.bandwidth_off:g} times the real bandwidth, on purpose.")
        if self.ghz_off != 1:
            told.append(f"The emulation was told {self.ghz_off:g} times this machine's clock, on purpose.")
        return told

    def _transport(self) -> list[str]:
        """What the emulated link was told of the real one."""
        if not self.transport:
            return []
        fields = ", ".join(f"{name}: {_field(value)}" for name, value in self.transport.items())
        measured = "latency_ms" in self.transport
        return [f"The emulated link has {fields}{', as layerlift link found it just before' if measured else ''}."]

    def _drift(self) -> list[str]:
        """What became of the machine's pace; nothing where no phase is known."""
        drifts = [row.drift for row in self.rows if row.kind != "upload"]
        if not drifts:
            return []
        told = (
            f"Layers took {min(drifts):+.0%} to {max(drifts):+.0%} thread CPU time against their profile of a moment "
            "before, for this machine's pace drifts: the emulation is told so, phase by phase"
        )
        left = int_sum(row.word(self.standing) == "drifted" for row in self.rows)
        more = f"; beyond {MOST_DRIFT:.0%} computing is not judged ({count(left, 'row')})" if left else ""
        return [f"{told}{more}."]

    def _rate(self) -> str:
        return f", the link was {self.standing.rate_error:+.2%} off its rate while it was busy"

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Heads and lines."""
        return HEADS, [self._line(row) for row in self.rows]

    def _line(self, row: Row) -> list[str]:
        told = row.as_dict(self.standing)
        word = row.word(self.standing)
        return [
            row.situation,
            row.phase,
            str(told["n"]),
            seconds(told["median_s"]),
            f"[{seconds(told['low_s'])} - {seconds(told['high_s'])}]",
            seconds(told["corrected_s"]) if row.kind != "upload" else NOTHING,
            f"{row.drift:+.0%}",
            seconds(told["emulated_s"]),
            f"{told['difference']:+.1%}",
            f"{told['bound']:.0%}",
            _WORDS[word],
        ]

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON."""
        return {
            "network": self.network,
            "link": self.link,
            "transport": dict(self.transport),
            "holds": self.holds,
            "worst": None if math.isnan(self.worst) else self.worst,
            "sentences": self.sentences(),
            "rows": [row.as_dict(self.standing) for row in self.rows],
            "interference": self.standing.interference,
            "rate_error": None if math.isnan(self.standing.rate_error) else self.standing.rate_error,
            "coverage": self.standing.coverage,
            "goodput_bytes_s": self.goodput_bytes_s,
            "output_error": self.output_error,
            "host": self.host,
            "load": self.load,
            "cores": self.cores,
            "versions": self.versions,
            "date": self.date,
            "repeats": self.repeats,
            "bandwidth_off": self.bandwidth_off,
            "ghz_off": self.ghz_off,
        }

    def to_arrow(self) -> Any:
        """Return the rows as a `pyarrow.Table`: medians in seconds, the machine's drift, the difference, its bound."""
        import pyarrow as pa

        texts = ("situation", "phase", "kind", "verdict")
        numbers = ("real_s", "drift", "emulated_s", "difference", "bound")
        lines = [
            (row.situation, row.phase, row.kind, row.word(self.standing), row.median_s, row.drift,
             row.emulation_s, row.difference(self.standing), row.bound(self.standing))
            for row in self.rows
        ]  # fmt: skip
        schema = pa.schema([*((name, pa.string()) for name in texts), *((name, pa.float64()) for name in numbers)])
        names = (*texts, *numbers)
        return pa.Table.from_pylist([dict(zip(names, line, strict=True)) for line in lines], schema=schema)

    def __repr__(self) -> str:
        return f"<Validation: {' '.join(self.sentences())}>"

    def _repr_html_(self) -> str:
        heads, lines = self.table()
        head = "".join(f"<th>{escaped(cell)}</th>" for cell in heads)
        body = "".join("<tr>" + "".join(f"<td>{escaped(cell)}</td>" for cell in line) + "</tr>" for line in lines)
        return f"<p>{escaped(' '.join(self.sentences()))}</p><table><tr>{head}</tr>{body}</table>"


def _field(value: str | float | bool) -> str:
    """As a scenario has it."""
    if isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else f"{value:.3g}"
