"""Pages with charts: one file of HTML that needs no network, in which nothing is script but ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np

from layerlift.models.errors import ModelError
from layerlift.models.loading.disk_cache import cache_dir, read_arrays, write_arrays
from layerlift.models.text import escaped, in_script


def page(title: str, specs: Mapping[str, Mapping[str, Any]], body: Iterable[str] = (), style: str = "") -> str:
    """Return a page: `body` is HTML with an element of id KEY for each chart; without one the charts alone.

    `specs` are charts in Vega-Lite by KEY, a word of our own. `title` is text.
    """
    script = (
        f"const specs = {in_script(specs)};\nfor (const key in specs) "
        "vegaEmbed('#' + key, specs[key], {renderer: 'svg', actions: false}).catch(console.error);"
    )
    return "\n".join(
        [
            "<!DOCTYPE html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{escaped(title)}</title><style>{style}</style>',
            f"<script>{_drawing()}</script></head><body>",
            *(list(body) or [f'<div id="{key}"></div>' for key in specs]),
            f"<script>{script}</script></body></html>",
            "",
        ]
    )


@cache
def _drawing() -> str:
    """The program that draws the charts in a browser: put together once for a version of vl-convert, then kept."""
    path = cache_dir() / "derived" / f"charts-{version('vl-convert-python')}.bin"
    held = read_arrays(path)
    if held is None or "script" not in held:
        held = {"script": np.frombuffer(_put_together().encode(), dtype=np.uint8)}
        with contextlib.suppress(ModelError):  # a page needs no cache
            write_arrays(path, held)
    return held["script"].tobytes().decode()


def _put_together() -> str:
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
