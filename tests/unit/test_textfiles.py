"""What a user names and cannot be read is told in one line with its place."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from sindbad.corpus.sources import SourceRequest, read_sources
from sindbad.errors import InvalidInput, NotFound, SindbadError
from sindbad.evaluation.choice_items import read_choice_items
from sindbad.quantize.heldout import read_held_out
from sindbad.textfiles import json_lines

WHOLE = gzip.compress(b'{"a": 1}\n' * 500)
BAD = {
    "not_utf8.jsonl": (b"\xa6\x02\xff", "no UTF-8 text"),
    "not_gzip.jsonl.gz": (b"\xa6\x02\xff", "damaged or cut short"),
    "cut.jsonl.gz": (WHOLE[:-12], "damaged or cut short"),
    "torn.jsonl": (b'{"a": 1}\n\n{"a"', "torn.jsonl:3 is no JSON object"),
    "list.jsonl": (b"[1]\n", "list.jsonl:1 is no JSON object"),
}


def test_objects_come_with_their_line_numbers_plain_or_gzipped(tmp_path: Path) -> None:
    text = '{"a": "١\u2028\u0085٢"}\n\n{"a": 2}\n'.encode()
    (tmp_path / "x.jsonl").write_bytes(text)
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(text))
    for name in ("x.jsonl", "x.jsonl.gz"):
        assert list(json_lines(tmp_path / name)) == [(1, {"a": "١\u2028\u0085٢"}), (3, {"a": 2})]
    with pytest.raises(NotFound):
        list(json_lines(tmp_path))


@pytest.mark.parametrize("name", BAD)
def test_every_reader_of_the_users_files_says_what_is_wrong(tmp_path: Path, name: str) -> None:
    written, said = BAD[name]
    path = tmp_path / name
    path.write_bytes(written)
    request = SourceRequest.parse(f"messages={path}", None)
    for read in (json_lines, lambda path: read_sources([request])):
        with pytest.raises(SindbadError) as refused:
            list(read(path))
        assert said in refused.value.message or "schema" in refused.value.message
    for reader in (read_choice_items, lambda path: read_held_out(path, columns=("a", "a"))):
        with pytest.raises(InvalidInput):
            reader(path)
