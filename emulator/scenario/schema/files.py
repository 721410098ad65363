"""The files that a scenario names: each is read once, whole, when it is a regular file of bounded size.

What was read drives the run, so it is told (`Files.read`) and kept in the run's directory; a replay finds it there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from layerlift.models.errors import ScenarioError
from layerlift.models.files import bytes_digest, read_regular

MOST_BYTES: Final = 64 << 20


class Source(NamedTuple):
    """A file that was read."""

    name: str
    """As the scenario writes it."""
    content: bytes

    @property
    def digest(self) -> str:
        """What names its content: 32 hexadecimal digits."""
        return bytes_digest(self.content)

    @property
    def file(self) -> str:
        """The last part of its name, for messages and for what kind of file it is."""
        return Path(self.name).name


class Files:
    """Files by the names that a scenario gives them: from its folder, or as an earlier run has kept them."""

    def __init__(self, folder: str | os.PathLike[str], kept: Mapping[str, bytes] | None = None) -> None:
        """`kept` has contents by name; what is there is read from nowhere else."""
        self.folder = Path(folder)
        self.read: dict[str, Source] = {}
        """What was read so far, by name."""
        self._kept = dict(kept or {})

    def source(self, name: str) -> Source:
        """Read a file. Raises `ScenarioError` for one that is missing, irregular or larger than 64 MiB."""
        if name not in self.read:
            self.read[name] = Source(name, self.content(name))
        return self.read[name]

    def content(self, name: str) -> bytes:
        """The content of a file, read now. Raises `ScenarioError` as `source` does."""
        return self._kept[name] if name in self._kept else _content(self.folder / name)


def _content(path: Path) -> bytes:
    try:
        return read_regular(path, MOST_BYTES)
    except OSError as error:
        raise ScenarioError(f"{path.name} cannot be read: {error.strerror or error}") from None
