"""Text stays text: on a terminal, in HTML, within a script, in Markdown, and as a part of a path."""

from __future__ import annotations

import html
import json
import os
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerlift.models.text import drawable, escaped, file_name, in_markdown, in_script, printable

TEXT = st.text(max_size=200) | st.text("<>&\"'/\\!-script\x1b\u2028 \n[]", max_size=60)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain [x] Zürich", "plain [x] Zürich"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\r\x00\x9b", "a\\nb\\r\\x00\\x9b"),
        ("ab\u202ecd", "ab\\u202ecd"),
        ("\ud800", "\\ud800"),
        ("10\xa0km", "10\\xa0km"),
    ],
)
def test_what_is_printed(given: str, shown: str) -> None:
    assert printable(given) == shown


@given(TEXT)
def test_printable_is_one_line_without_controls_and_is_its_own(text: str) -> None:
    shown = printable(text)
    assert shown.splitlines() in ([shown], [])
    assert shown.isprintable()
    assert printable(shown) == shown
    shown.encode("utf-8")


class _Parsed(HTMLParser):
    """Elements and their text, as a browser would see them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.words = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


@given(TEXT)
def test_html_shows_the_text_and_nothing_else(text: str) -> None:
    page = _Parsed(f'<p title="{escaped(text)}">{escaped(text)}</p>')
    assert page.tags == ["p"]
    assert html.unescape(page.words) == html.unescape(printable(text))


@given(TEXT, TEXT)
def test_a_script_holds_the_values_and_is_not_ended_by_them(key: str, text: str) -> None:
    said = in_script({key: [text, 1, None, {"deep": (text,)}]})
    assert not set("<>&\u2028\u2029") & set(said)
    assert json.loads(said) == drawable({key: [text, 1, None, {"deep": [text]}]})


def test_a_script_has_only_numbers_that_json_has() -> None:
    with pytest.raises(ValueError, match="JSON"):
        in_script([float("nan")])


def test_markdown_holds_no_html_and_no_cells() -> None:
    assert in_markdown("a|b<i>[x](y)") == "a\\|b&lt;i>\\[x\\](y)"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("quickstart", "quickstart"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..", "run"),
        ("", "run"),
        ("/", "run"),
        ("-rf", "rf"),
        (".hidden", "hidden"),
        ("a/b\x00c", "a_b_c"),
        ("nul.yaml", "_nul.yaml"),
        ("CON", "_CON"),
        ("contention", "contention"),
        ("ends.", "ends"),
        ("Zürich 2", "Zürich_2"),
        ("x" * 300, "x" * 80),
        ("ü" * 300, "ü" * 40),
    ],
)
def test_names_in_paths(given: str, name: str) -> None:
    assert file_name(given, "run") == name


@given(st.text(max_size=300) | st.text("./\\-:\x00con", max_size=12))
def test_any_text_names_a_file_in_the_folder(text: str) -> None:
    name = file_name(text, "run")
    assert Path("runs", name).parts == ("runs", name)
    assert os.path.normpath(f"runs/{name}") == str(Path("runs", name))
    assert 0 < len(name.encode()) <= 81
    assert name[0] not in "-."
    assert name[-1] != "."
    assert file_name(name, "run") == name
