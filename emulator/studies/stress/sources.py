"""What code a run was made by: outcomes are kept, and who changes a planner must not be shown those of the old one."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from layerlift.emulator.policies import registry as policies
from layerlift.models.errors import LayerliftError
from layerlift.planners.registry import planners

_ROOMS: Final = ("models", "planners", "emulator")
_NOT_IN_RUNS: Final = ("cli", "face", "report", "studies", "scenarios", "__pycache__")
"""Folders that say what is asked or shown, and decide no run: a drawn world stands in what is asked."""
_MOST_FILES: Final = 2000
"""That are read of a package of one's own."""
_MOST_BYTES: Final = 1 << 26
"""A file that is larger is told apart by its size and date."""


@cache
def of_layerlift() -> str:
    """A digest of all of this package that decides what comes of a run."""
    roots = [Path(str(resources.files(f"layerlift.{room}"))) for room in _ROOMS]
    found = ((root, path) for root in roots for path in sorted(root.rglob("*")) if path.is_file())
    return _digest(path for root, path in found if not set(_NOT_IN_RUNS).intersection(path.relative_to(root).parts))


def ships(text: str) -> bool:
    """Whether a planner or policy is nothing but names that are built in, with plain options."""
    return all(
        name in planners.BUILTIN or name in policies.BUILTIN
        for half in _halves(text)
        for name in [half.partition(":")[0]]
    ) and not any(":" in value or os.path.exists(value) for value in _values(text))


def of_own(text: str) -> str:
    """A digest of the modules and files that a planner or policy names beyond what ships; empty for one that ships.

    Of a module all of its package is read, since it may import any part of that. What cannot be found has none.
    """
    if ships(text):
        return ""
    modules = {named for half in _halves(text) for named in _modules(half)}
    named = [Path(value) for value in _values(text) if os.path.isfile(value)]
    return _digest([*(path for module in sorted(modules) for path in _files(module)), *named])


def _halves(text: str) -> list[str]:
    return [half.strip() for half in re.split(r"\+(?!\d)", text)]


def _values(text: str) -> list[str]:
    return re.findall(r"=([^,+]+)", text)


def _modules(half: str) -> Iterator[str]:
    yield from re.findall(r"([A-Za-z_][\w.]*):[A-Za-z_]\w*(?![\w=])", half)
    for registry in (planners, policies):
        try:
            target = registry.spec(half.partition(":")[0]).target
        except LayerliftError:
            continue
        module = target.partition(":")[0] if isinstance(target, str) else target.__module__
        if not module.startswith("layerlift."):
            yield module


def _files(module: str) -> list[Path]:
    """The files of the top package of a module, or its own."""
    try:
        spec = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    found = [path for folder in folders for path in sorted(folder.rglob("*.py"))[:_MOST_FILES]]
    return found or ([Path(spec.origin)] if spec.origin and os.path.isfile(spec.origin) else [])


def _digest(paths: Iterable[Path]) -> str:
    hasher = hashlib.sha256()
    for path in paths:
        try:
            state = path.stat()
            large = repr((state.st_size, state.st_mtime_ns)).encode()
            told = path.read_bytes() if state.st_size <= _MOST_BYTES else large
        except OSError:
            continue
        hasher.update(repr((path.name, hashlib.sha256(told).hexdigest())).encode())
    return hasher.hexdigest()[:16]
