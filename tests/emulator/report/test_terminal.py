"""One way to a terminal and one into a page: text stays text, and no module goes another way."""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator
from pathlib import Path

import house
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from layerlift.emulator.report import pages
from layerlift.emulator.report.pages import page
from layerlift.emulator.report.terminal import Terminal, echo

TERMINAL, PAGES, TEXTS = (
    "layerlift.emulator.report.terminal",
    "layerlift.emulator.report.pages",
    "layerlift.models.text",
)
OPENING = ("layerlift.emulator.scenario", "layerlift.emulator.results.reader", "layerlift.emulator.runtime.measured")


def printed(*things: object, **options: object) -> str:
    file = io.StringIO()
    console = Terminal(file=file, width=400, **options)
    for thing in things:
        console.print(thing)
    return file.getvalue()


@pytest.mark.parametrize("text", ["[see table 3] x", "[/x]", "[bold]b[/bold]", ":smile:", "[link=http://x]y[/link]"])
def test_markup_is_text(text: str) -> None:
    table = Table(text, title=text, caption=text)
    table.add_row(text)
    assert printed(text, Text(text)) == f"{text}\n{text}\n"
    assert printed(table).count(text) == 4


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_nothing_that_is_printed_moves_a_cursor(text: str) -> None:
    table = Table(text, title=text)
    table.add_row(text)
    said = printed(text, Text(text, style="bold"), table, force_terminal=False)
    assert all(letter.isprintable() or letter == "\n" for letter in said)


def test_styles_of_our_own_are_kept() -> None:
    assert "\x1b[1m" in printed(Text("bold", style="bold"), force_terminal=True, color_system="standard")


def test_a_line_stays_one(capsys: pytest.CaptureFixture[str]) -> None:
    echo("a\nb\x1b[2J")
    assert capsys.readouterr().out == "a\\nb\\x1b[2J\n"


def test_a_page_without_a_body_has_a_place_for_each_chart() -> None:
    made = page("</title><b>", {"one": {"title": "</script>"}})
    assert "<title>&lt;/title&gt;&lt;b&gt;</title>" in made
    assert '<div id="one"></div>' in made
    assert '{"one": {"title": "\\u003c/script\\u003e"}}' in made


@pytest.mark.long
def test_what_draws_charts_is_put_together_once_and_anew_where_it_was_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAYERLIFT_CACHE", str(tmp_path))
    made = []
    monkeypatch.setattr(pages, "_put_together", lambda: made.append(1) or "draw('é')")
    assert "draw('é')" in [pages._drawing.__wrapped__() for _ in range(2)]
    assert len(made) == 1
    [kept] = tmp_path.rglob("charts-*.bin")
    kept.write_bytes(kept.read_bytes()[:-1])
    assert pages._drawing.__wrapped__() == "draw('é')"
    assert len(made) == 2
    monkeypatch.setenv("LAYERLIFT_CACHE", str(kept))  # a file: nothing can be kept, and none is needed
    assert pages._drawing.__wrapped__() == "draw('é')"


# No module goes another way


def detours(name: str, source: str) -> Iterator[str]:
    """What a module does that only one may: a line for each."""
    for node in house.nodes(source):
        if isinstance(node, ast.ImportFrom | ast.Import):
            modules = {node.module or ""} if isinstance(node, ast.ImportFrom) else {each.name for each in node.names}
            if modules & {"rich.markup", "html"} and name != TEXTS:
                yield f"{name}, line {node.lineno}: imports {modules}, expected {TEXTS}"
        elif isinstance(node, ast.Call):
            yield from (f"{name}, line {node.lineno}: {fault}" for fault in _faults(name, node))


def _faults(name: str, call: ast.Call) -> Iterator[str]:
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    markup = [keyword.value for keyword in call.keywords if keyword.arg == "markup"]
    if called == "Console" and name != TERMINAL:
        yield "makes a Console, expected a Terminal"
    if called == "TextColumn" and not _constant(markup, False):
        yield "has a TextColumn with markup"
    if called in ("Progress", "Bar") and not call.args and any(each.arg == "console" for each in call.keywords):
        yield "has a Progress with rich's own columns, which read markup"
    if called in ("from_markup", "render_markup", "secho") or _constant(markup, True):
        yield f"calls {called}, which reads markup"
    if (
        called == "echo"
        and ast.unparse(call.func) == "click.echo"
        and not _first(call).startswith("json.")
        and name != TERMINAL
    ):
        yield "calls click.echo, expected echo"
    if called in ("vegalite_to_html", "javascript_bundle") and name != PAGES:
        yield f"calls {called}, expected a page"
    bare = called in ("open", "read_text", "read_bytes") or (
        called in ("ParquetFile", "read_table") and "path" in _first(call)
    )
    if bare and name.startswith(OPENING):
        yield f"calls {called}, expected open_regular or read_regular"


def _constant(given: list[ast.expr], value: bool) -> bool:
    return any(isinstance(each, ast.Constant) and each.value is value for each in given)


def _first(call: ast.Call) -> str:
    return ast.unparse(call.args[0]) if call.args else ""


@pytest.mark.long
def test_no_module_goes_another_way() -> None:
    assert [fault for name, source in house.tree_on_disk().items() for fault in detours(name, source)] == []


@pytest.mark.parametrize(
    "line",
    [
        "Console(stderr=True)",
        "rich.console.Console()",
        "TextColumn('{task.description}')",
        "Progress(console=console)",
        "Text.from_markup(name)",
        "console.print(name, markup=True)",
        "click.echo(f'made {name}')",
        "from rich.markup import escape",
        "import html",
        "vl_convert.vegalite_to_html(spec)",
        "path.read_text()",
        "open(path)",
        "pq.read_table(path)",
    ],
)
def test_a_detour_is_seen(line: str) -> None:
    assert len(list(detours("layerlift.emulator.scenario.planted", line))) == 1
