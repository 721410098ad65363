"""`layerlift models`, `layerlift profile` and `layerlift predict`: networks, file_1 and file_2."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from layerlift.emulator.cli.ends import ENDS
from layerlift.emulator.cli.paths import FilePath
from layerlift.emulator.report.formatting import seconds, size
from layerlift.emulator.report.model_report import multiply_adds, show_model
from layerlift.emulator.report.network_picture import draw
from layerlift.emulator.report.screen import screen
from layerlift.models.errors import ModelError
from layerlift.models.loading import zoo
from layerlift.models.loading.disk_cache import write_bytes
from layerlift.models.loading.load import load
from layerlift.models.report import summary
from layerlift.models.running.given import with_inputs
from layerlift.models.running.network import Network
from layerlift.models.timing import training
from layerlift.models.timing.measuring import measure
from layerlift.models.timing.predictor import Predictor, shipped
from layerlift.models.timing.profile import Profile
from layerlift.models.timing.profiles import known, reference

_FULL: Final = 50
"""Networks with at most this many layers are shown whole."""

_DIMS: Final = click.option(
    "--dim", "dims", multiple=True, metavar="NAME=SIZE", help="Fix a dynamic dimension of a file: --dim batch=1"
)


@click.command("models")
@click.argument("name", required=False)
@_DIMS
@ENDS
@click.option("--graph", "picture", type=FilePath(), help="Also draw it, by blocks where it is long: an .svg file.")
@click.option(
    "--layers", "every", is_flag=True, help=f"List layers instead of blocks when there are more than {_FULL}."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead.")
def models(
    name: str | None, dims: Sequence[str], ends: Sequence[str], picture: Path | None, every: bool, as_json: bool
) -> None:
    """List the zoo, or show the network NAME (a zoo name or an .onnx file) as a planner sees it."""
    if name is None:
        _list_zoo(as_json)
        return
    network = load(name, dims=_parsed(dims), outputs=ends)
    found = summary.report(network.graph, known(network))
    if picture is not None:
        draw(network.graph, picture)
    if as_json:
        click.echo(json.dumps({**dataclasses.asdict(found), "digest": network.digest}, indent=1))
        return
    console = screen()
    show_model(console, network, found, every or found.layers <= _FULL)
    if picture is not None:
        console.print(f"Drawn: {picture}")


@click.command()
@click.argument("model")
@_DIMS
@ENDS
@click.option(
    "--inputs", type=FilePath(), help="A .npz file, or a folder of .npy files, to feed instead of made-up inputs."
)
@click.option("--runs", default=30, show_default=True, help="How many times each measurement is repeated.")
@click.option("--ghz", type=float, help="This machine's clock, where the system does not tell it.")
@click.option("--mem-gb-s", type=float, help="Memory bandwidth to write down as a floor for memory-bound layers.")
@click.option("--accept", is_flag=True, help="Take it even where its layers do not explain the whole network.")
@click.option("-o", "--out", "output", type=FilePath(), help="Where to write it; default MODEL.json here.")
def profile(
    model: str,
    dims: Sequence[str],
    ends: Sequence[str],
    inputs: Path | None,
    runs: int,
    ghz: float | None,
    mem_gb_s: float | None,
    accept: bool,
    output: Path | None,
) -> None:
    """Measure MODEL on this machine, layer by layer, and write its profile (file_1).

    The file can be named by a device class of a scenario. One thread is used; let nothing else run meanwhile.
    """
    for option, value in (("--ghz", ghz), ("--mem-gb-s", mem_gb_s)):
        if value is not None and not 0 < value < float("inf"):
            raise ModelError(f"{option} is {value}; expected a number above 0")
    network = load(model, dims=_parsed(dims), outputs=ends)
    network = network if inputs is None else with_inputs(network, inputs)
    console = screen(err=True)
    told = TextColumn("{task.description}", markup=False)
    with Progress(told, BarColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(f"measuring {network.name}")
        found = measure(network, runs, lambda done, total: bar.update(task, completed=done, total=total), ghz=ghz)
    found = dataclasses.replace(found, mem_gb_s=mem_gb_s)
    if not found.trusted and not accept:
        raise ModelError(f"{found.doubt} (--accept takes it as it is)")
    path = output or Path(f"{network.name}.json")
    found.save(path)
    _print_profile(screen(), found, path)


@click.command()
@click.argument("model", required=False)
@_DIMS
@ENDS
@click.option("--ghz", type=float, help="Clock of the server's core; default: that of the training.")
@click.option("--reference-ghz", type=float, help="What clock the training stands for; default: where it was measured.")
@click.option("--report", "scores", is_flag=True, help="How well networks are predicted that were held out.")
@click.option("--train", "trained", is_flag=True, help="Make the shipped regressions again, from the shipped profiles.")
@click.option("--layers", "every", is_flag=True, help=f"List every layer even when there are more than {_FULL}.")
@click.option(
    "-o",
    "--out",
    "output",
    type=FilePath(),
    help="Write layer -> seconds (file_2) as JSON; with --train, the regressions.  [default: predictor.json]",
)
def predict(
    model: str | None,
    dims: Sequence[str],
    ends: Sequence[str],
    ghz: float | None,
    reference_ghz: float | None,
    scores: bool,
    trained: bool,
    every: bool,
    output: Path | None,
) -> None:
    """Predict how long each layer of MODEL takes on a server (file_2), by regressions over the layers' parameters."""
    if model is None and not scores and not trained:
        raise ModelError("nothing to predict was given; expected a MODEL, --report or --train")
    if model is not None and trained:
        raise ModelError(f"--train and {model} were given; expected --train alone, for it predicts nothing")
    console = screen()
    if trained:
        _train(console, output or Path("predictor.json"))
    if scores:
        _print_scores(console)
    if model is None:
        return
    predictor = shipped()
    if reference_ghz is not None:
        if not reference_ghz > 0:
            raise ModelError(f"--reference-ghz is {reference_ghz}; expected a clock above 0")
        predictor = dataclasses.replace(predictor, ghz=reference_ghz)
    network = load(model, dims=_parsed(dims), outputs=ends)
    times = predictor.seconds(network, ghz)
    _print_prediction(console, network, predictor, times, ghz or predictor.ghz, every)
    if output is not None:
        rows = dict(zip((layer.name for layer in network.graph.layers), times, strict=True))
        body = {"network": network.name, "digest": network.digest, "ghz": ghz or predictor.ghz, "seconds": rows}
        write_bytes(output, json.dumps(body, indent=1).encode())
        console.print(f"Written: {output}")


