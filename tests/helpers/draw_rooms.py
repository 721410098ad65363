"""The rooms of the house, drawn from the imports: `python tests/helpers/draw_rooms.py` writes docs/rooms.svg.

A room stands above all that it imports. An arrow is left out where a longer way says the same, so that what is seen is
the order and not every import. The drawing is a layered one: floors, then places on each floor that keep arrows short,
with bends where an arrow passes a floor; the same imports give the same bytes.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from textwrap import wrap

from house import FLOORS, ROOT, Tree, imports, room_of, tree_on_disk

PICTURE = ROOT / "docs" / "rooms.svg"
COMMAND = "python tests/helpers/draw_rooms.py"

Edges = Mapping[str, set[str]]

_WIDTH, _HEIGHT, _STOREY, _GAP, _BEND, _MARGIN = 160, 74, 112, 18, 14, 28
_LINES, _CHARACTERS, _SWEEPS = 4, 28, 80
_COLOURS = {
    "models": ("#e8f3ea", "#4c8a5b"),
    "planners": ("#fbf1dc", "#b1802c"),
    "emulator": ("#e6eef8", "#3f6ea8"),
    "": ("#f1e9f5", "#7d5496"),
}
"""Paper and ink of each package; the face of all has its own."""
_MEANINGS = (("models", "what a network is"), ("planners", "who decides"), ("emulator", "the world that they act in"))


def room_imports(tree: Tree) -> dict[str, set[str]]:
    """Which rooms each room imports, as far as they lie below it (that none lies elsewhere is a rule of the house)."""
    rooms = [room for floor in FLOORS for room in floor]
    found: dict[str, set[str]] = {room: set() for room in rooms}
    for name in tree:
        room = room_of(name)
        for imported in imports(tree, name):
            other = room_of(imported)
            if room and other and rooms.index(other) < rooms.index(room):
                found[room].add(other)
    return found


def reduced(edges: Edges) -> dict[str, set[str]]:
    """The same order with the fewest arrows: none where a longer way leads to the same room."""
    below: dict[str, set[str]] = {}
    for room in edges:  # from the ground up, so what lies below the imported is known
        below[room] = set().union(edges[room], *(below[other] for other in edges[room]))
    return {room: {one for one in own if not any(one in below[o] for o in own)} for room, own in edges.items()}


def storeys(edges: Edges) -> dict[str, int]:
    """How high each room stands: above all that it imports, and no lower than where most of its arrows are short."""
    found: dict[str, int] = {}
    for room, own in edges.items():
        found[room] = 1 + max((found[other] for other in own), default=-1)
    for room in reversed(list(edges)):
        above = [found[other] for other, own in edges.items() if room in own]
        if len(above) > len(edges[room]):
            found[room] = min(above) - 1
    return found


@dataclass(slots=True)
class _Spot:
    """A place on a floor: a room, or (without a name) the bend of an arrow that passes."""

    room: str
    storey: int
    x: float = 0.0

    @property
    def half(self) -> float:
        return (_WIDTH + _GAP) / 2 if self.room else _BEND / 2


class _Plan:
    """Spots floor by floor, the links between neighbouring floors, and the arrows that these make up."""

    def __init__(self, edges: Edges) -> None:
        self.spots = {room: _Spot(room, storey) for room, storey in storeys(edges).items()}
        self.floors: list[list[_Spot]] = [[] for _ in range(1 + max(spot.storey for spot in self.spots.values()))]
        for spot in self.spots.values():
            self.floors[spot.storey].append(spot)
        self.arrows = [self._arrow(self.spots[room], self.spots[to]) for room in edges for to in sorted(edges[room])]
        self.near: dict[int, list[_Spot]] = {id(spot): [] for floor in self.floors for spot in floor}
        for arrow in self.arrows:
            for upper, lower in pairwise(arrow):
                self.near[id(upper)].append(lower)
                self.near[id(lower)].append(upper)
        self._settle()

    def _arrow(self, upper: _Spot, lower: _Spot) -> list[_Spot]:
        bends = [_Spot("", storey) for storey in range(upper.storey - 1, lower.storey, -1)]
        for bend in bends:
            self.floors[bend.storey].append(bend)
        return [upper, *bends, lower]

    def _settle(self) -> None:
        """Let every spot be drawn to the middle of its neighbours, and keep the spots of a floor apart."""
        for floor in self.floors:
            _spread(floor)
        for sweep in range(_SWEEPS):
            ordering = sweep < _SWEEPS // 2  # later the order stays, and arrows are made straight
            for floor in self.floors if sweep % 2 else reversed(self.floors):
                for spot in floor:
                    around = self.near[id(spot)]
                    if around and (ordering or spot.room):
                        spot.x = sum(other.x for other in around) / len(around)
                if ordering:
                    floor.sort(key=lambda spot: spot.x)
                _spread(floor)
            if not ordering:
                self._straighten()
        left = min(spot.x - spot.half for floor in self.floors for spot in floor)
        for floor in self.floors:
            for spot in floor:
                spot.x = round(spot.x - left + _MARGIN)

    def _straighten(self) -> None:
        """Put the bends of each arrow under each other, as far as their floors have room."""
        for _, *bends, _ in self.arrows:
            for bend in bends:
                bend.x = sum(other.x for other in bends) / len(bends)
        for floor in self.floors:
            floor.sort(key=lambda spot: spot.x)
            _spread(floor)


def _spread(floor: Sequence[_Spot]) -> None:
    """Push spots apart that are too near each other, by as little as can be: half to the left, half to the right."""
    for _ in range(80):
        for left, right in pairwise(floor):
            lacking = left.half + right.half - (right.x - left.x)
            if lacking > 0:
                left.x -= lacking / 2
                right.x += lacking / 2


def draw(tree: Tree) -> str:
    """The picture as SVG."""
    plan = _Plan(reduced(room_imports(tree)))
    top = 128
    width = max(spot.x + spot.half for floor in plan.floors for spot in floor) + _MARGIN
    height = top + len(plan.floors) * _STOREY + _MARGIN - (_STOREY - _HEIGHT)
    y_of = [top + (len(plan.floors) - 1 - storey) * _STOREY for storey in range(len(plan.floors))]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'height="{height}" font-family="Helvetica, Arial, sans-serif">',
        f"<!-- drawn by {COMMAND}; do not edit -->",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0.8 L7.5 4 L0 7.2 Z" fill="#8a93a0"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height}" fill="#ffffff"/>',
        *_legend(),
    ]
    parts += [_curve(arrow, y_of) for arrow in plan.arrows]
    for room, spot in plan.spots.items():
        parts += _box(room, _about(tree[room]), spot.x, y_of[spot.storey])
    return "\n".join([*parts, "</svg>", ""])


def _about(source: str) -> str:
    """The first sentence of a room's docstring, up to where code begins."""
    text = " ".join((ast.get_docstring(ast.parse(source)) or "").split("\n\n")[0].split())
    return text.split(". ")[0].split("`")[0].rstrip(".:, ")


