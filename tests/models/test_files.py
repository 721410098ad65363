"""Files that a stranger names: what is none is refused at once, without being read or waited for."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from layerlift.emulator.results.places import check_place
from layerlift.models.errors import RunError
from layerlift.models.files import open_regular, read_regular, why_not


def test_a_file_is_read_and_so_is_one_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345678")
    (tmp_path / "b").symlink_to("a")
    assert read_regular(tmp_path / "a", 8) == b"12345678"
    with open_regular(tmp_path / "b", 8) as file:
        assert file.read() == b"12345678"


def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("folder").mkdir()
    Path("zero").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as there:
        there.bind("socket")
        for name, kind in (
            ("pipe", "a pipe"),
            ("folder", "a folder"),
            ("socket", "a socket"),
            ("/dev/zero", "a device"),
            ("zero", "a device"),
        ):
            with pytest.raises(OSError, match="expected a file") as said:
                open_regular(name, 1000)
            assert said.value.strerror == f"it is {kind}, expected a file"


@pytest.mark.parametrize("name", ["a\x00b", "\ud800", ""])
def test_a_name_that_no_file_can_have(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError):  # noqa: PT011 - any of its kinds will do
        open_regular(name, 1000)


def test_large_ones_are_refused_before_they_are_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="larger than 64 MiB"):
        read_regular(tmp_path / "sparse", 64 << 20)


def test_one_that_grows_meanwhile_is_refused() -> None:
    # Files of /proc say that they are empty.
    with pytest.raises(OSError, match="larger than 0 KiB"):
        read_regular("/proc/self/status", 16)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("new", None),
        ("file/new", None),
        ("", None),
        (300 * "a", "File name too long"),
        ("a\0b", "its name is none that a file can have"),
        ("loop", "Too many levels of symbolic links"),
    ],
)
def test_of_some_paths_nobody_can_tell_what_is_there(name: str, why: str | None, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    assert why_not(tmp_path / name) == why
    if why is not None:
        with pytest.raises(RunError, match=f"cannot write to .*: {why}; give another folder with --out"):
            check_place(tmp_path / name)


def test_a_folder_of_somebody_else_is_one_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("layerlift.models.files.os.stat", refused)
    assert why_not(tmp_path / "theirs" / "new") == "Permission denied"
