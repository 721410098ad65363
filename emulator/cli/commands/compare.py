"""`layerlift compare`: runs side by side, or one scenario under several planners and policies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import rich.progress
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from layerlift.emulator.cli.paths import FilePath
from layerlift.emulator.report.screen import screen
from layerlift.emulator.report.terminal import echo
from layerlift.emulator.runtime.interruption import Stopped
from layerlift.emulator.studies.compare.comparison import Comparison
from layerlift.emulator.studies.compare.directories import means_run
from layerlift.emulator.studies.compare.jobs import Asked
from layerlift.emulator.studies.compare.page import FILES, check, draw
from layerlift.emulator.studies.compare.study import MOST_SEEDS, SEEDS, Progress, carry_out, compare_finished
from layerlift.emulator.studies.compare.sweep import Sweep
from layerlift.emulator.studies.compare.terminal import show
from layerlift.models.errors import RunError


@click.command()
@click.argument("targets", nargs=-1, required=True, metavar="(DIR... | SCENARIO)")
@click.option("--planner", "planners", multiple=True, help="Plan every user with this planner; give several.")
@click.option("--policy", "policies", multiple=True, help="Let every server follow this policy; give several.")
@click.option(
    "--seeds", type=click.IntRange(1, MOST_SEEDS), help=f"How many, from the scenario's own on.  [default: {SEEDS}]"
)
@click.option("--seed", "listed", metavar="N,N,...", help="These seeds.")
@click.option("--sweep", metavar="PATH=V,V,...", help="The values of one field in turn; users=50,100 is all users.")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Override any field of the scenario.")
@click.option(
    "--execution",
    type=click.Choice(["every", "once", "none"]),
    help="Run real layers.  [default: none, or every with compute: measured]",
)
@click.option("--no-alone", is_flag=True, help="Run nobody alone first: costs are then latencies, not slowdowns.")
@click.option("--each", is_flag=True, help="Run every user alone, not one of each kind.")
@click.option("--local", is_flag=True, help="One run after the other, in this process.")
@click.option("--address", help="Runs as tasks of a running Ray cluster: auto, or HOST:PORT.")
@click.option("--allow-code", is_flag=True, help="Let the file or the runs name planners and policies as module:Class.")
@click.option("--out", type=FilePath(), help="Write compare.json, .parquet and .html to this folder.")
@click.option("--chart", type=FilePath(), help="Draw all charts as one .png, .svg or .html.")
@click.option("--force", is_flag=True, help="Replace a comparison that is there already.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead.")
def compare(
    targets: tuple[str, ...], out: Path | None, chart: Path | None, force: bool, as_json: bool, **given: Any
) -> None:
    """Compare runs (DIR...), or one SCENARIO under all pairs of planners and policies, with several seeds.

    Seeds are paired: with one seed every variant has the same users, devices and arrivals. As many runs at a time as
    there are CPUs. docs/compare.md says what each number means.
    """
    check(out, chart, force)
    if len(targets) > 1 or means_run(targets[0]):
        _only_runs(targets, given)
        how = {"alone": not given["no_alone"], "each": given["each"], "allow_code": given["allow_code"]}
        found = compare_finished(targets, **how, out=out, force=force, notice=partial(echo, err=True))
    else:
        asked = _asked(targets[0], given)
        with bar() as progress:
            where = {"local": given["local"], "address": given["address"]}
            found = carry_out(asked, **where, out=out, force=force, progress=progress)
    _tell(found, out, chart, as_json)
    if not found.complete:
        raise click.exceptions.Exit(Stopped(found.signal).code)
    if not any(trial.seen for trial in found.trials):
        raise RunError("no variant could be run: the reasons are above")


def _only_runs(targets: tuple[str, ...], given: dict[str, Any]) -> None:
    names = {"planners": "planner", "policies": "policy", "listed": "seed", "settings": "set"}
    own = ("planners", "policies", "seeds", "listed", "sweep", "settings", "execution", "local", "address")
    for name in own:
        if given[name]:
            raise RunError(f"--{names.get(name, name)} is for one scenario, not for runs: {', '.join(targets)}")


def _asked(scenario: str, given: dict[str, Any]) -> Asked:
    if given["listed"] is not None and given["seeds"] is not None:
        raise RunError("--seed and --seeds both say which seeds: expected one of them")
    if given["no_alone"] and given["each"]:
        raise RunError("--each says how users run alone, --no-alone that they do not: expected one of them")
    return Asked(
        scenario,
        planners=tuple(dict.fromkeys(given["planners"])),
        policies=tuple(dict.fromkeys(given["policies"])),
        seeds=seeds_of(given["listed"]) if given["listed"] is not None else (),
        count=given["seeds"] or SEEDS,
        sweep=Sweep.parse(given["sweep"]) if given["sweep"] is not None else None,
        settings=tuple(given["settings"]),
        execution=given["execution"],
        alone=not given["no_alone"],
        each=given["each"],
        allow_code=given["allow_code"],
    )


def seeds_of(text: str) -> tuple[int, ...]:
    """Seeds as `--seed` lists them. Raises `RunError` for what is no list of seeds."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and len(word) <= 12 for word in words):
        raise RunError(f"--seed is {text!r}, expected whole numbers of at least 0 with commas between, as in 1,4,9")
    return tuple(dict.fromkeys(map(int, words)))


@contextmanager
def bar() -> Iterator[Progress]:
    """What shows how many runs have ended, on a terminal; nothing when piped."""
    console = screen(err=True)
    shown = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with rich.progress.Progress(*shown, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Runs", total=None)
        yield lambda ended, total: bar.update(task, completed=ended, total=total)


def _tell(found: Comparison, out: Path | None, chart: Path | None, as_json: bool) -> None:
    """Draw, then print: who reads the table may stop reading."""
    if chart is not None and any(trial.seen for trial in found.trials):
        draw(found, chart)
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=1, allow_nan=False))
    else:
        show(found, screen())
    if out is not None:
        echo(f"Written to {out}: {', '.join(name for name in FILES if (out / name).exists())}", err=True)


COMMANDS: Final[list[click.Command]] = [compare]
