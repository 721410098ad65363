"""An SVG picture, piece by piece: text that fits, and nothing of a stranger's that is more than text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final
from xml.etree import ElementTree as Xml

from layerlift.models.errors import shortened
from layerlift.models.text import printable

_LETTER: Final = 0.6
"""The width of a letter of the usual fonts, in units of its size; few words are wider."""
_WIDE: Final = frozenset("WF")
"""The classes of letters that are as wide as high, as those of Chinese are."""
_INK: Final = "#1a1a1a"


class Canvas:
    """A white page, in pixels. What is drawn later lies above."""

    def __init__(self, width: float, height: float) -> None:
        self.width = width
        shape = {"width": f"{width:.0f}", "height": f"{height:.0f}", "viewBox": f"0 0 {width:.0f} {height:.0f}"}
        self.root = Xml.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **shape})
        self.root.set("font-family", "Helvetica, Arial, sans-serif")
        Xml.SubElement(self.root, "rect", width="100%", height="100%", fill="white")

    def group(self, tip: str = "", kind: str = "") -> Xml.Element:
        """A part of the picture; `tip` is shown where the mouse rests on it."""
        made = Xml.SubElement(self.root, "g", {"class": kind} if kind else {})
        if tip:
            Xml.SubElement(made, "title").text = "\n".join(map(printable, tip.split("\n")))
        return made

    def rect(
        self, x: float, y: float, wide: float, high: float, fill: str, parent: Xml.Element | None = None, **more: str
    ) -> None:
        """A filled rectangle; `more` are attributes such as `rx` and `stroke`."""
        place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{wide:.1f}", "height": f"{high:.1f}", "fill": fill}
        self._add("rect", place, parent, more)

    def path(
        self, steps: Iterable[str], stroke: str, thick: float, parent: Xml.Element | None = None, **more: str
    ) -> None:
        """A line; `steps` are commands of a path."""
        look = {"d": " ".join(steps), "fill": "none", "stroke": stroke, "stroke-width": f"{thick:.2f}"}
        self._add("path", look, parent, more)

    def rule(self, y: float, left: float, right: float, stroke: str) -> None:
        """A broken line across."""
        ends = {"x1": f"{left:.1f}", "x2": f"{right:.1f}", "y1": f"{y:.1f}", "y2": f"{y:.1f}"}
        self._add("line", ends, None, {"stroke": stroke, "stroke-width": "2", "stroke-dasharray": "7 4"})

    def text(
        self, x: float, y: float, words: str, size: float, room: float, parent: Xml.Element | None = None, **more: str
    ) -> None:
        """One line of text from `x` on, its middle left out where it is wider than `room`; none where it is empty."""
        if not words:
            return
        look = {"x": f"{x:.1f}", "y": f"{y:.1f}", "font-size": f"{size:g}", "fill": _INK} | _hyphened(more)
        made = Xml.SubElement(self.root if parent is None else parent, "text", look)
        made.text = fitting(words, size, room)

    def done(self) -> str:
        """The picture as a file holds it."""
        Xml.indent(self.root)
        return Xml.tostring(self.root, encoding="unicode") + "\n"

    def _add(self, kind: str, look: dict[str, str], parent: Xml.Element | None, more: dict[str, str]) -> None:
        Xml.SubElement(self.root if parent is None else parent, kind, {**look, **_hyphened(more)})


def width_of(words: str, size: float) -> float:
    """About how wide a text is, in pixels; rather too much than too little."""
    shown = printable(words)
    return len(shown) * size * _letter(shown)


def fitting(words: str, size: float, room: float) -> str:
    """A stranger's words on one line, their middle left out where they are wider than `room` pixels."""
    shown = printable(words)
    return shortened(shown, max(1, int(room / (size * _letter(shown)))))


def _letter(words: str) -> float:
    return 1.0 if any(unicodedata.east_asian_width(letter) in _WIDE for letter in words) else _LETTER


def _hyphened(more: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in more.items()}
