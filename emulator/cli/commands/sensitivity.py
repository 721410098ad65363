"""`layerlift sensitivity`: which assumptions a result rests on, and which turn the ranking of planners."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Final

import click
from rich.table import Table
from rich.text import Text

from layerlift.emulator.cli.commands.compare import bar, seeds_of
from layerlift.emulator.cli.paths import FilePath
from layerlift.emulator.report.screen import Screen, screen
from layerlift.emulator.report.terminal import echo
from layerlift.emulator.runtime.interruption import Stopped
from layerlift.emulator.studies.compare.study import SEEDS
from layerlift.emulator.studies.processes import MOST
from layerlift.emulator.studies.sensitivity.charts import bars
from layerlift.emulator.studies.sensitivity.findings import Sensitivity
from layerlift.emulator.studies.sensitivity.page import FILES
from layerlift.emulator.studies.sensitivity.screening import MOST_TRAJECTORIES, TRAJECTORIES
from layerlift.emulator.studies.sensitivity.study import sensitivity as carried_out
from layerlift.models.errors import RunError


@click.command()
@click.argument("scenario")
@click.option(
    "--metric", "metrics", multiple=True, metavar="METRIC", help="p95_ms, camera.mean_ms, money: give several."
)
@click.option("--planner", "planners", multiple=True, help="Plan every user with this planner; several are ranked.")
@click.option("--seeds", type=click.IntRange(1, 1000), help=f"How many, from the scenario's on.  [default: {SEEDS}]")
@click.option("--seed", "listed", metavar="N,N,...", help="These seeds.")
@click.option("--also", multiple=True, metavar="PATH", help="Vary this too, as a line of `sources` names it.")
@click.option("--only", multiple=True, metavar="PATTERN", help="Vary only assumptions of these names.")
@click.option("--each-field", is_flag=True, help="Every field by itself, not all that a line of `sources` speaks of.")
@click.option("--morris", is_flag=True, help="Move all together, too, on random paths; needs SALib.")
@click.option(
    "--trajectories",
    type=click.IntRange(2, MOST_TRAJECTORIES),
    default=TRAJECTORIES,
    show_default=True,
    help="How many paths.",
)
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Override any field of the scenario.")
@click.option("--workers", type=click.IntRange(1, MOST), help="How many runs at a time.  [default: one for each CPU]")
@click.option("--address", help="Run in a Ray cluster instead: auto, or HOST:PORT.")
@click.option("--allow-code", is_flag=True, help="Let the file name planners and policies as module:Class.")
@click.option("--out", type=FilePath(), help="Write sensitivity.json and .html to this folder; go on there next time.")
@click.option("--force", is_flag=True, help="Replace a sensitivity that is there already.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead.")
def sensitivity(
    scenario: str,
    metrics: tuple[str, ...],
    planners: tuple[str, ...],
    seeds: int | None,
    listed: str | None,
    also: tuple[str, ...],
    only: tuple[str, ...],
    each_field: bool,
    morris: bool,
    trajectories: int,
    settings: tuple[str, ...],
    workers: int | None,
    address: str | None,
    allow_code: bool,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    r"""What results of SCENARIO rest on: every assumption is run at half and at double, with the same seeds.

    \b
    layerlift sensitivity paper --metric mean_ms --planner ionn --planner direct
    layerlift sensitivity site.yaml --metric p95_ms --also nodes.*.ghz --morris --out rests

    Assumptions are the lines of `sources` and the defaults in use. docs/sensitivity.md has it all.
    """
    if listed is not None and seeds is not None:
        raise RunError("--seed and --seeds both say which seeds: expected one of them")
    with bar() as progress:
        found = carried_out(
            scenario,
            metrics,
            planners=planners,
            seeds=seeds_of(listed) if listed is not None else seeds or SEEDS,
            overrides=settings,
            also=also,
            only=only,
            each=each_field,
            morris=morris,
            trajectories=trajectories,
            workers=workers,
            address=address,
            out=out,
            force=force,
            progress=progress,
            allow_code=allow_code,
        )
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=1, allow_nan=False))
    else:
        _show(found, screen())
    if out is not None and found.complete:
        echo(f"Written to {out}: {', '.join(FILES)}", err=True)
    if not found.complete:
        raise click.exceptions.Exit(Stopped(found.signal).code)
    if not any(found.levels.base(measure, planner).n for measure in found.measures for planner in found.planners):
        raise RunError("the scenario could not be run as it is, or has none of these numbers: the reasons are above")


def _show(found: Sensitivity, console: Screen) -> None:
    answer = [found.sentences(), found.remarks()]
    # What is not all of it says so first.
    for text in itertools.chain(*(answer if found.complete else reversed(answer))):
        console.print(Text(text), soft_wrap=not console.is_terminal)
    for measure in found.measures:
        console.print()
        console.print(Text(measure.title, style="bold"))
        heads, lines = found.table(measure)
        console.print(_table(heads, lines))
        if found.screening is not None:
            console.print()
            console.print(Text("All moved together: elementary effects, from half to double", style="bold"))
            console.print(_table(*found.effects(measure)))
        for planner in found.planners:
            drawn = bars(found, measure, planner)
            if drawn:
                console.print()
                console.print(Text(f"{planner}: {measure.title}, h half, D double"))
                console.print(_table(["", "less" + " " * 20 + "|" + " " * 20 + "more"], [list(line) for line in drawn]))


def _table(heads: list[str], lines: list[list[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(Text(head), overflow="fold", no_wrap=head != "is")
    for line in lines:
        table.add_row(*map(Text, line))
    return table


COMMANDS: Final[list[click.Command]] = [sensitivity]
