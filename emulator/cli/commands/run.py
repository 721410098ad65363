"""`layerlift run` and `layerlift replay`: emulate a scenario."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from layerlift.emulator.report.interrupted import left_behind
from layerlift.emulator.report.progress_bar import LiveProgress
from layerlift.emulator.report.report import show
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.results.versions import other_versions
from layerlift.emulator.run import run
from layerlift.emulator.runtime.measured import Measured, measured_costs
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.from_run import scenario_of
from layerlift.models.errors import RunError


@click.command("run")
@click.argument("scenario")
@click.option("--local", is_flag=True, help="Without Ray: everything in this process.")
@click.option("--actors", default="auto", show_default=True, help="How many host actors: a number, or auto.")
@click.option("--time-plane", type=click.Choice(["auto", "actors", "local"]), default="auto", show_default=True)
@click.option("--address", help="Join a running Ray cluster: auto, or HOST:PORT.")
@click.option("--execution", type=click.Choice(["every", "once", "none"]), help="Which queries run real layers.")
@click.option("--compute", type=click.Choice(["profiled", "measured"]), help="Where costs come from.")
@click.option("--planner", help="Plan every user with this planner, e.g. ionn or my_module:MyPlanner.")
@click.option("--policy", help="Let every server share itself out by this policy, e.g. drf.")
@click.option("--seed", type=int, help="Another seed.")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Override any field of the scenario.")
@click.option("--pace", type=float, help="Virtual seconds per second of wall clock.")
@click.option("--strict", is_flag=True, help="Fail when a planner fails or a paced run is not to be trusted.")
@click.option("--out", type=click.Path(path_type=Path), help="The run's directory.  [default: runs/NAME-TIME]")
@click.option("--force", is_flag=True, help="Replace a run that is there already.")
@click.option("--quiet", is_flag=True, help="No report at the end.")
def run_command(
    scenario: str,
    execution: str | None,
    compute: str | None,
    planner: str | None,
    policy: str | None,
    seed: int | None,
    settings: tuple[str, ...],
    out: Path | None,
    force: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Run SCENARIO: the name of a bundled one (see `layerlift scenarios`) or a YAML file.

    Writes a directory of Parquet tables and run.json, and prints a report.
    """
    overrides = list(settings)
    overrides += [f"{name}={value}" for name, value in (("execution", execution), ("compute", compute)) if value]
    if seed is not None:
        overrides.append(f"seed={seed}")
    loaded = Scenario.load(scenario, overrides)
    if planner is not None:
        overrides += [f"users.{number}.planner={planner}" for number in range(len(loaded.users))]
    if policy is not None:
        servers = (number for number, group in enumerate(loaded.nodes) if group.tier != "client")
        overrides += [f"nodes.{number}.policy={policy}" for number in servers]
    if planner is not None or policy is not None:
        loaded = Scenario.load(scenario, overrides)
    directory = out or Path("runs") / f"{loaded.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    _finish(_run(loaded, directory, force, options), quiet)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Where to keep the new run's tables.  [default: nowhere]")
@click.option("--force", is_flag=True, help="Replace a run that is there already.")
def replay(directory: Path, out: Path | None, force: bool) -> None:
    """Run again what DIRECTORY holds, in this process, and compare digests.

    A run with `compute: measured` is replayed from the costs that it measured.
    """
    earlier = RunResult.load(directory)
    if not earlier.complete:
        raise RunError(f"the run in {directory} was {earlier.run['status']}: expected a complete one")
    scenario = scenario_of(earlier)
    costs = measured_costs(directory) if scenario.compute == "measured" else Measured()
    again = run(scenario, out=out, force=force, replay=costs, local=True)
    if again.digest != earlier.digest:
        was = f"{earlier.digest[:32]}{_elsewhere(earlier)}"
        raise RunError(f"the replay's digest is {again.digest}, the run's was {was}")
    click.echo(f"Same digest: {again.digest}{_elsewhere(earlier)}")


def _elsewhere(earlier: RunResult) -> str:
    other = other_versions(earlier.run)
    return f" ({other})" if other else ""


def _run(scenario: Scenario, directory: Path, force: bool, options: dict[str, Any]) -> RunResult:
    with LiveProgress(Console(stderr=True)) as live:
        return run(scenario, out=directory, force=force, notice=live.notice, progress=live.update, **options)


def _finish(result: RunResult, quiet: bool) -> None:
    if not quiet:
        show(result, Console())
    if not result.complete:
        click.echo(left_behind(result), err=True)
        raise click.exceptions.Exit(130)


COMMANDS: Final = [run_command, replay]
