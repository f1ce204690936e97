"""The same constraint queries in SQL, answered by DuckDB: an independent reference for our own solver.

It shares no code with the solver beyond the clues themselves: a graph's folder is read as Parquet by DuckDB, every
clue becomes a table in a join, and the target's distinct values are counted. Slower, and right for other reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sindbad.errors import InvalidInput
from sindbad.graph.dates import DATE
from sindbad.graph.knowledge import GraphView
from sindbad.questions.logic import INITIAL, TYPE, is_variable
from sindbad.questions.question import Clue, Question
from sindbad.questions.solver import BETWEEN, Interval

_ATTRIBUTES = f"""
CREATE TEMP TABLE known AS SELECT * FROM (SELECT entity_id, name, unit,
    CASE WHEN kind = 'number' AND isfinite(number) THEN number
         WHEN kind = 'date' AND regexp_full_match(value, '{DATE}')
         THEN TRY_CAST(regexp_extract(value, '{DATE}', 1) AS DOUBLE) END AS number
FROM given) WHERE number IS NOT NULL;
CREATE TEMP TABLE units AS SELECT name, unit FROM known GROUP BY name, unit
    QUALIFY row_number() OVER (PARTITION BY name ORDER BY count(*) DESC, unit) = 1;
CREATE TABLE attributes AS SELECT entity_id, name, number FROM known SEMI JOIN units USING (name, unit);
DROP TABLE known
"""
"""Numbers and years that compare with each other: those of an attribute's commonest unit."""

_NOT_UNIQUE, _WRONG = "not_unique", "wrong_answer"
_MANY = 3
"""Answers are listed up to here."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What DuckDB says of one question. ``found`` is the answer by its account; ``detail`` says what differs.

    ``reason``: of what is not ok, ``not_unique``, ``wrong_answer`` or ``false_claim`` (a distractor is true).
    """

    question_id: str
    ok: bool
    found: str
    detail: str = ""
    reason: str = ""


