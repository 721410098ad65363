"""`layerlift models` and `layerlift predict`: networks, and file_2."""

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
from layerlift.emulator.cli.model_options import DIMS, FIX, dims_of, fix_of
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
from layerlift.models.running.network import Network
from layerlift.models.timing import operator_data, training
from layerlift.models.timing.predictor import Predictor, shipped
from layerlift.models.timing.profiles import known, reference

_FULL: Final = 50
"""Networks with at most this many layers are shown whole."""


@click.command("models")
@click.argument("name", required=False)
@DIMS
@FIX
@ENDS
@click.option("--graph", "picture", type=FilePath(), help="Also draw it, by blocks where it is long: an .svg file.")
@click.option(
    "--layers", "every", is_flag=True, help=f"List layers instead of blocks when there are more than {_FULL}."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead.")
def models(
    name: str | None,
    dims: Sequence[str],
    fix: Sequence[str],
    ends: Sequence[str],
    picture: Path | None,
    every: bool,
    as_json: bool,
) -> None:
    """List the zoo, or show the network NAME (a zoo name or an .onnx file) as a planner sees it."""
    if name is None:
        _list_zoo(as_json)
        return
    network = load(name, dims=dims_of(dims), fix=fix_of(fix), outputs=ends)
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
@click.argument("model", required=False)
@DIMS
@FIX
@ENDS
@click.option("--ghz", type=float, help="Clock of the server's core; default: that of the training.")
@click.option("--reference-ghz", type=float, help="What clock the training stands for; default: where it was measured.")
@click.option("--report", "scores", is_flag=True, help="How well networks are predicted that were held out.")
@click.option("--train", "trained", is_flag=True, help="Make the shipped regressions again, from shipped data.")
@click.option(
    "--measure", "times", type=FilePath(), help="Measure single operators here, for --train: a .json to write."
)
@click.option("--operators", type=FilePath(), help="With --train: such a file in place of the one that ships.")
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
    fix: Sequence[str],
    ends: Sequence[str],
    ghz: float | None,
    reference_ghz: float | None,
    scores: bool,
    trained: bool,
    times: Path | None,
    operators: Path | None,
    every: bool,
    output: Path | None,
) -> None:
    """Predict how long each layer of MODEL takes on a server (file_2), by regressions over the layers' parameters."""
    if model is None and not scores and not trained and times is None:
        raise ModelError("nothing to predict was given; expected a MODEL, --report, --train or --measure")
    if operators is not None and not trained:
        raise ModelError("--operators was given without --train; expected both, for only training reads it")
    if model is not None and trained:
        raise ModelError(f"--train and {model} were given; expected --train alone, for it predicts nothing")
    console = screen()
    if times is not None:
        _measure_operators(console, times)
    if trained:
        _train(console, output or Path("predictor.json"), operators)
    if scores:
        _print_scores(console)
    if model is None:
        return
    predictor = shipped()
    if reference_ghz is not None:
        if not reference_ghz > 0:
            raise ModelError(f"--reference-ghz is {reference_ghz}; expected a clock above 0")
        predictor = dataclasses.replace(predictor, ghz=reference_ghz)
    network = load(model, dims=dims_of(dims), fix=fix_of(fix), outputs=ends)
    found = predictor.seconds(network, ghz)
    _print_prediction(console, network, predictor, found, ghz or predictor.ghz, every)
    if output is not None:
        rows = dict(zip((layer.name for layer in network.graph.layers), found, strict=True))
        body = {"network": network.name, "digest": network.digest, "ghz": ghz or predictor.ghz, "seconds": rows}
        body["unpredicted_share"] = round(predictor.unpredicted_share(network), 6)
        write_bytes(output, json.dumps(body, indent=1).encode())
        console.print(f"Written: {output}")


def _measure_operators(console: Console, path: Path) -> None:
    with Progress(
        TextColumn("measuring operators", markup=False),
        BarColumn(),
        TimeRemainingColumn(),
        console=screen(err=True),
        transient=True,
    ) as bar:
        task = bar.add_task("")
        found = operator_data.measured(lambda done, total: bar.update(task, completed=done, total=total))
    found.save(path)
    console.print(
        f"{len(found.rows):,} cases of {len({row.kind for row in found.rows})} classes, measured on {found.host}"
    )
    console.print(f"Written: {path}")


def _train(console: Console, path: Path, operators: Path | None) -> None:
    times = None if operators is None else operator_data.OperatorTimes.load(operators)
    predictor = training.train(training.shipped_pairs(), times)
    predictor.save(path)
    same = "the same as" if predictor == shipped() else "not the same as"
    networks = len(predictor.trained_on)
    console.print(f"{len(predictor.fits)} regressions over {networks} networks, {same} those that ship")
    console.print(f"Written: {path}")


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
        kind = predictor.kind(layer)
        form = f"{kind}, {predictor.fits[kind].form}"
        table.add_row(str(at), layer.name, layer.op_type, form, seconds(times[at]))
    console.print(table)
    measured = known(network)
    told = "" if measured is None else f"; measured {seconds(measured.total_s * predictor.ghz / ghz)} (scaled)"
    console.print(f"{network.name} on one core at {ghz:g} GHz: {seconds(sum(times))} predicted{told}")
    share, general = predictor.unpredicted_share(network), predictor.unpredicted(network)
    which = f": {', '.join(f'{operator} ({layers})' for operator, layers in general.items())}" if general else ""
    console.print(f"{share:.1%} of it has no regression of its own{which}", markup=False)


COMMANDS: Final = [models, predict]
