"""A reproduction on disk: NAME.json, NAME.md, NAME.html, and the picture as NAME.svg and NAME.png."""

from __future__ import annotations

import json
from pathlib import Path

from layerlift.emulator.report.chart import save
from layerlift.emulator.studies.reproduce.reproduction import Reproduction
from layerlift.emulator.studies.reproduce.told import html, markdown
from layerlift.models.errors import RunError


def names(name: str) -> tuple[str, ...]:
    """The files, that with the numbers last: where it is, all are."""
    return tuple(f"{name}.{suffix}" for suffix in ("md", "html", "svg", "png", "json"))


def prepare(name: str, folder: Path, force: bool) -> None:
    """Make the folder, and take an earlier one's files away. Raises `RunError` when it cannot be used.

    With `force` the earlier files go now: what is stopped then does not look as if it had that answer.
    """
    if not force and any((folder / each).exists() for each in names(name)):
        raise RunError(f"{folder} holds {name} already: choose another --out, or --force to replace it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each in names(name):
            (folder / each).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror or error}; choose another --out") from error


def write(found: Reproduction, folder: Path, command: str) -> list[Path]:
    """Write everything; return the files. Raises `RunError` for a file that cannot be written."""
    paths = [folder / each for each in names(found.name)]
    texts = [markdown(found, command), html(found, command)]
    numbers = json.dumps({"command": command, **found.as_dict()}, indent=1, allow_nan=False) + "\n"
    try:
        for path, text in zip(paths, texts, strict=False):
            path.write_text(text, encoding="utf-8")
        for path in paths[2:4]:
            save(lambda: dict(found.picture), path)
        paths[4].write_text(numbers, encoding="utf-8")
    except OSError as error:
        raise RunError(f"cannot write {error.filename}: {error.strerror}; choose another --out") from error
    return paths
