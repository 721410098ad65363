"""What the conformance kits of planners and policies share: how a check is tried, and how a kit is run as a module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from layerlift.models.errors import LayerliftError, words_of

KitLine = tuple[str, str, str]
"""Where a demand was checked, the demand, and the trouble: empty when it is met."""


def trouble_of(check: Callable[[], object]) -> str:
    """Run a check; what is wrong as a text, empty when nothing is. A stranger's code may raise anything."""
    try:
        check()
    except LayerliftError as problem:
        return words_of(problem)
    except Exception as problem:
        return f"it raised {words_of(problem)}"
    return ""


def run_kit(usage: str, arguments: Sequence[str], findings: Callable[[str], Iterable[KitLine]]) -> int:
    """Print what a kit finds of each argument; 0 all demands met, 1 a demand not met, 2 nothing of that name."""
    if not arguments:
        print(usage)
        return 2
    failed = False
    for text in arguments:
        met = 0
        try:
            for where, demand, trouble in findings(text):
                met += not trouble
                if trouble:
                    failed = True
                    print(f"{text}: {where}: {demand}: {trouble}")
        except LayerliftError as problem:
            print(problem)
            return 2
        print(f"{text}: {met} demands met")
    return int(failed)
