"""What `python -m benchmarks.docs` makes of docs and README: every block is known, and the cheap ones are fresh."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from house import ROOT

if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # benchmarks are not installed

command = importlib.import_module("benchmarks.docs.__main__")
blocks = importlib.import_module("benchmarks.docs.blocks")
if TYPE_CHECKING:
    from benchmarks.docs.blocks import Block

BLOCKS = importlib.import_module("benchmarks.docs.registry").BLOCKS
CHEAP = [block for block in BLOCKS if block.seconds <= blocks.CHEAP_S and block.comparable]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_every_mark_has_a_maker_and_every_maker_a_mark() -> None:
    texts = {page.relative_to(ROOT).as_posix(): page.read_text("utf-8") for page in PAGES}
    found = {(page, name) for page, text in texts.items() for name in blocks.marked(text)}
    assert found == {(block.page, block.name) for block in BLOCKS if not block.whole}
    for block in BLOCKS:
        assert block.standing().strip(), block.name


def test_names_are_unique_and_what_is_measured_is_marked() -> None:
    names = [block.name for block in BLOCKS]
    assert len(set(names)) == len(names)
    assert {block.name for block in BLOCKS if not block.comparable} == {
        "different inputs",
        "cut or whole",
        "beside a second copy",
        "the kernel's links",
        "what policies cost",
        "times of learned planners",
    }


@pytest.mark.long
@pytest.mark.parametrize("block", CHEAP, ids=[block.name for block in CHEAP])
def test_cheap_blocks_are_fresh(block: Block) -> None:
    assert block.fresh(block.make()), f"stale: python -m benchmarks.docs --only {block.name!r}"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page of one block, and a registry that has it and no other."""
    path = tmp_path / "page.md"
    path.write_text("Before.\n\n<!-- numbers: begin -->\n| 1 | 0.5 s |\n<!-- numbers: end -->\n\nAfter.\n")
    block = blocks.Block("numbers", str(path), lambda: "| 1 | 0.7 s |", 3, timed=r"[\d.]+ s")
    stale = blocks.Block("stale", str(path), lambda: "| 2 | 0.7 s |", 3, whole=True)
    monkeypatch.setattr(command, "BLOCKS", (block, stale))
    return path


def test_check_writes_nothing_and_does_not_compare_times(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = page.read_text()
    assert command.main(["--check", "--only", "numbers"]) == 0
    assert "numbers: fresh" in capsys.readouterr().out
    assert command.main(["--check"]) == 1
    assert "stale: STALE" in capsys.readouterr().out
    assert page.read_text() == before


def test_made_again_only_between_the_marks(page: Path) -> None:
    before = page.read_text()
    assert command.main(["--only", "numbers"]) == 0
    assert page.read_text() == before, "only the time differs"
    page.write_text(before.replace("| 1 |", "| 3 |"))
    assert command.main(["--only", "numbers"]) == 0
    assert page.read_text() == ("Before.\n\n<!-- numbers: begin -->\n| 1 | 0.7 s |\n<!-- numbers: end -->\n\nAfter.\n")
    assert command.main(["--only", "stale"]) == 0
    assert page.read_text() == "| 2 | 0.7 s |"


def test_what_is_not_there_is_told(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--only", "nombers"]) == 2
    assert "did you mean numbers" in capsys.readouterr().err
    page.write_text("no marks")
    assert command.main(["--only", "numbers"]) == 1
    assert "once and in order" in capsys.readouterr().out
    assert command.main(["--list", "--at-most", "2"]) == 0
    assert "numbers" not in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "<!-- a: end -->\n<!-- a: begin -->\n", "<!-- a: begin -->\n" * 2])
def test_marks_must_be_there_once(text: str) -> None:
    with pytest.raises(blocks.DocsError, match="once and in order"):
        blocks.between(text, "a", "page.md")


def test_put_and_between_are_inverse() -> None:
    text = "x\n<!-- a: begin -->\nold\n<!-- a: end -->\n"
    assert blocks.between(blocks.put(text, "a", "\nnew\n\n", "p"), "a", "p") == "new\n"
