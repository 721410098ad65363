"""`layerlift reproduce`: the paper's experiment, and others of the field, emulated again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from layerlift.emulator.cli.paths import FilePath
from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.report.screen import screen
from layerlift.emulator.report.terminal import echo
from layerlift.emulator.runtime.interruption import Stopped
from layerlift.emulator.studies.reproduce.figure5 import ALGORITHMS, Case, Result, cases, compare
from layerlift.emulator.studies.reproduce.files import prepare, write
from layerlift.emulator.studies.reproduce.known import EXPERIMENTS, FIGURE5, Experiment
from layerlift.emulator.studies.reproduce.page import show
from layerlift.emulator.studies.reproduce.told import show as show_found
from layerlift.emulator.studies.reproduce.written import prepare as prepare_files
from layerlift.emulator.studies.reproduce.written import write as write_files
from layerlift.models.errors import RunError, near
from layerlift.models.loading.zoo import classics, is_known, known


class Experiments(click.Group):
    """A group that says which experiments there are."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises `RunError`, with a near name, for an experiment that there is not."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise RunError(
                f"there is no experiment {args[0]!r}{near(args[0], self.commands)}; see layerlift reproduce --list"
            )
        return super().resolve_command(ctx, args)


class Emulated(click.Command):
    """An experiment; it knows an option of another one when it sees it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raises `RunError` for an option that only another experiment has."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            owners = [
                name for name, other in reproduce.commands.items()
                if any(error.option_name in option.opts for option in other.params)
            ]  # fmt: skip
            if not owners:
                raise
            own = ", ".join(option.opts[0] for option in self.params)
            raise RunError(
                f"{error.option_name} is an option of layerlift reproduce {owners[0]}, and {self.name} does not have "
                "it: "
                f"expected some of {own}"
            ) from None


def _listing(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    lines = {"figure5": FIGURE5, **{each.name: each.line for each in EXPERIMENTS.values()}}
    for name, line in lines.items():
        echo(f"{name:<14}{line}")
    ctx.exit()


@click.group(cls=Experiments)
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_listing,
    help="Name the experiments, a line each.",
)
def reproduce() -> None:
    """Emulate an experiment of the paper, or of what it builds on, again: what was printed, what is seen, and why."""


@reproduce.command(cls=Emulated)
@click.option("--models", default="alexnet,vgg19", show_default=True, help="Networks, with commas; or all nine.")
@click.option("--links", type=click.Choice(["independent", "shared", "both"]), default="both", show_default=True)
@click.option("--servers", type=click.Choice(["cloud", "edge", "both"]), default="both", show_default=True)
@click.option("--factors", default="1,5,10,27.9", show_default=True, help="Times slower per cycle than onnxruntime.")
@click.option("--seeds", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many seeds, from 1.")
@click.option("--offloading", default="pso", show_default=True, help="The planner that places both users' layers.")
@click.option("--algorithms", default=",".join(ALGORITHMS), show_default=True, help="What divides and orders P1.")
@click.option("--out", type=FilePath(), default=Path("figure5"), show_default=True)
@click.option("--force", is_flag=True, help="Replace a figure that is there already.")
def figure5(
    models: str, links: str, servers: str, factors: str, seeds: int, offloading: str, algorithms: str, out: Path,
    force: bool,
) -> None:  # fmt: skip
    """Compare ways to upload a model: system delay against upload time, as in the paper's Figure 5.

    Prints the table and what the paper claims; writes charts (SVG, PNG, HTML), the numbers (JSON, CSV) and a page
    (Markdown) to the folder --out.
    """
    kinds = ["independent", "shared"] if links == "both" else [links]
    chosen = cases(_models(models), _factors(factors), kinds, servers, seeds, offloading)
    wanted = _algorithms(algorithms)
    _resolvable(chosen, wanted)
    prepare(out, force)
    results, stopped = _compare(chosen, wanted)
    note = f"{stopped.reason}: {len(results)} of {len(chosen)} cases had ended" if stopped else ""
    if stopped and not results:
        raise stopped
    console = screen()
    show(results, console)
    told = {"models": models, "links": links, "servers": servers, "factors": factors, "seeds": str(seeds)}
    told |= {"offloading": offloading, "algorithms": algorithms}
    given = [f" --{option.name} {told[option.name]}" for option in figure5.params if _changed(option, told)]
    written = write(results, out, f"layerlift reproduce figure5{''.join(given)}", note)
    console.print(f"\n{len(written)} files in {out}: figure5.html, figure5.md, figure5.json, ...", highlight=False)
    if stopped:
        echo(f"layerlift: {note}", err=True)
        raise click.exceptions.Exit(stopped.code)


def _command(experiment: Experiment) -> click.Command:
    """The command of one of the others: run it, show it, write it."""

    def act(out: Path, force: bool, as_json: bool, models: str = "") -> None:
        networks = _listed(models, "models") if experiment.networks else []
        experiment.check(networks)
        prepare_files(experiment.name, out, force)
        with _bar(experiment.count(networks)) as bar:
            bar.update(bar.task_ids[0], description=experiment.name)
            found = experiment.make(networks, lambda: bar.advance(bar.task_ids[0]))
        usual = ",".join(experiment.networks)
        given = f" --models {models}" if experiment.networks and models != usual else ""
        written = write_files(found, out, f"layerlift reproduce {experiment.name}{given}")
        if as_json:
            click.echo(json.dumps(found.as_dict(), indent=1, allow_nan=False))
        else:
            show_found(found, screen())
        echo(f"{len(written)} files in {out}: {', '.join(path.name for path in written)}", err=as_json)

    name = experiment.name
    options: list[click.Parameter] = [
        click.Option(["--out"], type=FilePath(), default=Path(name), show_default=True),
        click.Option(["--force"], is_flag=True, help="Replace one that is there already."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print everything as JSON instead."),
    ]
    if experiment.networks:
        usual = ",".join(experiment.networks)
        options.insert(0, click.Option(["--models"], default=usual, show_default=True, help="Networks, with commas."))
    text = (
        f"{experiment.line}.\n\nPrints what was published, what is seen here, and why they differ; writes a page, a "
        "picture "
        "(SVG, PNG), Markdown and the numbers (JSON) to the folder --out."
    )
    return Emulated(name, callback=act, params=options, help=text, short_help=experiment.line)


for _experiment in EXPERIMENTS.values():
    reproduce.add_command(_command(_experiment))


def _changed(option: click.Parameter, told: dict[str, str]) -> bool:
    return option.name in told and told[option.name] != str(option.default)


def _compare(chosen: list[Case], algorithms: list[str]) -> tuple[list[Result], Stopped | None]:
    """The cases that ended, and what stopped the rest."""
    memory, results = PlanMemory(), list[Result]()
    try:
        with _bar(len(chosen) * len(algorithms)) as bar:
            for case in chosen:
                said = f"{case.model}, factor {case.factor:g}, {case.links} links"
                bar.update(bar.task_ids[0], description=said)
                results.append(compare(case, algorithms, memory, lambda: bar.advance(bar.task_ids[0])))
    except KeyboardInterrupt as error:
        return results, Stopped.of(error)
    return results, None


@contextmanager
def _bar(total: int) -> Iterator[Progress]:
    """On a terminal; nothing when piped."""
    console = screen(err=True)
    shown = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*shown, console=console, transient=True, disable=not console.is_terminal) as bar:
        bar.add_task("Starting", total=total)
        yield bar


def _models(text: str) -> list[str]:
    given = list(classics()) if text == "all" else _listed(text, "models")
    for name in given:
        if not is_known(name) and not name.endswith(".onnx"):
            raise RunError(f"--models names {name!r}, which the zoo has not{near(name, known())}; see layerlift models")
    return given


def _factors(text: str) -> list[float]:
    try:
        given = [float(word) for word in _listed(text, "factors")]
    except ValueError:
        given = []
    if not given or not all(1e-3 <= factor <= 1e6 for factor in given):
        raise RunError(f"--factors is {text!r}, expected numbers from 0.001 to 1000000, as in 1,5,10,27.9")
    return given


def _algorithms(text: str) -> list[str]:
    given = _listed(text, "algorithms")
    for name in given:
        if name not in ALGORITHMS:
            raise RunError(
                f"--algorithms names {name!r}, expected some of {', '.join(ALGORITHMS)}{near(name, ALGORITHMS)}"
            )
    return given


def _listed(text: str, option: str) -> list[str]:
    words = list(dict.fromkeys(word.strip() for word in text.split(",")))
    if not all(words):
        raise RunError(f"--{option} is {text!r}, expected names or numbers with commas between")
    return words


def _resolvable(chosen: list[Case], algorithms: list[str]) -> None:
    """Refuse what no scenario can be made of before anything is run or written."""
    for case in {case.model: case for case in chosen}.values():
        case.scenario(algorithms[0], 1.0).resolve()


COMMANDS: Final[list[click.Command]] = [reproduce]
