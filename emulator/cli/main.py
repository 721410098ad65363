"""`layerlift`: a thin face over `layerlift.emulator.run` and its neighbours.

Whatever happens ends as one sentence on stderr and an exit code, never as a traceback.
"""

from __future__ import annotations

import importlib
import pkgutil
import shlex
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import click

from layerlift.emulator.cli import commands
from layerlift.emulator.cli.last_resort import MOST, brief, pipes, told, traces, without_option
from layerlift.emulator.report.screen import print_anything
from layerlift.emulator.report.terminal import echo_lines
from layerlift.emulator.runtime.interruption import felt
from layerlift.models.errors import CodeRefused, LayerliftError, near
from layerlift.planners.registry.plugins import IN_PYTHON

SHARED: Final = {
    "predict": "models",
    "replay": "run",
    "scenario": "scenarios",
    "show": "results",
    "verify": "results",
}
"""Commands whose module in `commands` has not their name."""


class Layerlift(click.Group):
    """A group whose commands answer mistakes with a sentence; `last_resort` has the exit codes.

    A command's module is imported when the command is asked for: together they take as long again as the rest.
    """

    traced = False
    """Whether Python's tracebacks are wanted too."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Run a command line, on any terminal; `--traceback` may stand anywhere in it."""
        try:
            print_anything()
            given, self.traced = without_option(list(sys.argv[1:] if args is None else args))
            with felt(), traces(self.traced), pipes():
                return super().main(given, *rest, **extra)
        except KeyboardInterrupt as error:  # before or after a command, which has its own answer
            sys.exit(told(error, self.traced))

    def make_context(self, *given: Any, **extra: Any) -> click.Context:
        """See `click.Command`; what it says of a command line that it cannot read is short."""
        try:
            with brief():
                return super().make_context(*given, **extra)
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:  # click would call it aborted, and exit with 1
            sys.exit(told(error, self.traced))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Remember what was typed, for messages that say how to type it better; nothing typed is a call for help."""
        ctx.obj = list(args)
        if not args and not ctx.resilient_parsing:
            echo_lines(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See `click.Group`; of all modules only that of the command is imported."""
        if cmd_name not in self.commands:
            module = SHARED.get(cmd_name, cmd_name)
            if module in _modules():
                self._load(module)
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See `click.Group`; where there is no such command, near ones are named."""
        if not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"there is no command {args[0]!r}{near(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def _load(self, module: str) -> None:
        for command in importlib.import_module(f"{commands.__name__}.{module}").COMMANDS:
            if command.name not in self.commands:
                self.add_command(command)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """See `click.Group`; in raw docstrings click's mark for lines left as they are is two characters."""
        cmd.help = cmd.help and cmd.help.replace("\\b\n", "\b\n")
        super().add_command(cmd, name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command; whatever it raises becomes a sentence and an exit code."""
        try:
            with brief():
                found = super().invoke(ctx)
            sys.stdout.flush()
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except CodeRefused as error:
            refused = str(error).removesuffix(IN_PYTHON)
            sys.exit(told(LayerliftError(f"{refused}: {_allowing(ctx, MOST - len(refused) - 2)}"), self.traced))
        except (Exception, KeyboardInterrupt) as error:
            sys.exit(told(error, self.traced))
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, in the order of the README: running first."""
        for module in _modules():
            self._load(module)
        first = ["run", "replay", "show", "verify", "compare", "reproduce", "scenarios", "scenario"]
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: (first.index(name) if name in first else len(first), name))


@cache
def _modules() -> tuple[str, ...]:
    """The modules of `commands`."""
    return tuple(module.name for module in pkgutil.iter_modules(commands.__path__))


def _allowing(ctx: click.Context, room: int) -> str:
    """The command that was typed, with the option that lets files name code; the option alone where `room` is short."""
    command, *rest = ctx.obj
    whole = shlex.join(["layerlift", command, "--allow-code", *rest])
    return whole if len(whole) <= room else f"give {command} --allow-code too"


@click.group(cls=Layerlift, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="layerlift", prog_name="layerlift")
@click.option(
    "--traceback", is_flag=True, expose_value=False, help="Show Python's tracebacks too; anywhere in the line."
)
def main() -> None:
    """Emulate the migration of DNN layers from many clients to edge and cloud servers that they share."""
