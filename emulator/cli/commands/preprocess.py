"""`layerlift preprocess`: merge, split, tile, factor and prune a network, and see what it does."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.table import Table

from layerlift.emulator.cli.ends import ENDS
from layerlift.emulator.cli.model_options import DIMS, FIX, dims_of, fix_of
from layerlift.emulator.cli.paths import FilePath
from layerlift.emulator.report.formatting import size
from layerlift.emulator.report.screen import screen
from layerlift.models.errors import ModelError
from layerlift.models.loading.load import load
from layerlift.models.loading.saving import save
from layerlift.models.preprocess import pipeline
from layerlift.models.preprocess.report import NetworkSize, OutputError, StepReport, output_error, size_of
from layerlift.models.running.given import with_inputs
from layerlift.models.running.network import Network

_LABEL: Final = "synthetic"


@click.command("preprocess")
@click.argument("model", required=False)
@click.argument("steps", nargs=-1)
@click.option("-o", "--out", "output", type=FilePath(dir_okay=False), help="Write the result: an .onnx file.")
@DIMS
@FIX
@ENDS
@click.option("--spectrum", type=float, help="Decay of a zoo network's singular values; 0.8 resembles trained ones.")
@click.option("--weights-seed", type=click.IntRange(0), default=0, help="Of a zoo network's weights.")
@click.option("--inputs", type=FilePath(), help="A .npz file, or a folder of .npy files, to compare outputs on.")
@click.option("--samples", type=click.IntRange(0), default=2, help="Inputs to compare outputs on; 0 does not compare.")
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON instead.")
def preprocess(
    model: str | None,
    steps: Sequence[str],
    output: Path | None,
    dims: Sequence[str],
    fix: Sequence[str],
    ends: Sequence[str],
    spectrum: float | None,
    weights_seed: int,
    inputs: Path | None,
    samples: int,
    as_json: bool,
) -> None:
    """Apply STEPS, in order, to the network MODEL (a zoo name or an .onnx file).

    A step is a name with options: merge, tile:rows=2,columns=2 or tile:rows=1+2 (a list), or the same in YAML:
    'tile: {rows: [1, 2]}'. Without MODEL or STEPS the steps are listed.
    """
    if model is None or not steps:
        _list_steps(as_json)
        return
    chosen = pipeline.parse(steps)
    before = load(model, dims=dims_of(dims), fix=fix_of(fix), outputs=ends, seed=weights_seed, spectrum=spectrum)
    before = before if inputs is None else with_inputs(before, inputs)
    after, reports = pipeline.reported(before, chosen, samples)
    total = _total(before, after, reports, samples)
    if output is not None:
        _write(after, output)
    if as_json:
        click.echo(json.dumps(_as_json(after, reports, total), indent=1))
        return
    console = screen()
    console.print(_table(before, reports, total, size_of(before), size_of(after)))
    for line in _notes(after, reports, output):
        console.print(line)


def _write(network: Network, output: Path) -> None:
    try:
        save(network, output)
    except OSError as error:
        raise ModelError(f"{output} cannot be written ({error.strerror}); name a file that can, with -o") from None


def _list_steps(as_json: bool) -> None:
    kinds = pipeline.KINDS.values()
    if as_json:
        click.echo(json.dumps({k.name: {"options": list(k.options), "lossless": k.lossless} for k in kinds}, indent=1))
        return
    table = Table("step", "options", "lossless", "what it does", title="Steps")
    for kind in kinds:
        table.add_row(kind.name, kind.signature(), "yes" if kind.lossless else "no", kind.summary)
    screen().print(table)


def _total(before: Network, after: Network, reports: Sequence[StepReport], samples: int) -> OutputError | None:
    """The error of all steps together: that of the only lossy one, or measured again."""
    lossy = [report for report in reports if report.changed and not report.lossless]
    if not lossy or not samples:
        return None
    return lossy[0].error if len(lossy) == 1 else output_error(before, after, samples)


def _table(
    before: Network, reports: Sequence[StepReport], total: OutputError | None, first: NetworkSize, last: NetworkSize
) -> Table:
    label = f"error ({_LABEL})" if before.synthetic else "output error"
    table = Table("step", "layers", "held", "to upload", "FLOPs", label, title=before.name)
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("as it is", *_cells(first), "")
    for report in reports:
        table.add_row(report.step, *_cells(report.after), _error_of(report))
    if len(reports) > 1:
        table.add_section()
        table.add_row(
            "all steps",
            *(f"{now / was:.0%}" for was, now in zip(*_numbers(first, last), strict=True)),
            "" if total is None else _error(total),
        )
    return table


def _cells(found: NetworkSize) -> tuple[str, str, str, str]:
    return str(found.layers), size(found.held_bytes), size(found.upload_bytes), f"{found.flops / 1e9:.3g} G"


def _numbers(*sizes: NetworkSize) -> list[tuple[int, ...]]:
    return [dataclasses.astuple(each) for each in sizes]


def _error_of(report: StepReport) -> str:
    if not report.changed:
        return "nothing to do"
    if report.error is not None:
        return _error(report.error)
    return "none" if report.lossless else "not measured"


def _error(error: OutputError) -> str:
    return f"{error.relative:.3g}"


def _notes(after: Network, reports: Sequence[StepReport], output: Path | None) -> list[str]:
    lines: list[str] = []
    if any(report.error is not None for report in reports):
        lines.append("Output error: norm of the change over the norm of the outputs before a softmax; not an accuracy.")
        if after.synthetic and not all(report.lossless for report in reports):
            lines.append("The weights are seeded, not trained: --spectrum 0.8, or your own model, tells more.")
    if output is not None:
        lines.append(f"Written: {output}")
        if after.base is not None:
            lines.append("An ONNX file has no merged layers: name merges in the scenario (preprocess: [...]) as well.")
        if any(p.upload_bytes < p.held_bytes for p in after.graph.parameters):
            lines.append("It holds the pruned weights dense: name the pruning in the scenario too, for sparse uploads.")
    return lines


def _as_json(after: Network, reports: Sequence[StepReport], total: OutputError | None) -> dict[str, Any]:
    return {
        "network": after.name,
        "digest": after.digest,
        "steps": [dataclasses.asdict(report) for report in reports],
        "error": None if total is None else dataclasses.asdict(total),
    }


COMMANDS: Final[list[click.Command]] = [preprocess]
