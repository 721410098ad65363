"""Where commands print: nothing that must be typed is cut, and no terminal is too plain.

On a terminal text is wrapped between words, and a table whose words do not fit is wider than the terminal, which folds
its lines without a break. In a pipe nothing is wrapped at all, so that a row of a table is a line, unless COLUMNS says
how wide it is.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from layerlift.emulator.report.terminal import Terminal

_WITHOUT_END: Final = 100_000
_VALUE: Final = re.compile(r"[-+]?[\d.,]+(e[-+]\d+)? ([^\W\d]{1,3}|%|of [\d,]+)( in \d+)?|\d+: [\d.,]+ \w+|not given")
"""A number with its unit, a count of a count, tensors and their size: read at one glance or not at all."""
_PLAIN: Final = {
    "±": "+-",
    "…": "...",
    "×": "x",
    "·": "*",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "µ": "u",
    "–": "-",
    "—": "-",
}
"""What is shown of characters that a terminal does not have; letters lose their accents, the rest becomes an escape."""


class Screen(Terminal):
    """A console that never cuts a word."""

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich's, but that a word longer than a line is left whole, in tables too."""
        before = self.width
        measured = self.options.update(width=_WITHOUT_END, markup=options.get("markup"))
        if len(objects) == 1 and isinstance(objects[0], Table):
            needed = self._lay_out(objects[0], measured)
        else:
            needed = max((Measurement.get(self, measured, each).minimum for each in objects), default=0)
        self.width = max(before, needed)
        try:
            super().print(*objects, **{"crop": False, **options})
        finally:
            self.width = before

    def _lay_out(self, table: Table, measured: ConsoleOptions) -> int:
        """Give each column its width where the table is wider than the screen; how wide it is then.

        What does not fit comes closer together, and only then are values parted from their units.
        """
        frame, spans = self._measure(table, measured)
        if frame + sum(widest for _, widest in spans) <= self.width:
            return frame + sum(widest for _, widest in spans)
        if table.box is None and frame + sum(least for least, _ in spans) > self.width:
            table.padding = (0, 1, 0, 0)
            frame, spans = self._measure(table, measured)
        if frame + sum(least for least, _ in spans) > self.width:
            spans = [self._span(column, measured, values=False) for column in table.columns]
        widths = shared(spans, self.width - frame)
        for column, width in zip(table.columns, widths, strict=True):
            column.width = width
        return frame + sum(widths)

    def _measure(self, table: Table, measured: ConsoleOptions) -> tuple[int, list[tuple[int, int]]]:
        """The characters that a table needs beside its columns, and the spans of these."""
        spans = [self._span(column, measured) for column in table.columns]
        return Measurement.get(self, measured, table).maximum - sum(widest for _, widest in spans), spans

    def _span(self, column: Column, measured: ConsoleOptions, *, values: bool = True) -> tuple[int, int]:
        """The fewest characters that keep the words of a column whole, and those that keep its lines whole.

        With `values` a number and its unit (`29.3 s`, `3 of 3`) are one word.
        """
        cells: list[RenderableType] = [column.header, *column.cells]
        found = [(Measurement.get(self, measured, cell), values and _is_value(cell)) for cell in cells]
        widest = max(cell.maximum for cell, _ in found)
        return widest if column.no_wrap else max(
            cell.maximum if whole else cell.minimum for cell, whole in found
        ), widest


def _is_value(cell: RenderableType) -> bool:
    return isinstance(cell, str | Text) and _VALUE.fullmatch(str(cell)) is not None


def shared(spans: Sequence[tuple[int, int]], total: int) -> list[int]:
    """Widths of columns with (least, most) characters each: all get their least, the rest of `total` goes by need."""
    spare = max(0, total - sum(least for least, _ in spans))
    wanted = sum(most - least for least, most in spans)
    if not wanted:
        return [least for least, _ in spans]
    return [least + min(most - least, spare * (most - least) // wanted) for least, most in spans]


def has_end(console: Console) -> bool:
    """Whether lines must be kept short there: a terminal, or a pipe whose COLUMNS are given."""
    return console.width < _WITHOUT_END


def screen(*, err: bool = False) -> Screen:
    """The terminal, or whatever the standard output (`err`: the standard error) leads to."""
    made = Screen(stderr=err)
    if not made.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        made.width = _WITHOUT_END
    return made


def print_anything() -> None:
    """Let the standard streams take any text: what their encoding lacks is spelt out (`±` is `+-` in ASCII)."""
    codecs.register_error("layerlift.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="layerlift.plain")


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_spelt, error.object[error.start : error.end])), error.end


def _spelt(letter: str) -> str:
    bare = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return _PLAIN.get(letter) or bare or letter.encode("ascii", "backslashreplace").decode()
