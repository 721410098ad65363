"""How far predictions are off on networks of yours: `python -m benchmarks.predictions FILE.onnx[,batch=1,...] ...`.

Each file is measured uncut, with ResNet-50 just before and after it as the measure of the machine: what counts is the
predicted total over the measured one, once ResNet-50's own shipped and measured seconds have been made equal. With
`--times FILE.json` what was measured is kept, so that a second run measures new files only. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from layerlift.models import Network, load
from layerlift.models.timing.measuring import timed
from layerlift.models.timing.predictor import shipped
from layerlift.models.timing.profiles import reference

LEAST, MOST = 0.67, 1.5
"""What counts as predicted: between two thirds and one and a half of what was measured."""
MEASURE: Final = "resnet50"
_BUDGET_S: Final = 2.5
_FEWEST, _MOST_RUNS = 6, 60


@dataclass(frozen=True, slots=True)
class Measured:
    """One network's seconds here, and what ResNet-50 took beside it: uncut, the least of several runs."""

    seconds: float
    beside_s: float


@dataclass(frozen=True, slots=True)
class Row:
    """One network as the page has it."""

    name: str
    layers: int
    relative: float
    """Measured, in units of ResNet-50 beside it."""
    ratio: float
    """Predicted over measured."""


def loaded(argument: str) -> tuple[str, Network]:
    """The network of `FILE[,NAME=SIZE...]`, and its name."""
    path, *sizes = argument.split(",")
    dims = {name: int(size) for name, size in (entry.rsplit("=", 1) for entry in sizes)}
    return Path(path).stem, load(path, dims=dims or None)


def measured(network: Network, beside: Network) -> Measured:
    """Time `network` here, and `beside` before and after it."""
    first = timed(network, 1, "off", lambda: None)[0]
    runs = max(_FEWEST, min(_MOST_RUNS, int(_BUDGET_S / first)))
    before = min(timed(beside, 4, "off", lambda: None))
    seconds = min(timed(network, runs, "off", lambda: None))
    return Measured(seconds, min(before, *timed(beside, 4, "off", lambda: None)))


def row(name: str, network: Network, found: Measured, reference_s: float) -> Row:
    """Compare; `reference_s` is what ResNet-50 takes on the host of the predictions."""
    known = shipped()
    predicted_s = math.fsum(known.layer_s(layer) for layer in network.graph.layers)
    relative = found.seconds / found.beside_s
    return Row(name, len(network.graph.layers), relative, predicted_s / (relative * reference_s))


def page(rows: Sequence[Row]) -> str:
    """Markdown: one sentence, and a line for each network."""
    good = [row for row in rows if LEAST <= row.ratio <= MOST]
    lines = [
        f"Of {len(rows)} networks {len(good)} are predicted within {LEAST} and {MOST} of what was measured; the median "
        f"of predicted / measured is {statistics.median(row.ratio for row in rows):.2f}.",
        "",
        "| network | layers | measured / ResNet-50 | predicted / measured |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [f"| {row.name} | {row.layers} | {row.relative:.3f} | {row.ratio:.2f} |" for row in rows]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE[,NAME=SIZE...]")
    parser.add_argument("--times", type=Path, help="a .json file: what was measured is kept there")
    given = parser.parse_args(argv)
    kept: Path | None = given.times
    times = json.loads(kept.read_text()) if kept is not None and kept.exists() else {}
    beside = load(MEASURE)
    rows: list[Row] = []
    for argument in given.files:
        name, network = loaded(argument)
        if name not in times:
            times[name] = asdict(measured(network, beside))
            if kept is not None:
                kept.write_text(json.dumps(times, indent=1))
        rows.append(row(name, network, Measured(**times[name]), reference(beside).uncut_s))
    print(page(sorted(rows, key=lambda each: each.name)))


if __name__ == "__main__":
    main()
