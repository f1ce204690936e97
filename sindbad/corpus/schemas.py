"""The sources of HALA's corpus by the columns that they are published with, and how a row becomes messages.

Data, and pure functions of a row. A schema may have several forms (a data set that was published twice); the first
that fits counts. Licences are those of the cards, of a mixture's subsets too; "unknown" where a card names none. HALA
takes from Hermes-3 all but code, from Tulu-3 the English subsets (papers §1a step 4); which rows those are is our rule,
stated below and in :mod:`sindbad.corpus.code_rows`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sindbad.corpus.code_rows import about_code

Messages = list[tuple[str, str]]
Row = Mapping[str, Any]
_ROLES: Final = {"human": "user", "user": "user", "prompter": "user", "gpt": "assistant", "assistant": "assistant",
                 "model": "assistant", "system": "system"}  # fmt: skip
_PLAIN: Final = (str, int, float)
LONGEST_LABEL: Final = 200
"""Characters; what is longer is a text, and a text would have to be translated."""
_NOT_ENGLISH: Final = ("aya",)
"""Subsets of Tulu-3 in other languages, by a part of their name in ``source``."""
_TULU: Final = {
    "oasst1_converted": "apache-2.0",
    "flan_v2_converted": "unknown",
    "tulu_hard_coded_repeated_10": "cc-by-4.0",
    "no_robots_converted": "cc-by-nc-4.0",
    "tulu_v3.9_wildchat_100k": "odc-by",
    "personahub_math_v5_regen_149960": "odc-by",
    "tulu-3-sft-personas-math-grade": "odc-by",
    "tulu_v3.9_open_math_2_gsm8k_50k": "cc-by-4.0",
    "numinamath_tir_math_decontaminated": "apache-2.0",
    "tulu_v3.9_personahub_math_interm_algebra_20k": "odc-by",
    "personahub_code_v2_34999": "odc-by",
    "personahub_ifdata_manual_seed_v3_29980": "odc-by",
    "evol_codealpaca_heval_decontaminated": "apache-2.0",
    "coconot_converted": "odc-by",
    "tulu_v3.9_wildjailbreak_decontaminated_50k": "odc-by",
    "tulu_v3.9_synthetic_finalresp_wildguardmixtrain_decontaminated_50k": "apache-2.0",
    "tulu_v3.9_sciriff_10k": "odc-by",
    "tulu_v3.9_table_gpt_5k": "mit",
    "tulu_v3.9_aya_100k": "apache-2.0",
}
"""Subsets of Tulu-3 under the licences that its card names ("some portions of the dataset are non-commercial"). It
names none for FLAN v2; OpenMathInstruct-2, which it leaves out, stands under that of its own card."""


@dataclass(frozen=True, slots=True)
class Skip:
    """A row that is left out, and why."""

    reason: str


Converted = Messages | Skip | list[Messages]


@dataclass(frozen=True, slots=True)
class Schema:
    """One source.

    Attributes:
        columns: the forms a row may have: column -> "text", "text?" (may be null), "{a,b}" (a struct of texts),
            "[a,b]" (a list of such structs).
        convert: a checked row's messages (one list, or a list of conversations), or why it is left out.
        hub, config, split: where it is published; "" for a form that only files have.
        parallel: its rows are sentence pairs, not instructions.
        labels: columns of a form that say something about the row and are not its text (a subset's name).
        language: what it is published in; "" for a form that files of any language have.
        subsets: of a mixture: what the last part of the first of ``labels`` names -> the licence of those rows, beside
            the mixture's own.
        terms: raised where the licences of a schema's rows are corrected: a job of before is planned anew then, and its
            rows, whose addresses hold no licence, are not paid for again.
        rule: raised where other rows are left out than before: likewise, and only rows that are new are paid for.
    """

    columns: tuple[Mapping[str, str], ...]
    convert: Callable[[Row], Any]
    licence: str
    hub: str = ""
    config: str = ""
    split: str = "train"
    parallel: bool = False
    labels: tuple[str, ...] = ()
    language: str = ""
    subsets: Mapping[str, str] = field(default_factory=dict)
    terms: int = 0
    rule: int = 0

    def licences(self, row: Row) -> tuple[str, ...]:
        """All that a row is under."""
        if not self.subsets:
            return (self.licence,)
        own = self.subsets.get(str(row[self.labels[0]]).rpartition("/")[2], "unknown")
        return tuple(dict.fromkeys((self.licence, own)))

    def about(self, row: Row) -> dict[str, str]:
        """What a row says of itself, but its id: ``labels``, and short plain values of columns that no form names."""
        text = {"id", *(column for form in self.columns for column in form)} - {*self.labels}
        said = {name: str(value) for name, value in row.items() if name not in text and isinstance(value, _PLAIN)}
        return {name: value for name, value in said.items() if 0 < len(value) <= LONGEST_LABEL}


def _conversation(turns: list[Mapping[str, str]], role: str, content: str) -> Messages | Skip:
    found = []
    for turn in turns:
        if turn[role] not in _ROLES:
            return Skip(f"role {turn[role]}")
        if turn[content].strip():
            found.append((_ROLES[turn[role]], turn[content]))
    roles = [name for name, _ in found]
    return found if "user" in roles and "assistant" in roles else Skip("no answer")


def _two(question: str, answer: str, system: str = "") -> Messages | Skip:
    if not question.strip() or not answer.strip():
        return Skip("empty")
    return [*([("system", system)] if system.strip() else []), ("user", question), ("assistant", answer)]


def _orca(row: Row) -> Converted:
    return _two(row["question"], row["response"], row["system_prompt"] or "")


def _hermes(row: Row) -> Converted:
    found = _conversation(row["conversations"], "from", "value")
    if isinstance(found, Skip):
        return found
    return Skip("code") if about_code(found) else found


def _scp(row: Row) -> Converted:
    return _two(row["problem"], row["matched_solution"] or "")


def _realign(row: Row) -> Converted:
    if "items" in row or "conversations" in row:
        return _conversation(row.get("items") or row["conversations"], "from", "value")
    return _alpaca(row)


def _alpaca(row: Row) -> Messages | Skip:
    given = row.get("input") or ""
    return _two(f"{row['instruction']}\n\n{given}" if given.strip() else row["instruction"], row["output"])


def _lamini(row: Row) -> Converted:
    return _two(row["instruction"], row["response"])


def _tulu(row: Row) -> Converted:
    if any(mark in row["source"].lower() for mark in _NOT_ENGLISH):
        return Skip("not English")
    found = _conversation(row["messages"], "role", "content")
    if isinstance(found, Skip):
        return found
    letters = [char for _, text in found for char in text[:2000] if char.isalpha()]
    latin = sum(char.isascii() for char in letters)
    return found if latin >= 0.9 * len(letters) else Skip("not English")


def _gptj(row: Row) -> Converted:
    asked = re.sub(r"^\s*Human:\s*|\s*Assistant:\s*$", "", row["prompt"])
    return _two(asked, row["chosen"])


def opus100(source: str, target: str) -> Schema:
    """OPUS-100 as it is published for two languages, of which one is English; both directions read the same rows."""
    both = ",".join(sorted((source, target), key="en".__ne__))

    def convert(row: Row) -> Converted:
        return [(source, row["translation"][source]), (target, row["translation"][target])]

    return Schema(
        ({"translation": f"{{{both}}}"},), convert, "unknown", "Helsinki-NLP/opus-100",
        "-".join(sorted((source, target))), parallel=True,
    )  # fmt: skip


def _self_instruct(row: Row) -> Converted:
    made = (_alpaca({"instruction": row["instruction"], **one}) for one in row["instances"])
    return [one for one in made if not isinstance(one, Skip)]


def _oasst(row: Row) -> Converted:
    """The best-ranked reply in the prompt's language at every turn, down to the last one of the assistant."""
    found, node = [], row["prompt"]
    language = node.get("lang", "en")
    while node:
        found.append((_ROLES[node["role"]], node["text"]))
        replies = [reply for reply in node.get("replies") or [] if reply.get("lang", language) == language]
        node = min(replies, key=lambda reply: 99 if reply.get("rank") is None else reply["rank"], default=None)
    while found and found[-1][0] != "assistant":
        found.pop()
    return found if len(found) > 1 else Skip("no answer")


def _record(row: Row) -> Converted:
    return _conversation(row["messages"], "role", "content")


SCHEMAS: Final[Mapping[str, Schema]] = {
    "openorca": Schema(
        ({"system_prompt": "text?", "question": "text", "response": "text"},), _orca, "mit", "Open-Orca/OpenOrca",
        language="en",
    ),
    "opus100": opus100("en", "ar"),
    "hermes3": Schema(({"conversations": "[from,value]"},), _hermes, "apache-2.0", "NousResearch/Hermes-3-Dataset",
                      language="en", rule=1),
    "scp116k": Schema(
        ({"problem": "text", "matched_solution": "text?"},), _scp, "cc-by-nc-sa-4.0", "EricLu/SCP-116K",
        language="en",
    ),
    "realign_alpaca": Schema(
        ({"items": "[from,value]"}, {"conversations": "[from,value]"},
         {"instruction": "text", "input": "text?", "output": "text"}),
        _realign, "cc-by-nc-4.0", "GAIR/ReAlign-Alpaca", language="en",
    ),
    "lamini": Schema(
        ({"instruction": "text", "response": "text", "instruction_source": "text"},), _lamini, "cc-by-nc-4.0",
        "MBZUAI/LaMini-instruction", labels=("instruction_source",), language="en",
    ),
    "tulu3": Schema(
        ({"messages": "[role,content]", "source": "text"},), _tulu, "odc-by", "allenai/tulu-3-sft-mixture",
        labels=("source",), language="en", subsets=_TULU, terms=1,
    ),
    "synthetic_gptj": Schema(
        ({"prompt": "text", "chosen": "text", "rejected": "text"},), _gptj, "unknown",
        "Dahoas/synthetic-instruct-gptj-pairwise", language="en", terms=1,
    ),
    "alpaca": Schema(({"instruction": "text", "input": "text?", "output": "text"},), _alpaca, "unknown"),
    "self_instruct": Schema(({"instruction": "text", "instances": "[input,output]"},), _self_instruct, "apache-2.0"),
    "oasst_trees": Schema(({"prompt": "{role,text}"},), _oasst, "apache-2.0"),
    "messages": Schema(({"messages": "[role,content]"},), _record, "unknown"),
}  # fmt: skip
"""HALA's eight first, then the forms that other instruction files come in."""
HALA: Final = ("openorca", "opus100", "hermes3", "scp116k", "realign_alpaca", "lamini", "tulu3", "synthetic_gptj")
