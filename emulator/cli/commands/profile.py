"""`layerlift profile`: file_1, measured here or imported from elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from layerlift.emulator.cli.ends import ENDS
from layerlift.emulator.cli.model_options import DIMS, FIX, dims_of, fix_of
from layerlift.emulator.cli.paths import FilePath
from layerlift.emulator.report.formatting import count, seconds, size
from layerlift.emulator.report.screen import screen
from layerlift.models.errors import ModelError
from layerlift.models.loading.load import load
from layerlift.models.running.given import with_inputs
from layerlift.models.running.network import Network
from layerlift.models.text import printable
from layerlift.models.timing.importing import Imported, imported
from layerlift.models.timing.measuring import measure, measure_batches
from layerlift.models.timing.profile import Profile

_SHOWN: Final = 5
"""So many names of a file that no layer has are listed."""


@click.command()
@click.argument("model")
@DIMS
@FIX
@ENDS
@click.option(
    "--inputs", type=FilePath(), help="A .npz file, or a folder of .npy files, to feed instead of made-up inputs."
)
@click.option("--runs", default=30, show_default=True, help="How many times each measurement is repeated.")
@click.option("--ghz", type=float, help="This machine's clock, where the system does not tell it.")
@click.option("--mem-gb-s", type=float, help="Memory bandwidth to write down as a floor for memory-bound layers.")
@click.option("--batch", "sizes", metavar="SIZES", help="Measure so many queries at once, too: --batch 1,2,4,8")
@click.option(
    "--import",
    "source",
    type=FilePath(),
    help="Measure nothing: take the times in a file of trtexec, of onnxruntime, or of Layerlift's own form.",
)
@click.option("--host", help="What an imported profile was measured on.")
@click.option("--accept", is_flag=True, help="Take it even where its layers do not explain the whole network.")
@click.option("-o", "--out", "output", type=FilePath(), help="Where to write it; default MODEL.json here.")
def profile(
    model: str,
    dims: Sequence[str],
    fix: Sequence[str],
    ends: Sequence[str],
    inputs: Path | None,
    runs: int,
    ghz: float | None,
    mem_gb_s: float | None,
    sizes: str | None,
    source: Path | None,
    host: str | None,
    accept: bool,
    output: Path | None,
) -> None:
    """Measure MODEL on this machine, layer by layer, and write its profile (file_1).

    The file can be named by a device class of a scenario. One thread is used; let nothing else run meanwhile.
    """
    for option, value in (("--ghz", ghz), ("--mem-gb-s", mem_gb_s)):
        if value is not None and not 0 < value < float("inf"):
            raise ModelError(f"{option} is {value}; expected a number above 0")
    batches = _sizes(sizes)
    if source is not None and batches:
        raise ModelError("--import and --batch were given; expected one of them: a file of times has its own batches")
    if host is not None and source is None:
        raise ModelError("--host was given without --import; what is measured here names this machine itself")
    network = load(model, dims=dims_of(dims), fix=fix_of(fix), outputs=ends)
    network = network if inputs is None else with_inputs(network, inputs)
    if source is None:
        found = _measured(network, runs, ghz, batches)
        doubt = "" if found.trusted else found.doubt
    else:
        foreign = imported(network, source, ghz=ghz, host=host)
        found, doubt = foreign.profile, foreign.doubt
        _print_import(screen(), foreign)
    found = dataclasses.replace(found, mem_gb_s=mem_gb_s)
    if doubt and not accept:
        raise ModelError(f"{doubt} (--accept takes it as it is)")
    path = output or Path(f"{network.name}.json")
    found.save(path)
    _print_profile(screen(), found, path)


def _sizes(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    entries = [entry.strip() for entry in text.split(",")]
    if not all(entry.isdecimal() and 1 <= int(entry) <= 4096 for entry in entries):
        raise ModelError(f"--batch {text!r} was given; expected numbers of queries from 1 to 4096, such as 1,2,4,8")
    return tuple(int(entry) for entry in entries)


def _measured(network: Network, runs: int, ghz: float | None, sizes: Sequence[int]) -> Profile:
    told = TextColumn("{task.description}", markup=False)
    with Progress(told, BarColumn(), TimeRemainingColumn(), console=screen(err=True), transient=True) as bar:
        task = bar.add_task(f"measuring {network.name}")
        found = measure(network, runs, lambda done, total: bar.update(task, completed=done, total=total), ghz=ghz)
        for number in sorted(set(sizes) - {1}):
            bar.reset(task, description=f"measuring {network.name}, {number} queries at once")
            more = measure_batches(
                network, (number,), runs, lambda done, total: bar.update(task, completed=done, total=total)
            )
            found = dataclasses.replace(found, batches=(*found.batches, *more))
    return found


def _print_import(console: Console, found: Imported) -> None:
    if found.strange:
        names = ", ".join(printable(name)[:60] for name in found.strange[:_SHOWN])
        more = f" and {len(found.strange) - _SHOWN} more" if len(found.strange) > _SHOWN else ""
        console.print(f"{count(len(found.strange), 'name')} of the file no layer has: {names}{more}", markup=False)
    if found.estimated:
        console.print(
            f"{count(len(found.estimated), 'layer')} the file does not name: they have {found.estimated_share:.1%} of "
            f"the time ({', '.join(printable(name)[:60] for name in found.estimated[:_SHOWN])} ...)",
            markup=False,
        )


def _print_profile(console: Console, found: Profile, path: Path) -> None:
    table = Table("layer", "operator", "median", "spread", "parameters", "output")
    for column in table.columns[2:]:
        column.justify = "right"
    rows = zip(
        found.seconds,
        found.layers,
        found.operators,
        found.spread_s,
        found.parameter_bytes,
        found.output_bytes,
        strict=True,
    )
    for spent, name, kind, spread, held, made in sorted(rows, key=lambda row: -row[0])[:15]:
        table.add_row(name, kind, seconds(spent), seconds(spread), size(held), size(made))
    table.title = f"{found.network}: its slowest layers"
    console.print(table)
    blocks = sum(block[2] for block in found.blocks)
    console.print(
        f"{seconds(found.uncut_s)} uncut at optimisation off, {seconds(found.fused_s)} fused whole, "
        f"{seconds(blocks)} fused in {len(found.blocks)} blocks; one thread at {found.ghz} GHz, {found.runs} runs"
    )
    console.print(f"the layers explain {found.coverage:.1%} of the uncut run")
    console.print(f"Written: {path}")
    if found.batches:
        _print_batches(console, found)


def _print_batches(console: Console, found: Profile) -> None:
    table = Table("queries at once", "all of them", "each", title="Batches")
    for column in table.columns:
        column.justify = "right"
    for number in (1, *(number for number, _ in found.batches)):
        spent = sum(found.batch_seconds(number))
        table.add_row(str(number), seconds(spent), seconds(spent / number))
    console.print(table)


COMMANDS: Final = [profile]
