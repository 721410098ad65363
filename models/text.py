"""Words of strangers: what a terminal, a page, a picture and a file name may show of them. Text stays text."""

from __future__ import annotations

import html
import json
from typing import Any, Final

_IN_SCRIPT: Final = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}
_IN_MARKDOWN: Final = {ord("&"): "&amp;", ord("<"): "&lt;", **{ord(letter): f"\\{letter}" for letter in "\\`[]|"}}
_RESERVED: Final = frozenset(
    ("con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10)))
)
"""Names that Windows keeps for devices, with any ending."""
_LONGEST: Final = 80


def printable(text: str) -> str:
    """Return `text` on one line, without what moves a cursor, hides or turns letters around: that is written out."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _written_out(letter) for letter in text)


def _written_out(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


def escaped(text: str) -> str:
    """Return `text` as HTML shows it, in an element or in quotes."""
    return html.escape(printable(text))


def in_markdown(text: str) -> str:
    """Return `text` as a line or a cell of Markdown shows it: no HTML, link, code or other cell comes of it."""
    return printable(text).translate(_IN_MARKDOWN)


def in_script(value: Any) -> str:
    """Return plain values as JSON that can stand within `<script>`: nothing in it ends the element or begins another.

    Texts in it are printable. Raises `ValueError` for numbers that JSON has not.
    """
    return json.dumps(drawable(value), allow_nan=False).translate(_IN_SCRIPT)


def drawable(value: Any) -> Any:
    """Return plain values with every text in them printable: XML forbids control characters whatever escapes them."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): drawable(item) for key, item in value.items()}
    return [drawable(item) for item in value] if isinstance(value, list | tuple) else value


def file_name(text: str, otherwise: str) -> str:
    """Return one part of a path that is named after `text`: letters, digits, `.`, `_` and `-`, at most 80 bytes.

    It begins with a letter, a digit or `_`, leads nowhere, and can be written on any system; `otherwise` where
    nothing is left.
    """
    kept = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in text)
    kept = kept.encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore").lstrip(".-").rstrip(".")
    if not kept.strip("_"):
        return otherwise
    return f"_{kept}" if kept.partition(".")[0].lower() in _RESERVED else kept
