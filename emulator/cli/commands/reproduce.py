"""`layerlift reproduce figure5`: the paper's experiment, emulated again."""

from __future__ import annotations

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
from layerlift.emulator.studies.reproduce.page import show
from layerlift.models.errors import RunError, near
from layerlift.models.loading.zoo import classics, is_known, known


@click.group()
def reproduce() -> None:
    """Run an experiment of the paper again."""


@reproduce.command()
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
