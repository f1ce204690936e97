"""What a run leaves for its readers: question files, subgraphs, rejected candidates, figures, report, data-set card.

train.jsonl, test.jsonl   questions, one a line, languages of one form together
subgraphs.jsonl           the excerpts that the kept questions came from: nodes, and the facts kept between them
rejected.parquet          what was not kept: reason, detail, clues
summary.json, report.md   figures; README.md: the data-set card
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sindbad import atomic
from sindbad.graph.knowledge import GraphView
from sindbad.questions.factory import Outcome
from sindbad.questions.logic import difficulty_bucket
from sindbad.questions.making import Made
from sindbad.questions.question import Question
from sindbad.questions.sameness import pictured
from sindbad.questions.store import save_questions
from sindbad.questions.synthesis import Rejected

_SAMPLES_PER_KIND = 2


def publish(outcome: Outcome, graph: GraphView) -> dict[str, Any]:
    """Write everything below the run's folder, each file atomically; returns the summary."""
    out = outcome.order.out
    for split in outcome.mergers:
        save_questions(out / f"{split}.jsonl", outcome.questions(split))
    _save_subgraphs(out / "subgraphs.jsonl", outcome, sorted(graph.relations))
    save_rejected_table(out / "rejected.parquet", [r for merger in outcome.mergers.values() for r in merger.rejected])
    summary = summarise(outcome)
    atomic.write_json(out / "summary.json", summary)
    atomic.write_text(out / "report.md", report(summary, outcome))
    atomic.write_text(out / "README.md", card(summary, outcome, graph))
    return summary


def summarise(outcome: Outcome) -> dict[str, Any]:
    """Figures of a run, JSON-ready. Counts are of logical forms unless they say questions."""
    forms = [made.questions[0] for merger in outcome.mergers.values() for made in merger.kept]
    rejected = [item for merger in outcome.mergers.values() for item in merger.rejected]
    nodes = [count for merger in outcome.mergers.values() for count in merger.nodes]
    degrees = [degree for merger in outcome.mergers.values() for degree in merger.degrees]
    questions = [question for split in outcome.mergers for question in outcome.questions(split)]
    wanted = outcome.order.count
    return {
        "world_id": outcome.world_id,
        "graph_digest": outcome.digest,
        "seed": outcome.order.seed,
        "series": outcome.order.series,
        "only": outcome.order.only or "",
        "wanted": wanted,
        "forms": len(forms),
        "shortfall": wanted - len(forms),
        "questions": len(questions),
        "by_split": {split: len(merger.kept) for split, merger in outcome.mergers.items()},
        "by_language": _counted(question.language for question in questions),
        "by_kind": _counted(form.kind for form in forms),
        "by_kind_and_hops": _counted(f"{form.kind}:{form.hops}" for form in forms),
        "by_operation": _counted(form.operation or "name" for form in forms),
        "by_uncertainty": _counted(label for form in forms for label in form.uncertainty or ("none",)),
        "by_difficulty": _counted(difficulty_bucket(form.difficulty) for form in forms),
        "by_wording": _counted(question.wording for question in questions),
        "looked_up": outcome.looked_up,
        "mean_difficulty": _mean([form.difficulty for form in forms]),
        "rejected": _counted(str(item.reason) for item in rejected),
        "rejected_by_kind": _counted(f"{item.kind}:{item.reason}" for item in rejected),
        "subgraphs": len(nodes),
        "mean_subgraph_nodes": _mean(nodes),
        "mean_subgraph_degree": _mean(degrees),
        "topologies": len({form.topology for form in forms}),
    }


def _counted(items: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(items).items()))


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 3) if values else 0.0


def _save_subgraphs(path: Path, outcome: Outcome, relations: Sequence[str]) -> None:
    """``relations``: of the graph, sorted, as excerpts number them."""
    lines: dict[str, str] = {}
    for split, merger in outcome.mergers.items():
        for made in merger.kept:
            name = made.questions[0].subgraph_hash
            if name not in lines:
                facts = [(made.subgraph[s], relations[r], made.subgraph[o]) for s, r, o in pictured(made.picture)]
                record = {"subgraph_hash": name, "split": split, "nodes": made.subgraph, "facts": facts}
                lines[name] = json.dumps(record, ensure_ascii=False)
    atomic.write_text(path, "".join(line + "\n" for line in lines.values()))


