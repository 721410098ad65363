"""`layerlift run` and `layerlift replay`: emulate a scenario."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import click

from layerlift.emulator.cli.paths import FilePath
from layerlift.emulator.report.interrupted import left_behind
from layerlift.emulator.report.progress_bar import LiveProgress
from layerlift.emulator.report.report import show
from layerlift.emulator.report.screen import screen
from layerlift.emulator.report.terminal import echo
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.results.record import place
from layerlift.emulator.results.versions import other_versions
from layerlift.emulator.run import run
from layerlift.emulator.runtime.interruption import Stopped
from layerlift.emulator.runtime.measured import Measured, measured_costs, stopped_plans
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.from_run import scenario_of
from layerlift.emulator.scenario.schema.document import Given
from layerlift.models.errors import RunError
from layerlift.models.text import file_name


@click.command("run")
@click.argument("scenario")
@click.option("--local", is_flag=True, help="Without Ray: everything in this process.")
@click.option("--actors", default="auto", show_default=True, help="How many host actors: a number, or auto.")
@click.option(
    "--time-plane",
    type=click.Choice(["auto", "actors", "local"]),
    default="auto",
    show_default=True,
    help="Where nodes live in virtual time: in the actors, or all in this process (local); auto: by their number. "
    "No number of the run depends on it.",
)
@click.option("--address", help="Join a running Ray cluster: auto, or HOST:PORT.")
@click.option("--execution", type=click.Choice(["every", "once", "none"]), help="Which queries run real layers.")
@click.option("--compute", type=click.Choice(["profiled", "measured"]), help="Where costs come from.")
@click.option("--planner", help="Plan every user with this planner, e.g. ionn or my_module:MyPlanner.")
@click.option("--policy", help="Let every server share itself out by this policy, e.g. drf.")
@click.option("--seed", type=int, help="Another seed.")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Override any field of the scenario.")
@click.option(
    "--pace",
    type=float,
    help="Virtual seconds per second of the clock, kept in step: 1 is real time.  [default: as fast as it goes]",
)
@click.option("--strict", is_flag=True, help="Fail when a planner fails or a paced run is not to be trusted.")
@click.option("--allow-code", is_flag=True, help="Let the scenario's file name planners and policies as module:Class.")
@click.option(
    "--plan-workers",
    default="1",
    show_default=True,
    help="Processes (or tasks of Ray) in which planners that take more than 50 ms plan at once: a number, or auto.",
)
@click.option("--out", type=FilePath(), help="The run's directory.  [default: runs/NAME-TIME]")
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
    allow_code: bool,
    out: Path | None,
    force: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Run SCENARIO: the name of a bundled one (see `layerlift scenarios`) or a YAML file.

    Writes a directory of Parquet tables and run.json, and prints a report.
    """
    overrides = list(settings)
    for name, value in (("execution", execution), ("compute", compute), ("seed", seed)):
        if value is not None:
            overrides.append(Given.by(f"--{name} {value}", f"{name}={value}"))
    loaded = Scenario.load(scenario, overrides, allow_code=allow_code)
    if planner is not None:
        overrides += [
            Given.by(f"--planner {planner}", f"users.{number}.planner={planner}") for number in range(len(loaded.users))
        ]
    if policy is not None:
        servers = (number for number, group in enumerate(loaded.nodes) if group.tier != "client")
        overrides += [Given.by(f"--policy {policy}", f"nodes.{number}.policy={policy}") for number in servers]
    if planner is not None or policy is not None:
        loaded = Scenario.load(scenario, overrides, allow_code=allow_code)
    directory = out or Path("runs") / f"{file_name(loaded.name, 'run')}-{time.strftime('%Y%m%d-%H%M%S')}"
    _finish(_run(loaded, directory, force, options), quiet)


@click.command()
@click.argument("directory", type=FilePath())
@click.option("--out", type=FilePath(), help="Where to keep the new run's tables.  [default: nowhere]")
@click.option("--allow-code", is_flag=True, help="Let the run's scenario name planners and policies as module:Class.")
@click.option("--force", is_flag=True, help="Replace a run that is there already.")
def replay(directory: Path, out: Path | None, allow_code: bool, force: bool) -> None:
    """Run again what DIRECTORY holds, in this process, and compare digests.

    A run with `compute: measured` is replayed from the costs that it measured.
    """
    earlier = RunResult.load(directory)
    if not earlier.complete:
        raise RunError(
            f"the run in {place(directory)} is {earlier.standing[:150]}: expected a complete one "
            "(`layerlift show` reads it; `layerlift run` makes another)"
        )
    scenario = scenario_of(earlier, allow_code=allow_code)
    known = Measured(stopped_plans=stopped_plans(earlier.run))
    costs = measured_costs(directory) if scenario.compute == "measured" else known
    again = run(scenario, out=out, force=force, replay=costs, local=True)
    if again.digest != earlier.digest:
        was = f"{earlier.digest[:32]}{_elsewhere(earlier)}"
        raise RunError(f"the replay's digest is {again.digest}, the run's was {was}")
    echo(f"Same digest: {again.digest}{_elsewhere(earlier)}")


def _elsewhere(earlier: RunResult) -> str:
    other = other_versions(earlier.run)
    return f" ({other})" if other else ""


def _run(scenario: Scenario, directory: Path, force: bool, options: dict[str, Any]) -> RunResult:
    with LiveProgress(screen(err=True)) as live:
        return run(
            scenario, out=directory, force=force, notice=live.notice, progress=live.update, warn=_warn, **options
        )


def _warn(text: str) -> None:
    echo(f"layerlift: {text}", err=True)


def _finish(result: RunResult, quiet: bool) -> None:
    if not quiet:
        show(result, screen())
    if not result.complete:
        echo(left_behind(result), err=True)
        raise click.exceptions.Exit(Stopped.told(result.run).code)


COMMANDS: Final = [run_command, replay]
