"""The one root exception of Layerlift and the few kinds that a caller may want to tell apart."""

from __future__ import annotations

import difflib
import logging
import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

_PACKAGES: Final = Path(__file__).resolve().parents[1]
_OWN: Final = tuple(str(_PACKAGES / name) + "/" for name in ("models", "planners", "emulator"))

_LONG_WORDS = re.compile(r"'[^']*'|\"[^\"]*\"|\[[^\]]*\]|[^\s'\"]+")


_SHORT = 48
"""What a message may always quote."""


class LayerliftError(Exception):
    """Something the user can mend.

    The message says what was given, what was expected and what to try; the command line prints it
    as one sentence and exits with code 2.
    """


class ModelError(LayerliftError):
    """A network that is missing, corrupt, hostile or of a kind that cannot be cut."""


class Undecided(ModelError):
    """A network that can be cut as soon as somebody says how large its inputs are, or what one of them is.

    `option` is what takes that (`dims` or `fix`), and `example` something sensible to give it.
    """

    def __init__(self, what: str, option: str, example: Mapping[str, int]) -> None:
        self.what, self.option, self.example = what, option, dict(example)
        flag = {"dims": "--dim", "fix": "--fix"}[option]
        options = _joined((f"{flag} {name}={value}" for name, value in self.example.items()), " ")
        tail = f"; give {options} ({option} in Python, models.NAME.{option} in a scenario)"
        super().__init__(f"{sentence(what, max(_SHORT, 300 - len(tail)))}{tail}")

    def setting(self, name: str) -> str:
        """What to write into a scenario for the network that it calls `name`."""
        values = _joined((f"{key}: {value}" for key, value in self.example.items()), ", ")
        return f"models.{name}.{self.option}: {{{values}}}"


class PlanError(LayerliftError):
    """A plan that is not legal for its problem, or a planner that cannot be had."""


class ScenarioError(LayerliftError):
    """A scenario field that is unknown, ill-typed or impossible; the message holds its path."""


class CodeRefused(ScenarioError):
    """A text of a file that names code (`module:Class`), which only somebody who types it may do."""


class RunError(LayerliftError):
    """A run that cannot start or go on, or a run directory that cannot be read."""


def words_of(error: BaseException) -> str:
    """What an exception of a stranger's code says, as text that can be shown and stored: never empty, and never raises.

    Its kind goes before the words, but for our own errors, whose words say enough.
    """
    kind = type(error).__name__
    try:
        said = storable(str(error))
    except Exception:
        said = ""
    if isinstance(error, LayerliftError):
        return said or f"{kind}, without a word"
    return f"{kind}: {said}" if said else f"{kind}, without a word"


def place_of(error: BaseException) -> str:
    """Where a stranger's code raised, as `mine.py:12`: the innermost line that is not of this package, if there is one.

    Of a mistake that our own code makes for it, and of one without lines, the innermost line that there is.
    """
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not any(frame.filename.startswith(place) for place in _OWN)]
    if not frames:
        return "no line is known"
    frame = (theirs or list(frames))[-1]
    return storable(f"{Path(frame.filename).name}:{frame.lineno}")


def trace_of(error: BaseException) -> str:
    """All that Python tells of an error, as text that can be stored; never raises."""
    try:
        return storable("".join(traceback.format_exception(error)))
    except Exception:
        return words_of(error)


def tell_trace(error: BaseException) -> None:
    """Give all that Python tells of an error to the logger `layerlift`, at level debug: for whoever wants it."""
    logging.getLogger("layerlift").debug("%s", trace_of(error))


def storable(text: str) -> str:
    """The text, with whatever UTF-8 cannot hold (lone surrogates, as odd file names have) written out as an escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def sentence(text: str, most: int = 300) -> str:
    """The text on one line of at most `most` characters; where it is longer, first what is quoted in it is cut short.

    What stands in quotes, brackets or a path is a stranger's and may have any length, while the end of a message says
    what to try.
    """
    line = " ".join(storable(text).split())
    words = sorted(set(_LONG_WORDS.findall(line)), key=len, reverse=True)
    for word in words:
        if len(line) <= most or len(word) <= _SHORT:
            break
        line = line.replace(word, shortened(word, max(_SHORT, len(word) - (len(line) - most))))
    return shortened(line, most)


def shortened(text: str, most: int) -> str:
    """The text, or its beginning and end with an ellipsis between them: `most` characters."""
    if len(text) <= most:
        return text
    # Of a path the end says more than the beginning.
    head = (most - 1) // (3 if text.startswith("/") else 2)
    return f"{text[:head]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - (most - 1 - head) :]}"


def quoted(value: object, most: int = 60) -> str:
    """A value as a message quotes it: what Python writes for it, cut; it may be a number too long to be written."""
    try:
        text = repr(value)
    except ValueError:
        text = "a number of thousands of digits"
    return text if len(text) <= most else text[: most - 3] + "..."


def near(given: str, known: Iterable[str], told: Callable[[str], str] = str) -> str:
    """Return a hint that ends an error message: the near names, or when none is near all, as far as there is room.

    `told` says how a near name is shown.

    `near("alexnt", ["alexnet", "vgg19"])` is `"; did you mean alexnet?"`.
    """
    names = [each for each in sorted(known) if len(each) <= _LONGEST]
    close = difflib.get_close_matches(given, names, n=3, cutoff=0.6)
    if close:
        return f"; did you mean {' or '.join(map(told, close))}?"
    return f"; known: {_few(given, names)}" if names else ""


_LONGEST: Final = 60
"""Characters of a name that a hint shows."""
_ROOM: Final = 120
"""Characters of a hint's list of names, so that a sentence stays one."""


def _joined(parts: Iterable[str], between: str) -> str:
    """The parts, as many as there is room for."""
    shown: list[str] = []
    for part in parts:
        if shown and len(between.join([*shown, part])) > _ROOM:
            return between.join([*shown, "..."])
        shown.append(part)
    return between.join(shown)


def _few(given: str, names: list[str]) -> str:
    """All of the names where there is room, else those most like what was given, nearest first, and their number."""
    if sum(len(name) + 2 for name in names) <= _ROOM:
        return ", ".join(names)
    shown: list[str] = []
    room = _ROOM
    for name in sorted(names, key=lambda name: (-_likeness(given, name), name)):
        room -= len(name) + 2
        if room < 0:
            break
        shown.append(name)
    return f"{', '.join(shown)}, ... ({len(names)} in all, the nearest first)"


def _likeness(given: str, name: str) -> float:
    """From 0 to 1, whatever the letters' case: `MaxBatch` and `batch` are alike."""
    return difflib.SequenceMatcher(None, name.lower(), given[:_LONGEST].lower()).ratio()
