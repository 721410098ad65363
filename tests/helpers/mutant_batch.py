"""A batch of mutants in one process: `python mutant_batch.py FIRST COUNT FOLDER` prints a verdict a line.

A verdict is `NUMBER refused SENTENCE`, `NUMBER ran`, or `NUMBER broke HOW`. A process that dies leaves its last verdict
one number before the mutant that killed it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from cut_runs import run_cut
from mutants import mutant

from layerlift import models
from layerlift.models.errors import LayerliftError
from layerlift.models.report import summary

MOST_CHARACTERS = 300


def verdict(number: int, folder: Path) -> str:
    """What became of one mutant."""
    path = folder / "mutant.onnx"
    path.write_bytes(mutant(number))
    try:
        network = models.load(path)
        held = summary.report(network.graph)
        network.weights()
        return _laws(network, held)
    except LayerliftError as error:
        words = str(error)
        if "\n" in words or not 0 < len(words) <= MOST_CHARACTERS:
            return f"broke {len(words)} characters: {words!r}"
        return f"refused {words}"
    except Exception:
        return f"broke {traceback.format_exc()!r}"


def _laws(network: models.Network, held: summary.ModelReport) -> str:
    inputs, count = network.sample_inputs(1), len(network.graph)
    if held.layers != count or sum(held.cut_widths.values()) != count - 1:
        return "broke: its layers and cuts are miscounted"
    whole = models.uncut_session(network, exact=True, alias=True).run(inputs)
    for placement in ([at % 2 for at in range(count)], [int(at >= count // 2) for at in range(count)]):
        seen = run_cut(network, placement, inputs, exact=True)
        for name in whole:
            if name in seen and not np.array_equal(whole[name], seen[name], equal_nan=whole[name].dtype.kind in "fc"):
                return f"broke: {name!r} differs when cut as {placement}"
    return "ran"


def main() -> Iterator[str]:
    """The verdicts, in order."""
    first, count, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    # A query that goes wrong here shall not take the machine with it.
    resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
    os.environ.setdefault("LAYERLIFT_OPEN_SECONDS", "20")
    for number in range(first, first + count):
        yield f"{number} {verdict(number, folder)}"


if __name__ == "__main__":
    for line in main():
        with contextlib.suppress(UnicodeError):
            print(line.encode("ascii", "backslashreplace").decode(), flush=True)
