"""`layerlift compare`: runs side by side, or one scenario under several planners and policies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from layerlift.emulator.report.formatting import count
from layerlift.emulator.studies.compare.comparison import Comparison, Trial
from layerlift.emulator.studies.compare.directories import compare_runs, is_run
from layerlift.emulator.studies.compare.jobs import Asked, Work, trials, work
from layerlift.emulator.studies.compare.page import check, draw, prepare, write
from layerlift.emulator.studies.compare.sweep import Sweep
from layerlift.emulator.studies.compare.terminal import WIDEST, show
from layerlift.models.errors import RunError

_SEEDS: Final = 3


@click.command()
@click.argument("targets", nargs=-1, required=True, metavar="(DIR... | SCENARIO)")
@click.option("--planner", "planners", multiple=True, help="Plan every user with this planner; give several.")
@click.option("--policy", "policies", multiple=True, help="Let every server follow this policy; give several.")
@click.option(
    "--seeds", type=click.IntRange(1, 1000), help=f"How many, from the scenario's own on.  [default: {_SEEDS}]"
)
@click.option("--seed", "listed", metavar="N,N,...", help="These seeds.")
@click.option("--sweep", metavar="PATH=V,V,...", help="The values of one field in turn; users=50,100 is all users.")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Override any field of the scenario.")
@click.option("--execution", type=click.Choice(["every", "once", "none"]), help="Run real layers.  [default: none]")
@click.option("--no-alone", is_flag=True, help="Run nobody alone first: costs are then latencies, not slowdowns.")
@click.option("--each", is_flag=True, help="Run every user alone, not one of each kind.")
@click.option("--local", is_flag=True, help="Without Ray: one run after the other, in this process.")
@click.option("--address", help="Join a running Ray cluster: auto, or HOST:PORT.")
@click.option("--out", type=click.Path(path_type=Path), help="Write compare.json, .parquet and .html to this folder.")
@click.option("--chart", type=click.Path(path_type=Path), help="Draw all charts as one .png, .svg or .html.")
@click.option("--force", is_flag=True, help="Replace a comparison that is there already.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead.")
def compare(
    targets: tuple[str, ...], out: Path | None, chart: Path | None, force: bool, as_json: bool, **given: Any
) -> None:
    """Compare runs (DIR...), or one SCENARIO under all pairs of planners and policies, with several seeds.

    Seeds are paired: with one seed every variant has the same users, devices and arrivals. Runs are Ray tasks, as many
    at a time as there are CPUs. docs/compare.md says what each number means.
    """
    check(out, chart, force)
    runs = [target for target in targets if is_run(target)]
    stopped = False
    if runs or len(targets) > 1:
        _only_runs(targets, given)
        alone, each = not given["no_alone"], given["each"]
        found = compare_runs(targets, alone=alone, each=each, notice=lambda text: click.echo(text, err=True))
    else:
        todo = work(_asked(targets[0], given))
        if out is not None:
            prepare(out)
        found, stopped = _run(todo, given["local"], given["address"])
    _tell(found, out, chart, as_json)
    if stopped:
        raise click.exceptions.Exit(130)
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
        seeds=_seeds(given["listed"]) if given["listed"] is not None else (),
        count=given["seeds"] or _SEEDS,
        sweep=Sweep.parse(given["sweep"]) if given["sweep"] is not None else None,
        settings=(*given["settings"], f"execution={given['execution'] or 'none'}"),
        alone=not given["no_alone"],
        each=given["each"],
    )


def _seeds(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and len(word) <= 12 for word in words):
        raise RunError(f"--seed is {text!r}, expected whole numbers of at least 0 with commas between, as in 1,4,9")
    return tuple(dict.fromkeys(map(int, words)))


def _run(work: Work, local: bool, address: str | None) -> tuple[Comparison, bool]:
    """What came of the jobs, and whether the user stopped them."""
    found: list[Trial] = []
    try:
        with _bar(len(work.jobs)) as bar:
            for trial in trials(work, local=local, address=address, done=lambda: bar.advance(bar.task_ids[0])):
                found.append(trial)
    except KeyboardInterrupt:
        note = f"interrupted by the user: {len(found)} of {count(len(work.jobs), 'run')} had ended"
        return work.compared(found, [note]), True
    return work.compared(found), False


@contextmanager
def _bar(total: int) -> Iterator[Progress]:
    """On a terminal; nothing when piped."""
    console = Console(stderr=True)
    shown = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*shown, console=console, transient=True, disable=not console.is_terminal) as bar:
        bar.add_task("Runs", total=total)
        yield bar


def _tell(found: Comparison, out: Path | None, chart: Path | None, as_json: bool) -> None:
    """Write, then print: who reads the table may stop reading."""
    written = write(found, out) if out is not None else []
    if chart is not None and any(trial.seen for trial in found.trials):
        draw(found, chart)
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=1, allow_nan=False))
    else:
        console = Console()
        show(found, console if console.is_terminal else Console(width=WIDEST))
    if written:
        click.echo(f"Written to {out}: {', '.join(path.name for path in written)}", err=True)


COMMANDS: Final[list[click.Command]] = [compare]
