"""The append-only journal: what kill -9, a full disk, a second writer and a damaged line do to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sindbad.errors import Corrupt, InvalidInput, NotFound, Unavailable
from sindbad.journal import Journal, Place, read_journal

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()), lambda inner: st.lists(inner, max_size=3)
)


class Kept:
    """What a journal told on opening."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.places: list[Place] = []

    def __call__(self, row: dict[str, Any], place: Place) -> None:
        self.rows.append(row)
        self.places.append(place)


def test_a_journal_cut_at_any_byte_keeps_its_whole_lines_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.jsonl"
    rows: list[dict[str, Any]] = [{"n": number, "name": "عربي" * number} for number in range(3)]
    with Journal(path, Kept()) as journal:
        assert journal.empty
        places = [journal.append(row) for row in rows]
        assert [journal.read(place) for place in places] == rows
    data = path.read_bytes()
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        whole = sum(place.start + place.length <= cut for place in places)
        kept = Kept()
        with Journal(path, kept) as journal:
            assert (kept.rows, kept.places) == (rows[:whole], places[:whole])
            assert journal.read(journal.append({"later": cut})) == {"later": cut}
        again = Kept()
        with Journal(path, again):
            assert again.rows == [*rows[:whole], {"later": cut}]


@settings(max_examples=60, deadline=None)
@given(st.lists(JSON, max_size=4))
def test_whatever_is_json_comes_back_half_surrogates_and_line_separators_too(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any]
) -> None:
    path, kept = tmp_path_factory.mktemp("journal") / "j.jsonl", Kept()
    values = [*values, "\ud800", "a\u2028b\r\n"]
    with Journal(path, Kept()) as journal:
        for value in values:
            journal.append({"value": value})
    read_journal(path, kept)
    assert [row["value"] for row in kept.rows] == values
    path.read_text("utf-8")


def test_what_a_full_disk_cut_short_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, kept, write = tmp_path / "j.jsonl", Kept(), os.write
    with Journal(path, Kept()) as journal:
        journal.append({"n": 1})
        with monkeypatch.context() as full:
            full.setattr(os, "write", lambda handle, data: write(handle, data[:5]))
            with pytest.raises(OSError, match="disk is full"):
                journal.append({"n": 2})
        journal.append({"n": 3})
    read_journal(path, kept)
    assert [row["n"] for row in kept.rows] == [1, 3]


def test_a_second_writer_is_told_and_a_reader_is_not_in_the_way(tmp_path: Path) -> None:
    path, kept = tmp_path / "j.jsonl", Kept()
    with Journal(path, Kept(), busy=Unavailable("busy")) as journal:
        journal.append({"n": 1})
        with pytest.raises(Unavailable, match="busy"):
            Journal(path, Kept(), busy=Unavailable("busy"))
        with path.open("ab") as file:
            file.write(b'{"n": 2')
        read_journal(path, kept)
        assert kept.rows == [{"n": 1}]
        assert path.read_bytes().endswith(b'{"n": 2')
    Journal(path, Kept(), busy=Unavailable("busy")).close()


@pytest.mark.parametrize("line", [b"nonsense", b"[1]", b"\xff\xfe", b'{"other": 1}', b""])
def test_a_line_that_is_none_of_ours_is_named_and_the_file_stays_as_it_is(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"n": 1}\n' + line + b'\n{"n"')
    before = path.read_bytes()
    with pytest.raises(Corrupt, match=r"j\.jsonl:2 .*; restore it"):
        Journal(path, lambda row, _: row["n"], remedy="restore it")
    assert path.read_bytes() == before


def test_a_refusal_of_the_reader_passes_and_gives_the_lock_back(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text('{"n": 1}\n')

    def refuse(row: dict[str, Any], _: Place) -> None:
        raise InvalidInput("another run's")

    with pytest.raises(InvalidInput, match="another run's"):
        Journal(path, refuse, busy=Unavailable("busy"))
    Journal(path, Kept(), busy=Unavailable("busy")).close()
    with pytest.raises(NotFound):
        read_journal(tmp_path / "none.jsonl", Kept())
