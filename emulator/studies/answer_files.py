"""The files of a study's answer in a folder: never over another one unasked, each whole or not there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from layerlift.emulator.results.places import check_place
from layerlift.models.errors import ModelError, RunError
from layerlift.models.loading.disk_cache import write_bytes


def check(out: Path | None, names: Sequence[str], what: str, force: bool) -> None:
    """Raise `RunError` for a folder that an answer cannot be written to; `what` it is, as in "a sizing"."""
    if out is None:
        return
    check_place(out)
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file, expected a directory for the {what}; give another with --out")
    if not force and any((out / name).exists() for name in names):
        raise RunError(f"{out} already holds a {what}: give another directory, or replace it with --force")


def check_file(path: Path, option: str) -> None:
    """Raise `RunError` for a file that an answer cannot be written to; known before hours of runs, not after."""
    place = path.parent
    while not place.exists() and place != place.parent:
        place = place.parent
    if path.is_dir() or not place.is_dir() or not os.access(place, os.W_OK):
        raise RunError(f"{path} cannot be written, expected a file in a folder of yours; give another with {option}")


@contextmanager
def held(out: Path | None) -> Iterator[None]:
    """Have a folder for one study, for a `with` block: two at once would write over each other's answers.

    It is let go with the process, however that ends. Raises `RunError` when another study has it, or it cannot be.
    """
    if out is None:
        yield
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        place = os.open(out, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if not os.access(out, os.W_OK):
            os.close(place)
            raise PermissionError(0, "it may not be written to")
    except OSError as error:
        raise RunError(f"cannot write to {out}: {error.strerror or error}; give another with --out") from None
    try:
        with suppress(OSError):  # a file system without locks: nothing can be known there
            try:
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    f"another study is writing to {out}: wait until it has ended, or give another folder with --out"
                ) from None
        yield
    finally:
        os.close(place)


def clear(out: Path, names: Sequence[str]) -> None:
    """Take an earlier answer away: a study that is stopped must not look as if it had that."""
    try:
        for name in names:
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"cannot write to {out}: {error.strerror or error}; give another with --out") from error


def write(out: Path, texts: Mapping[str, str | bytes], option: str = "--out") -> None:
    """Write files of these names: all of them, or none.

    Raises `RunError` when they cannot be written; `option` names the place.
    """
    written: list[str] = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_bytes(out / name, text.encode("utf-8") if isinstance(text, str) else text)
            written.append(name)
    except (OSError, ModelError) as error:
        # An answer without its page, on a disk that is full, would keep the next one away.
        for name in written:
            with suppress(OSError):
                (out / name).unlink(missing_ok=True)
        # What lies below says which file, too.
        reason = error.__cause__ or error.__context__ if isinstance(error, ModelError) else error
        why = (reason.strerror if isinstance(reason, OSError) else None) or error
        raise RunError(f"cannot write to {out}: {why}; give another with {option}") from error
