"""A corpus's glossary: read strictly from a file, stored in the job by its content, given to each row as it needs.

Invariant: a row is translated with exactly the terms that its key holds, so a changed term reruns the rows that hold it
and no other. Terms match whole words and case, the longest wins (:class:`~sindbad.translation.glossary.Glossary`).
"""

from __future__ import annotations

import json
from pathlib import Path

from sindbad.corpus.address import digest
from sindbad.corpus.job import GlossaryOf, Job, no_glossary
from sindbad.corpus.records import InstructionRecord
from sindbad.corpus.store import JobStore
from sindbad.errors import InvalidInput
from sindbad.textfiles import open_text
from sindbad.translation.glossary import MAX_TERM_CHARACTERS, Glossary


def read_glossary(path: Path) -> Glossary:
    """A file with a term, a tab and its translation on every line that is not blank; UTF-8, no header, no comments.

    Raises NotFound, and InvalidInput naming the line that is anything else, or holds a term a second time.
    """
    found: dict[str, str] = {}
    lines: dict[str, int] = {}
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            text = line.rstrip("\n").removeprefix("\ufeff") if number == 1 else line.rstrip("\n")
            if not text.strip():
                continue
            source, target = _term(f"{path}, line {number}", text)
            if source in found:
                raise InvalidInput(f"{path}, line {number}: {source!r} stands in line {lines[source]} already")
            found[source], lines[source] = target, number
    if not found:
        raise InvalidInput(f"{path} holds no term; write SOURCE, a tab and TARGET on each line")
    return Glossary(found)


def _term(where: str, text: str) -> tuple[str, str]:
    cells = text.split("\t")
    if len(cells) != 2:
        raise InvalidInput(f"{where}: {len(cells)} columns; write SOURCE, one tab and TARGET")
    for cell in cells:
        if not cell.strip() or cell != cell.strip():
            raise InvalidInput(f"{where}: a term and its translation have no blanks around them and are not empty")
        if len(cell) > MAX_TERM_CHARACTERS:
            raise InvalidInput(f"{where}: a term has at most {MAX_TERM_CHARACTERS} characters")
    return cells[0], cells[1]


def store_glossary(store: JobStore, glossary: Glossary) -> str:
    """Keep the glossary in a job's folder; returns its digest, for :attr:`JobSpec.glossary`."""
    terms = sorted(glossary.terms.items())
    name = digest(terms)[:16]
    store.create(_place(name), json.dumps(dict(terms), ensure_ascii=False).encode())
    return name


def glossary_of(job: Job) -> GlossaryOf:
    """For a row, the terms of the job's glossary that occur in it; None where none does. Raises NotFound, Corrupt."""
    if not job.spec.glossary:
        return no_glossary
    glossary = Glossary(job.store.read_json(_place(job.spec.glossary)))

    def terms_of(record: InstructionRecord) -> Glossary | None:
        used = {term: glossary[term] for message in record.messages for term in glossary.names_in(message.content)}
        return Glossary(used) if used else None

    return terms_of


def _place(name: str) -> str:
    return f"glossaries/{name}.json"
