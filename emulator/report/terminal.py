"""The one way to a terminal: what is printed is text, whatever a stranger has put into it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from layerlift.models.text import printable


class Terminal(Console):
    """A console that knows no markup: `[x]` is shown as it stands, and control characters are written out.

    Style is given by `style=` and by `rich.text.Text`, never within a text.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See `Console`: everything that is printed comes through here."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(_lines(segment.text), segment.style)


def echo(text: str, err: bool = False) -> None:
    """Print one line; whatever would break it is written out."""
    _write(f"{printable(text)}\n", sys.stderr if err else sys.stdout)


def echo_lines(text: str) -> None:
    """Print a text of several lines as it is, but for what would not stay in them."""
    _write(f"{_lines(text)}\n", sys.stdout)


def _write(text: str, stream: TextIO) -> None:
    """Not by `click.echo`, which takes an ASCII terminal for one of UTF-8."""
    stream.write(text)
    stream.flush()


def _lines(text: str) -> str:
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))
