"""How a command ends that does not end well: one sentence on standard error, and an exit code.

| code | when |
| --- | --- |
| 0 | all went well, or the reader of a pipe has stopped reading |
| 2 | something that the user can mend: the sentence says what |
| 70 | something that nobody foresaw: the sentence says where its traceback is |
| 128 + n | signal n ended it: 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP |
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from layerlift.emulator.report.terminal import echo
from layerlift.emulator.runtime.interruption import Stopped
from layerlift.models.errors import LayerliftError, place_of, sentence, shortened, trace_of, words_of
from layerlift.models.loading.disk_cache import cache_dir
from layerlift.models.text import printable

UNFORESEEN: Final = 70
MENDABLE: Final = 2
OPTION: Final = "--traceback"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
MOST: Final = 300
"""Characters of a sentence, whatever names and paths were typed."""
_LEAST: Final = 40
"""Characters of an error's words in one."""


def told(error: BaseException, traced: bool) -> int:
    """Say why a command ended, and how it is to exit. With `traced` Python's traceback comes before."""
    if isinstance(error, BrokenPipeError):
        _stop_writing()
        return 0
    if traced:
        _say_lines(trace_of(error))
    if isinstance(error, LayerliftError):
        return _said(sentence(printable(" ".join(words_of(error).split())), MOST), MENDABLE)
    if isinstance(error, KeyboardInterrupt):
        stopped = Stopped.of(error)
        return _said(stopped.reason if stopped.code != 130 else "interrupted", stopped.code)
    if isinstance(error, OSError) and error.errno in _FULL:
        _stop_writing()
        place = f" for {error.filename}" if error.filename else ""
        return _said(f"there is no space left{place}: free some, or write elsewhere", MENDABLE)
    return _said(_unforeseen(error, traced), UNFORESEEN)


def without_option(arguments: list[str]) -> tuple[list[str], bool]:
    """The arguments without `--traceback`, which may stand anywhere before a `--`, and whether it was there."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    left = [each for each in arguments[:end] if each != OPTION]
    return left + arguments[end:], len(left) < end


@contextlib.contextmanager
def brief() -> Iterator[None]:
    """Shorten what click says of a command line that it cannot read, which quotes what was typed."""
    try:
        yield
    except click.ClickException as error:
        error.message = sentence(error.message, MOST - 100)  # type: ignore[misc]  # click has no other way
        raise


@contextlib.contextmanager
def traces(shown: bool) -> Iterator[None]:
    """Show on standard error what Python tells of planners and policies that raise and do not end the command."""
    log, handler = logging.getLogger("layerlift"), _Lines()
    before = log.level
    if shown:
        log.addHandler(handler)
        log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


class _Lines(logging.Handler):
    """Prints what it is given, line by line."""

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        _say_lines(record.getMessage())


def _say_lines(text: str) -> None:
    for line in text.splitlines():
        echo(line, err=True)


@contextlib.contextmanager
def pipes() -> Iterator[None]:
    """Let rich raise `BrokenPipeError` where it would leave with exit code 1."""
    before = Console.on_broken_pipe

    def raised(console: Console) -> None:
        raise BrokenPipeError

    Console.on_broken_pipe = raised  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Console.on_broken_pipe = before  # type: ignore[method-assign]


def _said(text: str, code: int) -> int:
    with contextlib.suppress(OSError):  # nobody may be there to read it
        echo(f"layerlift: {text}", err=True)
    return code


def _unforeseen(error: BaseException, traced: bool) -> str:
    what = words_of(error)
    if isinstance(error, MemoryError):
        what = "this machine has not enough memory for it"
    where = "its traceback is above" if traced else _logged(trace_of(error))
    rest = f" ({place_of(error)}), which nobody foresaw; {where}"
    # Where the traceback is may take a long path, and is what helps: the words yield.
    return shortened(what, max(_LEAST, MOST - len(rest))) + rest


def _logged(trace: str) -> str:
    """Write a traceback where there is room, and say where."""
    name = f"error-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    places: list[Callable[[], Path]] = [lambda: cache_dir() / "logs", lambda: Path(tempfile.gettempdir())]
    for place in places:
        try:
            file = place() / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(trace, encoding="utf-8")
        except (OSError, RuntimeError):  # no home, no room
            continue
        return f"its traceback is in {file}, and {OPTION} shows it"
    return f"its traceback could not be written anywhere; {OPTION} shows it"


def _stop_writing() -> None:
    """Send what is still to be written nowhere, so that Python has nothing to complain of when it ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