def save_rejected_table(path: Path, rejected: Sequence[Rejected]) -> None:
    """Rejected candidates as Parquet; clues as JSON text."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ("reason", "detail", "kind", "clues", "target", "answer_id", "world_id", "text")
    rows = [
        {**item.to_record(), "clues": json.dumps(item.to_record()["clues"], ensure_ascii=False)} for item in rejected
    ]
    table = pa.table({name: pa.array([str(row[name]) for row in rows], pa.string()) for name in names})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    atomic.write_bytes(path, sink.getvalue())


def report(summary: Mapping[str, Any], outcome: Outcome) -> str:
    """The report, as Markdown."""
    parts = [f"# Questions over {summary['world_id']}", _headline(summary)]
    for title, key in (
        ("By split", "by_split"), ("By language (questions)", "by_language"), ("By kind", "by_kind"),
        ("By kind and hops", "by_kind_and_hops"), ("By what is asked", "by_operation"),
        ("By uncertainty (a question may carry several)", "by_uncertainty"), ("By difficulty", "by_difficulty"),
        ("Rejected, by reason", "rejected"), ("Rejected, by kind and reason", "rejected_by_kind"),
    ):  # fmt: skip
        parts.append(f"## {title}\n\n{_table(summary[key])}")
    parts.append("## Samples\n\n" + "\n".join(_samples([m for g in outcome.mergers.values() for m in g.kept])))
    return "\n\n".join(parts) + "\n"


def _headline(summary: Mapping[str, Any]) -> str:
    lacking = f" ({summary['shortfall']} fewer than wanted)" if summary["shortfall"] > 0 else ""
    looked_up = (
        ", and the tools bring up every clue" if summary["looked_up"] else " (clues were not looked up: --index)"
    )
    return (
        f"{summary['forms']:,} logical forms{lacking}, {summary['questions']:,} questions. Subgraphs: "
        f"{summary['subgraphs']:,}, {summary['mean_subgraph_nodes']} nodes and degree "
        f"{summary['mean_subgraph_degree']} on average. Mean difficulty {summary['mean_difficulty']}. Every question "
        f"passed every check{looked_up}; what did not is in `rejected.parquet` with its reason."
    )


def _table(counts: Mapping[str, int]) -> str:
    rows = [f"| {name} | {count:,} |" for name, count in counts.items()] or ["| none | 0 |"]
    return "\n".join(["| | count |", "|---|---|", *rows])


def _samples(kept: Sequence[Made]) -> list[str]:
    shown: Counter[str] = Counter()
    lines = []
    for made in kept:
        kind = made.questions[0].kind
        if shown[kind] < _SAMPLES_PER_KIND:
            shown[kind] += 1
            lines += [_sample(question) for question in made.questions]
    return lines


def _sample(question: Question) -> str:
    labels = ", ".join(question.uncertainty) or "no uncertainty"
    head = f"- **{question.kind}**, {question.hops} clues, difficulty {question.difficulty}, {labels}"
    return f"{head}: {question.text} — *{question.answer}*"


def _files(outcome: Outcome) -> str:
    sides = " and ".join(f"`{split}.jsonl`" for split in outcome.mergers)
    return f"{sides} (no entity, subgraph node or subgraph shape in common)" if len(outcome.mergers) > 1 else sides


def card(summary: Mapping[str, Any], outcome: Outcome, graph: GraphView) -> str:
    """The data-set card: what it is, how it was made, what binds its users."""
    manifest = getattr(graph, "manifest", None)
    licences = [f"- {item.source}: {item.licence}. {item.note}".rstrip() for item in getattr(manifest, "licences", ())]
    config = json.dumps(outcome.order.config.model_dump(mode="json"), ensure_ascii=False, indent=2)
    languages = "\n".join(f"- {language}" for language in summary["by_language"])
    return f"""---
language:
{languages}
task_categories:
- question-answering
---
# Research questions over {summary["world_id"]}

{summary["questions"]:,} questions in {len(summary["by_language"])} languages, made from {summary["forms"]:,} logical
forms over a knowledge graph (SailorFog-QA-V2 style: subgraphs by random walk, focus spread over orbits, uncertainty
injected and labelled, every answer verified to be the only one in the whole graph).

- **Files**: {_files(outcome)}, `subgraphs.jsonl`, `rejected.parquet`, `report.md`.
- **Fields**: `text`, `answer`, `aliases` (other accepted forms), `clues` (the logical form), `evidence` (stored
  sentence and URL of every clue), `uncertainty`, `difficulty`, `distractors` (false, mentioned as hearsay).
- **Counts**: {json.dumps(summary["by_kind"])}; uncertainty {json.dumps(summary["by_uncertainty"])}.
- **Rejected candidates**: {json.dumps(summary["rejected"])}.
- **Made from** graph {summary["graph_digest"][:16]}, seed {summary["seed"]}, series {summary["series"]}, \
{"beside what was known" if outcome.order.known else "nothing known before"}, \
{"only what the tools bring up" if outcome.looked_up else "not looked up"}; the same command gives the same bytes.

## Licences of the sources

{chr(10).join(licences) or "- not stated by the graph"}

## Limits

Answers are right in the graph and in the stored sentences, not necessarily in the world. The graph is taken as
complete: a count counts what it states. Texts come from templates unless `wording` says "model".

## Settings

```json
{config}
```
"""