def _train(console: Console, path: Path) -> None:
    predictor = training.train(training.shipped_pairs())
    predictor.save(path)
    same = "the same as" if predictor == shipped() else "not the same as"
    networks = len(predictor.trained_on)
    console.print(f"{len(predictor.fits)} regressions over {networks} networks, {same} those that ship")
    console.print(f"Written: {path}")


def _parsed(dims: Sequence[str]) -> dict[str, int] | None:
    found: dict[str, int] = {}
    for entry in dims:
        name, _, extent = entry.rpartition("=")
        if not name or not extent.isdigit():
            raise ModelError(f"--dim {entry!r} was given; expected NAME=SIZE, such as --dim batch=1")
        found[name] = int(extent)
    return found or None


def _list_zoo(as_json: bool) -> None:
    rows = [(name, load(name)) for name in zoo.names()]
    if as_json:
        click.echo(json.dumps({name: _summary(network) for name, network in rows}, indent=1))
        return
    table = Table("name", "also", "layers", "parameters", "GMACs", "widest cut", "one core here", title="The zoo")
    for column in table.columns[2:]:
        column.justify = "right"
    for name, network in rows:
        found = summary.report(network.graph, reference(network))
        aliases = ", ".join(sorted(alias for alias, of in zoo.ALIASES.items() if of == name))
        table.add_row(
            name,
            aliases,
            str(found.layers),
            size(found.parameter_bytes),
            f"{multiply_adds(network) / 1e9:.2f}",
            str(max(found.cut_widths)),
            seconds(found.seconds),
        )
    console = screen()
    console.print(table)
    console.print("layerlift models NAME shows one; any feed-forward .onnx file works in its place", style="dim")


def _summary(network: Network) -> dict[str, Any]:
    found = summary.report(network.graph, reference(network))
    return {
        "layers": found.layers,
        "parameter_bytes": found.parameter_bytes,
        "macs": multiply_adds(network),
        "seconds": found.seconds,
        "ghz": found.ghz,
        "digest": network.digest,
    }


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


def _print_scores(console: Console) -> None:
    scores = training.held_out(training.shipped_pairs())
    table = Table("operator", "layers", "form", "R2", "RMSE (ms)", title="Layers of networks that were held out")
    for column in (1, 3, 4):
        table.columns[column].justify = "right"
    for score in scores.operators:
        table.add_row(score.kind, str(score.layers), score.form, f"{score.r2:.3f}", f"{score.rmse_ms:.4f}")
    console.print(table)
    sums = Table("network", "measured", "predicted", "ratio", "learnt from none", title="Sums of held-out networks")
    for column in (1, 2, 3):
        sums.columns[column].justify = "right"
    for network in scores.networks:
        mark = "" if abs(network.ratio - 1) <= 0.15 else " (beyond 15 %)"
        sums.add_row(
            network.network,
            seconds(network.measured_s),
            seconds(network.predicted_s),
            f"{network.ratio:.3f}{mark}",
            ", ".join(network.unseen),
        )
    console.print(sums)


def _print_prediction(
    console: Console, network: Network, predictor: Predictor, times: Sequence[float], ghz: float, every: bool
) -> None:
    table = Table("#", "layer", "operator", "regression", "seconds")
    for column in (0, 4):
        table.columns[column].justify = "right"
    shown = range(len(times))
    if not every and len(times) > _FULL:
        shown_slowest = sorted(shown, key=lambda at: -times[at])[:15]
        table.title = "the slowest layers (--layers lists all)"
    else:
        shown_slowest = list(shown)
    for at in shown_slowest:
        layer = network.graph.layers[at]
        kind = predictor.kind(layer.op_type)
        form = f"{kind}, {predictor.fits[kind].form}"
        table.add_row(str(at), layer.name, layer.op_type, form, seconds(times[at]))
    console.print(table)
    measured = known(network)
    told = "" if measured is None else f"; measured {seconds(measured.total_s * predictor.ghz / ghz)} (scaled)"
    console.print(f"{network.name} on one core at {ghz:g} GHz: {seconds(sum(times))} predicted{told}")


COMMANDS: Final = [models, profile, predict]
