"""Blocks of a document: where they stand in it, and whether what stands there is what their maker makes now."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from layerlift.models.errors import LayerliftError

ROOT: Final = Path(__file__).parent.parent.parent
CHEAP_S: Final = 2.0
"""Blocks of at most so many seconds are checked by the tests."""

_BEGIN: Final = re.compile(r"^<!-- (.+): begin -->$", re.MULTILINE)


class DocsError(LayerliftError):
    """A document does not have the marks that it should have."""


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a document that is made by a program."""

    name: str
    """What the marks around it say; of a whole file, what the list calls it."""
    page: str
    """The file, from the project's root."""
    make: Callable[[], str]
    seconds: float
    """About how long that takes on one idle core: declared, not measured."""
    timed: str = ""
    """A pattern of what the machine's speed decides: it is not compared. `.*` is everything."""
    whole: bool = False
    """The file is nothing but this block, and has no marks."""

    @property
    def path(self) -> Path:
        """The file itself."""
        return ROOT / self.page

    @property
    def comparable(self) -> bool:
        """Whether a second making can be held against the first."""
        return self.timed != ".*"

    def standing(self) -> str:
        """What the document holds now. Raises `DocsError` when it lacks the marks."""
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        return text if self.whole else between(text, self.name, self.page)

    def fresh(self, made: str) -> bool:
        """Whether the document holds what was made, but for what the machine's speed decides."""
        return self._bare(self.standing()) == self._bare(made)

    def write(self, made: str) -> None:
        """Put what was made in its place."""
        text = made if self.whole else put(self.path.read_text(encoding="utf-8"), self.name, made, self.page)
        self.path.write_text(text, encoding="utf-8")

    def _bare(self, text: str) -> str:
        bare = text.strip()
        return re.sub(self.timed, "", bare, flags=re.MULTILINE) if self.timed else bare


def marks(name: str) -> tuple[str, str]:
    """The lines before and after a block."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def marked(text: str) -> list[str]:
    """Names of the blocks of a document, in order."""
    return _BEGIN.findall(text)


def between(text: str, name: str, page: str) -> str:
    """What stands between the marks. Raises `DocsError` unless each is there once, in order."""
    first, last = _ends(text, name, page)
    return text[first:last]


def put(text: str, name: str, made: str, page: str) -> str:
    """The document with `made` between the marks."""
    first, last = _ends(text, name, page)
    return f"{text[:first]}{made.strip()}\n{text[last:]}"


def _ends(text: str, name: str, page: str) -> tuple[int, int]:
    begin, end = (f"{mark}\n" for mark in marks(name))
    if text.count(begin) != 1 or f"{text}\n".count(end) != 1 or text.index(begin) > text.index(end.rstrip()):
        raise DocsError(f"{page} has not each of the marks of {name!r} once and in order, expected {begin.strip()}")
    return text.index(begin) + len(begin), text.index(end.rstrip())


def prose(text: str) -> str:
    """A paragraph in lines of at most 120 characters."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def table(head: list[str], rows: list[list[str]], left: int = 1) -> str:
    """A Markdown table; the first `left` columns are text, the others numbers."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *rows])