class Reference:
    """One graph in an in-memory DuckDB. Close it when done."""

    def __init__(self, threads: int = 1) -> None:
        import duckdb

        self._base = duckdb.connect(":memory:", config={"threads": threads})

    def close(self) -> None:
        """Give the memory back."""
        self._base.close()

    @classmethod
    def of_folder(cls, folder: str | Path) -> Reference:
        """From a stored graph's Parquet tables."""
        made = cls()
        columns = {"nodes": "entity_id, entity_type, names", "edges": "subject, relation, object", "given": "*"}
        for name, chosen in columns.items():
            path = str(Path(folder) / f"{'attributes' if name == 'given' else name}.parquet")
            made._base.execute(f"CREATE TABLE {name} AS SELECT {chosen} FROM read_parquet(?)", [path])
        made._base.execute(_ATTRIBUTES)
        return made

    @classmethod
    def of_graph(cls, graph: GraphView) -> Reference:
        """From any graph, by its read interface."""
        import pyarrow as pa

        made = cls()
        nodes = [(entity.entity_id, entity.entity_type, list(entity.names.items())) for entity in graph.entities]
        edges = [(subject, relation, end) for relation in graph.relations for subject, end in graph.pairs(relation)]
        rows = [(key, item) for name in graph.attribute_names() for key, item in graph.with_attribute(name)]
        texts = pa.map_(pa.string(), pa.string())
        columns: dict[str, dict[str, Any]] = {
            "nodes": {
                "entity_id": pa.array([row[0] for row in nodes], pa.string()),
                "entity_type": pa.array([row[1] for row in nodes], pa.string()),
                "names": pa.array([row[2] for row in nodes], texts),
            },
            "edges": {
                name: pa.array([row[at] for row in edges], pa.string())
                for at, name in enumerate(("subject", "relation", "object"))
            },
            "given": {
                "entity_id": pa.array([key for key, _ in rows], pa.string()),
                "name": pa.array([item.name for _, item in rows], pa.string()),
                "kind": pa.array([item.kind for _, item in rows], pa.string()),
                "unit": pa.array([item.unit for _, item in rows], pa.string()),
                "value": pa.array([str(item.value) for _, item in rows], pa.string()),
                "number": pa.array([float(i.value) if i.kind == "number" else None for _, i in rows], pa.float64()),
            },
        }
        for name, table in columns.items():
            made._base.register(f"{name}_arrow", pa.table(table))
            made._base.execute(f"CREATE TABLE {name} AS SELECT * FROM {name}_arrow")
        made._base.execute(_ATTRIBUTES)
        return made

    def answers(self, clues: Sequence[Clue], target: str, *, limit: int = 0) -> set[str]:
        """Every value of ``target`` under which all clues hold; at most ``limit`` of them where one is given."""
        text, values = self._query(clues, f"DISTINCT {_SLOT}", target)
        rows = self._base.execute(text + (f" LIMIT {limit}" if limit else ""), values).fetchall()
        return {row[0] for row in rows}

    def number(self, entity_id: str, attribute: str) -> float | None:
        """The attribute of an entity that has exactly one value of it."""
        text = "SELECT number FROM attributes WHERE entity_id = ? AND name = ? AND number IS NOT NULL"
        rows = self._base.execute(text, [entity_id, attribute]).fetchall()
        return float(rows[0][0]) if len(rows) == 1 else None

    def check(self, question: Question) -> Checked:
        """Answer the question again from its clues and its operation; compare with what it says."""
        try:
            found = self._answer(question)
        except InvalidInput as error:
            reason = _NOT_UNIQUE if error.reason == _NOT_UNIQUE.upper() else _WRONG
            return Checked(question.question_id, False, "", error.message, reason)
        ok = found == question.answer_id
        detail = "" if ok else f"the question says {question.answer_id!r}, DuckDB {found!r}"
        solution = dict(question.solution)
        true = [claim for claim in question.distractors if self._holds(claim, solution)]
        if true:
            return Checked(question.question_id, False, found, f"the distractor {true[0]} is true", "false_claim")
        return Checked(question.question_id, ok, found, detail, "" if ok else _WRONG)

    def missing(self, named: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Of pairs (``entity`` | ``relation`` | ``attribute``, id), those that the graph does not have."""
        asked, found = list(named), set[tuple[str, str]]()
        columns = {"entity": ("nodes", "entity_id"), "relation": ("edges", "relation"), "attribute": ("given", "name")}
        for kind, (table, column) in columns.items():
            ids = [name for which, name in asked if which == kind]
            text = f"SELECT id FROM (SELECT unnest(?::VARCHAR[]) AS id) ANTI JOIN {table} ON id = {table}.{column}"
            found |= {(kind, row[0]) for row in self._base.execute(text, [ids]).fetchall()}
        return found

    def _holds(self, claim: Clue, solution: Mapping[str, str]) -> bool:
        text = "SELECT 1 FROM edges WHERE subject = ? AND relation = ? AND object = ? LIMIT 1"
        ends = [solution.get(end, end) for end in (claim.subject, claim.object)]
        return bool(self._base.execute(text, [ends[0], claim.relation, ends[1]]).fetchall())

    def _answer(self, question: Question) -> str:
        if question.operation == "count":
            return f"={len(self.answers(question.clues, question.target))}"
        if question.operation in ("most", "least"):
            return self._extreme(question)
        chosen = [self._only(question, operand) for operand in question.operands or (question.target,)]
        if not question.operation:
            return chosen[0]
        numbers = [self._known(entity_id, question.attribute) for entity_id in chosen]
        if question.operation in ("more", "less"):
            return _extreme(dict(zip(chosen, numbers, strict=True)), question.operation == "more")
        signs = {"value": (1,), "sum": (1, 1), "difference": (1, -1)}[question.operation]
        total = sum(sign * number for sign, number in zip(signs, numbers, strict=True))
        return f"={number_id(abs(total))}" if question.operation == "difference" else f"={number_id(total)}"

    def _only(self, question: Question, variable: str) -> str:
        found = self.answers(question.clues, variable, limit=_MANY)
        if not found:
            raise InvalidInput(f"no answer for {variable}")
        if len(found) > 1:
            count = f"{len(found)} answers" if len(found) < _MANY else f"{_MANY} or more answers"
            raise InvalidInput(f"{count} for {variable}: {sorted(found)}", reason=_NOT_UNIQUE.upper())
        return found.pop()

    def _known(self, entity_id: str, attribute: str) -> float:
        number = self.number(entity_id, attribute)
        if number is None:
            raise InvalidInput(f"{entity_id} has not exactly one {attribute}")
        return number

    def _extreme(self, question: Question) -> str:
        members = self.answers(question.clues, question.target)
        if len(members) < 2:
            raise InvalidInput(f"a superlative among {len(members)}")
        numbers = {member: self._known(member, question.attribute) for member in members}
        return _extreme(numbers, question.operation == "most")

    def _query(self, clues: Sequence[Clue], select: str, target: str) -> tuple[str, list[Any]]:
        tables, conditions, values = list[str](), list[str](), list[Any]()
        places: dict[str, str] = {}
        for at, clue in enumerate(clues):
            alias = f"t{at}"
            ends, given = [("entity_id", clue.subject)], list[Any]()
            if clue.relation == TYPE:
                tables.append(f"nodes {alias}")
                extra, given = f"{alias}.entity_type = ?", [clue.object]
            elif clue.relation.startswith(INITIAL):
                tables.append(f"nodes {alias}")
                extra, given = f"{alias}.names[?][1:1] = ?", [clue.relation.removeprefix(INITIAL), clue.object]
            elif clue.relation.startswith(BETWEEN):
                bounds = Interval.of(clue)
                tables.append(f"attributes {alias}")
                extra = f"{alias}.name = ? AND {alias}.number BETWEEN ? AND ?"
                given = [bounds.attribute, bounds.low, bounds.high]
            else:
                tables.append(f"edges {alias}")
                ends = [("subject", clue.subject), ("object", clue.object)]
                extra, given = f"{alias}.relation = ?", [clue.relation]
            conditions.append(extra)
            values += given
            for column, term in ends:
                place = f"{alias}.{column}"
                if not is_variable(term):
                    conditions.append(f"{place} = ?")
                    values.append(term)
                elif term in places:
                    conditions.append(f"{place} = {places[term]}")
                else:
                    places[term] = place
        if target not in places:
            raise InvalidInput(f"no clue is about {target}")
        text = (
            f"SELECT {select.replace(_SLOT, places[target])} FROM {', '.join(tables)} WHERE {' AND '.join(conditions)}"
        )
        return text, values


_SLOT = "{target}"


def number_id(value: float) -> str:
    """A number as ``answer_id`` writes it after "=": no exponent, no trailing zeros, at most 6 decimals."""
    rounded = round(value, 6)
    return str(int(rounded)) if rounded == int(rounded) else f"{rounded:.6f}".rstrip("0")


def _extreme(numbers: dict[str, float], largest: bool) -> str:
    best = max(numbers.values()) if largest else min(numbers.values())
    holders = [key for key, value in numbers.items() if value == best]
    if len(holders) != 1:
        raise InvalidInput(f"a tie between {sorted(holders)[:3]}")
    return holders[0]
