"""A reproduction for a person: in the terminal, as Markdown, as a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from layerlift.emulator.report.pages import page as with_charts
from layerlift.emulator.studies.reproduce.reproduction import Finding, Reproduction, Table
from layerlift.models.text import drawable, escaped, in_markdown

HEADS: Final = ("what", "published", "seen here", "")
_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; margin: 24px auto; max-width: 1080px; padding: 0 16px }
h1 { font-size: 22px } h2 { font-size: 17px; margin-top: 32px } .answer { font-size: 17px }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: 3px 14px 3px 0; text-align: right; border-bottom: 1px solid #eee; vertical-align: top }
th:first-child, td:first-child, .words td, .words th { text-align: left }
"""


def show(found: Reproduction, console: Console) -> None:
    """Print the answer, the findings, and the tables; it fits 80 columns."""
    console.print(Text(found.answer, style="bold"))
    console.print()
    for each in found.findings:
        console.print(Text(f"{each.about}: {each.outcome}", style="bold"))
        console.print(Text(f"  published: {each.published} ({each.source})"))
        console.print(Text(f"  here:      {each.seen}"))
        console.print(Text(f"  {each.why}", style="dim"))
    for table in found.tables:
        console.print()
        console.print(Text(table.title, style="bold"))
        console.print(_grid(table))
        if table.note:
            console.print(Text(table.note, style="dim"))
    console.print()
    for text in found.unverified:
        console.print(Text(f"Not verified: {text}", style="dim"))
    console.print(Text(f"digest {found.digest}, {len(found.runs)} runs", style="dim"))


def _grid(table: Table) -> Grid:
    made = Grid(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for number, head in enumerate(table.heads):
        made.add_column(Text(head), justify="left" if number == 0 else "right", overflow="fold")
    for row in table.rows:
        made.add_row(*map(Text, row))
    return made


def markdown(found: Reproduction, command: str) -> str:
    """The whole as Markdown, made by `command`; the picture is NAME.svg beside it."""
    return "\n".join(_markdown(found, command))


def _markdown(found: Reproduction, command: str) -> Iterator[str]:
    yield from (f"# {in_markdown(found.title)}", "", f"**{in_markdown(found.answer)}**", "")
    yield f"After {in_markdown(found.publication)}. Written by `{command}`; nothing here is typed by hand. The numbers"
    yield f"behind are in `{found.name}.json`."
    yield from ("", f"![{in_markdown(found.caption)}]({found.name}.svg)", "")
    yield from ("## What the publication says, and what is seen", "")
    yield from _lines(HEADS, [_cells(each) for each in found.findings], words=True)
    yield ""
    for each in found.findings:
        yield f"- **{in_markdown(each.about)}** (printed in {in_markdown(each.source)}). {in_markdown(each.why)}"
    yield from ("", "## What was run", "")
    yield from (f"- {in_markdown(text)}" for text in found.setting)
    for table in found.tables:
        yield from ("", f"## {in_markdown(table.title)}", "")
        yield from _lines(table.heads, table.rows)
        if table.note:
            yield from ("", in_markdown(table.note))
    yield from ("", "## What could not be verified", "")
    yield from (f"- {in_markdown(text)}" for text in found.unverified)
    yield from ("", f"Digest of all this: `{found.digest}`, of {len(found.runs)} runs.", "")


def _cells(found: Finding) -> tuple[str, ...]:
    return (found.about, found.published, found.seen, found.outcome)


def _lines(heads: Sequence[str], rows: Sequence[Sequence[str]], words: bool = False) -> Iterator[str]:
    yield f"| {' | '.join(map(in_markdown, heads))} |"
    yield f"| {' | '.join([':--'] * len(heads) if words else [':--'] + ['--:'] * (len(heads) - 1))} |"
    yield from (f"| {' | '.join(map(in_markdown, row))} |" for row in rows)


def html(found: Reproduction, command: str) -> str:
    """The whole as one page that needs no network."""
    body = [
        f"<h1>{escaped(found.title)}</h1>",
        f'<p class="answer">{escaped(found.answer)}</p>',
        f"<p>After {escaped(found.publication)}. Written by <code>{escaped(command)}</code>.</p>",
        '<div class="wide"><div id="picture"></div></div>',
        f"<p>{escaped(found.caption)}</p>",
        "<h2>What the publication says, and what is seen</h2>",
        *_table(("what", "published", "seen here", "", "why", "source"), [
            (*_cells(each), each.why, each.source) for each in found.findings
        ], ' class="words"'),
        "<h2>What was run</h2>",
        *_list(found.setting),
    ]  # fmt: skip
    for table in found.tables:
        body += [f"<h2>{escaped(table.title)}</h2>", *_table(table.heads, table.rows), f"<p>{escaped(table.note)}</p>"]
    body += ["<h2>What could not be verified</h2>", *_list(found.unverified)]
    body.append(f"<p>Digest of all this: <code>{found.digest}</code>, of {len(found.runs)} runs.</p>")
    return with_charts(found.title, {"picture": drawable(dict(found.picture))}, body, _STYLE)


def _list(texts: Sequence[str]) -> Iterator[str]:
    yield "<ul>"
    yield from (f"<li>{escaped(text)}</li>" for text in texts)
    yield "</ul>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> Iterator[str]:
    yield f'<div class="wide"><table{kind}>'
    for tag, cells in (("th", heads), *(("td", row) for row in rows)):
        yield "<tr>" + "".join(f"<{tag}>{escaped(cell)}</{tag}>" for cell in cells) + "</tr>"
    yield "</table></div>"
