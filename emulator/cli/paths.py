"""Files and folders as options and arguments take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from layerlift.models.errors import shortened
from layerlift.models.files import why_not


class FilePath(click.Path):
    """A path that is not empty: an unset variable of a shell (`--out "$X"`) must not mean the current folder."""

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.Path`."""
        if value == "":
            self.fail("it is empty, expected the name of a file or folder", param, ctx)
        if (why := why_not(value)) is not None:
            shown = shortened(str(value), 60)
            self.fail(f"{shown!r} cannot be looked at ({why}), expected a file or folder that can", param, ctx)
        return super().convert(value, param, ctx)
