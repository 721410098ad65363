"""What the conformance kits of planners and policies share: how a check is tried, and how a kit is run as a module."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from layerlift.models.errors import LayerliftError, place_of, tell_trace, words_of

_TRACEBACK: Final = "--traceback"

KitLine = tuple[str, str, str]
"""Where a demand was checked, the demand, and the trouble: empty when it is met."""


def trouble_of(check: Callable[[], object]) -> str:
    """Run a check; what is wrong as a text, empty when nothing is. A stranger's code may raise anything.

    Where it raised is said, as `mine.py:12`, and `tell_trace` is told the rest.
    """
    try:
        check()
    except LayerliftError as problem:
        return words_of(problem)
    except (Exception, SystemExit) as problem:
        tell_trace(problem)
        return f"it raised {words_of(problem)} ({place_of(problem)})"
    return ""


def run_kit(usage: str, arguments: Sequence[str], findings: Callable[[str], Iterable[KitLine]]) -> int:
    """Print what a kit finds of each argument; 0 all demands met, 1 one not met, 2 nothing of that name, 130 Ctrl-C.

    With `--traceback` among the arguments Python's tracebacks go to standard error.
    """
    names = [text for text in arguments if text != _TRACEBACK]
    if not names:
        print(usage)
        return 2
    if len(names) < len(arguments):
        logging.basicConfig(format="%(message)s")
        logging.getLogger("layerlift").setLevel(logging.DEBUG)
    failed = False
    try:
        for text in names:
            met = 0
            for where, demand, trouble in guarded(findings(text)):
                met += not trouble
                if trouble:
                    failed = True
                    print(f"{text}: {where}: {demand}: {trouble}")
            print(f"{text}: {met} demands met")
    except LayerliftError as problem:
        print(problem)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return int(failed)


def guarded(findings: Iterable[KitLine]) -> Iterator[KitLine]:
    """The findings, and as one more what a plug-in raises when it is made or asked what it can, which ends them."""
    try:
        yield from findings
    except LayerliftError:
        raise
    except (Exception, SystemExit) as problem:
        tell_trace(problem)
        yield "at first", "it can be made, and says what it can", f"it raised {words_of(problem)} ({place_of(problem)})"
