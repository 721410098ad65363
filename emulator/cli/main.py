"""`layerlift`: a thin face over `layerlift.emulator.run` and its neighbours.

Whatever a user can mend ends as one sentence on stderr and exit code 2, never as a traceback.
"""

from __future__ import annotations

import importlib
import pkgutil
import shlex
import sys
from typing import Any

import click

from layerlift.emulator.cli import commands
from layerlift.emulator.report.screen import print_anything
from layerlift.emulator.report.terminal import echo
from layerlift.models.errors import CodeRefused, LayerliftError


class Layerlift(click.Group):
    """A group whose commands answer mistakes with a sentence."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """As click's, on any terminal."""
        print_anything()
        return super().main(*args, **kwargs)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Remember what was typed, for messages that say how to type it better."""
        ctx.obj = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command; `LayerliftError` becomes a message and exit code 2."""
        try:
            return super().invoke(ctx)
        except CodeRefused as error:
            echo(f"layerlift: {error}: {_allowing(ctx)}", err=True)
            sys.exit(2)
        except LayerliftError as error:
            echo(f"layerlift: {error}", err=True)
            sys.exit(2)
        except KeyboardInterrupt:
            echo("layerlift: interrupted", err=True)
            sys.exit(130)
        except BrokenPipeError:
            sys.exit(0)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the README: running first."""
        first = ["run", "replay", "show", "verify", "compare", "reproduce", "scenarios", "scenario"]
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: (first.index(name) if name in first else len(first), name))


def _allowing(ctx: click.Context) -> str:
    """The command that was typed, with the option that lets files name code."""
    command, *rest = ctx.obj
    return shlex.join(["layerlift", command, "--allow-code", *rest])


@click.group(cls=Layerlift, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="layerlift", prog_name="layerlift")
def main() -> None:
    """Emulate the migration of DNN layers from many clients to edge and cloud servers that they share."""


for _module in pkgutil.iter_modules(commands.__path__):
    for _command in importlib.import_module(f"{commands.__name__}.{_module.name}").COMMANDS:
        main.add_command(_command)