def _legend() -> list[str]:
    parts = [
        f'<text x="{_MARGIN}" y="40" font-size="22" font-weight="bold" fill="#222222">The rooms of Layerlift</text>',
        f'<text x="{_MARGIN}" y="62" font-size="12.5" fill="#555555">A room imports only what lies below it. '
        "An arrow is left out where a longer way says the same.</text>",
    ]
    for number, (package, meaning) in enumerate(_MEANINGS):
        paper, ink = _COLOURS[package]
        x, y = _MARGIN + 260 * number, 80
        parts.append(f'<rect x="{x}" y="{y}" width="14" height="14" rx="3" fill="{paper}" stroke="{ink}"/>')
        parts.append(
            f'<text x="{x + 22}" y="{y + 11.5}" font-size="12.5" fill="#555555">layerlift.{package}: {meaning}</text>'
        )
    return parts


def _curve(arrow: Sequence[_Spot], y_of: Sequence[int]) -> str:
    """An arrow from the foot of a room to the roof of another, straight past the floors between them."""
    first, last = arrow[0], arrow[-1]
    path = [f"M{first.x} {y_of[first.storey] + _HEIGHT}"]
    for upper, lower in pairwise(arrow):
        start, end = y_of[upper.storey] + _HEIGHT, y_of[lower.storey] - (3 if lower is last else 0)
        middle = (start + end) / 2
        path.append(f"C{upper.x} {middle:g} {lower.x} {middle:g} {lower.x} {end}")
        if lower is not last:
            path.append(f"V{y_of[lower.storey] + _HEIGHT}")
    return f'<path d="{" ".join(path)}" fill="none" stroke="#a9b1bc" stroke-width="1.3" marker-end="url(#head)"/>'


def _box(room: str, about: str, x: float, y: int) -> list[str]:
    name = room.removeprefix("layerlift.")
    package = name.split(".")[0]
    paper, ink = _COLOURS.get(package, _COLOURS[""])
    lines = wrap(about, _CHARACTERS, max_lines=_LINES, placeholder=" ...")
    line_y = y + (_HEIGHT - 11.5 * len(lines)) / 2 + 4
    parts = [
        f'<rect x="{x - _WIDTH / 2:g}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="7" fill="{paper}" '
        f'stroke="{ink}" stroke-width="1.2"/>',
        f'<text x="{x:g}" y="{line_y:g}" font-size="12.5" font-weight="bold" text-anchor="middle" fill="{ink}">'
        f"{escape(name)}</text>",
    ]
    parts += [
        f'<text x="{x:g}" y="{line_y + 14 + 11.5 * number:g}" font-size="10" text-anchor="middle" fill="#444444">'
        f"{escape(line)}</text>"
        for number, line in enumerate(lines)
    ]
    return parts


if __name__ == "__main__":
    picture = draw(tree_on_disk())
    if "--check" in sys.argv[1:]:
        raise SystemExit(picture != PICTURE.read_text(encoding="utf-8"))
    PICTURE.write_text(picture, encoding="utf-8")
