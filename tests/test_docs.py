"""Documents that speak of the code: the picture is drawn from today's imports, and what they name exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import draw_rooms
import house
import pytest
import yaml
from house import ROOT

ARCHITECTURE, GLOSSARY = ROOT / "docs" / "architecture.md", ROOT / "docs" / "glossary.md"
PAGES = [ARCHITECTURE, GLOSSARY, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
ROOTED = r"(?:models|planners|emulator|tests|benchmarks|docs)/[\w./-]*"


def named(text: str) -> dict[str, set[str]]:
    """What a document names of the code: paths in backticks, each with the names that follow it."""
    found: dict[str, set[str]] = {}
    for path, names in re.findall(rf"`({ROOTED})`((?:,\s+`[A-Za-z_][\w.]*`)*)", text):
        found.setdefault(path, set()).update(re.findall(r"`([\w.]+)`", names))
    return found


def missing(text: str) -> list[str]:
    """What a document names that is not there."""
    found = []
    for path, names in named(text).items():
        place = ROOT / path
        if not place.exists():
            found.append(path)
        elif path.endswith(".py"):
            source = place.read_text(encoding="utf-8")
            parts = {part for name in names for part in name.split(".")}
            found += [f"{path}: {part}" for part in sorted(parts) if not defines(source, part)]
    return found


def defines(source: str, name: str) -> bool:
    return bool(
        re.search(rf"^\s*(?:(?:async )?def|class) {name}\b|^\s*(?:self\.)?{name}\b[^\n=]*[:=]", source, re.MULTILINE)
    )


def test_the_picture_of_the_rooms_is_that_of_todays_imports() -> None:
    same = draw_rooms.draw(house.tree_on_disk()) == draw_rooms.PICTURE.read_text(encoding="utf-8")
    assert same, f"docs/rooms.svg is stale: {draw_rooms.COMMAND} draws it anew"


@pytest.mark.long
def test_the_picture_changes_with_the_imports_and_with_nothing_else() -> None:
    tree = house.tree_on_disk()
    longer = {**tree, "layerlift.emulator.kernel.cpu": tree["layerlift.emulator.kernel.cpu"] + "\nx = 1\n"}
    assert draw_rooms.draw(longer) == draw_rooms.draw(tree)
    line = "\nfrom layerlift.models.graph.graph import LayerGraph\n"
    planted = {**tree, "layerlift.emulator.kernel.cpu": tree["layerlift.emulator.kernel.cpu"] + line}
    assert draw_rooms.draw(planted) != draw_rooms.draw(tree)


def test_only_arrows_that_a_longer_way_repeats_are_left_out() -> None:
    edges = {"a": set(), "b": {"a"}, "c": {"a", "b"}, "d": {"a", "c"}}
    assert draw_rooms.reduced(edges) == {"a": set(), "b": {"a"}, "c": {"b"}, "d": {"c"}}
    assert draw_rooms.storeys(edges) == {"a": 0, "b": 1, "c": 2, "d": 3}


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_what_documents_name_is_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert named(text)
    assert missing(text) == []


def test_a_name_that_has_gone_is_found() -> None:
    text = "(`emulator/kernel/clock.py`, `Kernel.fly`; `emulator/attic.py`, `Trunk`)"
    assert missing(text) == ["emulator/kernel/clock.py: fly", "emulator/attic.py"]


@pytest.mark.parametrize("path", sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]), ids=lambda p: p.name)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    gone = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert not gone


def test_every_room_is_explained() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    rooms = [room.removeprefix("layerlift.") for floor in house.FLOORS for room in floor]
    emulator = [room for room in rooms if room.startswith("emulator.")]
    assert [room for room in emulator if f"`{room.replace('.', '/')}" not in text] == []


def test_the_glossary_is_one_table_in_alphabetical_order() -> None:
    rows = re.findall(r"^\|(.*)\|$", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)[2:]
    cells = [[cell.strip() for cell in row.split(" | ")] for row in rows]
    assert [row for row in cells if len(row) != 3 or not all(row)] == []
    words = [row[0].lower() for row in cells]
    assert words == sorted(set(words))
    assert [row[0] for row in cells if not named(row[2])] == []


def fields(entry: dict[str, object], needed: set[str], allowed: set[str]) -> None:
    assert needed <= entry.keys() <= needed | allowed
    assert all(entry.values())


def test_the_citation_is_one_of_cff_1_2_0_and_names_nobody_who_is_made_up() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    needed = {"cff-version", "message", "title", "authors"}
    fields(cited, needed, {"type", "abstract", "version", "license", "keywords", "references"})
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert cited["cff-version"] == "1.2.0"
    assert (cited["type"], cited["authors"]) == ("software", [{"name": "Layerlift contributors"}])
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    (paper,) = cited["references"]
    fields(paper, {"type", "title", "authors"}, {"journal", "year", "doi"})
    assert [author["family-names"] for author in paper["authors"]] == ["Xue", "Wu", "Li"]
    assert paper["doi"] in (ROOT / "README.md").read_text(encoding="utf-8")


def test_hooks_fetch_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    assert [hook["entry"].split()[0] for hook in hooks] == ["ruff", "ruff", "mypy", "pytest"]
