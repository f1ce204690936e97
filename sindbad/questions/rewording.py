"""Wording by a language model, checked: it has to state exactly the clues, or the template's wording stays.

The model is given the template's text and asked to say the same more naturally. What it returns is read back by rules:

    names        every name stands in it, and no other entity of the graph is named
    numbers      the same numbers, no others
    amounts      every amount in the template's own words, with what it is an amount of; an auxiliary may go
    relations    every phrase, or a paraphrase of it that the language pack has registered
    operation    the same words of degree ("higher", "how many", "before") and no others; no new negation
    asked        the attribute that is asked for and no other, in the question itself, of the same letters
    hearsay      a false statement is still marked as one
    leak         no form of the answer, nothing hidden is named

Rules can't follow who did what to whom: letters ("film A") have to be kept for that, and are checked. What passes is
``wording="model"``. Any :class:`~sindbad.clients.openai.TextModel` will do.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from sindbad.clients.openai import TextModel
from sindbad.errors import InvalidInput, NotFound, SindbadError
from sindbad.graph.knowledge import GraphView
from sindbad.languages import get_rewording
from sindbad.languages.pack import LanguagePack
from sindbad.languages.rewording import RewordingRules
from sindbad.questions.compact import CompactGraph, compact
from sindbad.questions.evidence import EASTERN_DIGITS, Witness, mentions, numbers_in
from sindbad.questions.forms import LogicalForm, variables_of
from sindbad.questions.question import Question
from sindbad.questions.wording import Worder, Wording

_LONGEST_NAME = 6
_PARALLEL = 16
_NO_WORDS = frozenset("\u0640\"'“”‘’«»")


@dataclass(slots=True)
class Reworded:
    """Questions in their order; ``refused`` counts why a model's wording was not taken."""

    questions: list[Question] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def reworded(self) -> int:
        return sum(question.wording == "model" for question in self.questions)


class WordingCheck:
    """Reads wordings in one language back against the clues."""

    def __init__(self, graph: GraphView, numbers: CompactGraph, language: str) -> None:
        self._graph, self._compact = graph, numbers
        self.worder = Worder(graph, numbers, language)
        self._witness = Witness(graph, numbers)

    @cached_property
    def _names(self) -> frozenset[str]:
        pack, code = self.worder.pack, self.worder.language
        given = (entity.names.get(code, "") for entity in self._graph.entities)
        return frozenset(name for text in given if len(name := pack.normalise_answer(text)) > 3)

    def template(self, question: Question) -> tuple[LogicalForm, Wording]:
        """The question's form and the template's wording of it.

        Raises InvalidInput for a question of another graph, one without a solution, and where words are lacking.
        """
        number = self._compact.number
        strange = [entity_id for _, entity_id in question.solution if entity_id not in number]
        if strange:
            raise InvalidInput(f"{question.question_id} is about {strange[0]!r}: it was made from another graph")
        if not set(variables_of(question.clues)) <= {variable for variable, _ in question.solution}:
            raise InvalidInput(f"{question.question_id} carries no solution: `sindbad questions make` did not make it")
        form = LogicalForm(
            question.kind,  # type: ignore[arg-type]
            question.clues,
            question.operands or (question.target,),
            {variable: number[entity_id] for variable, entity_id in question.solution},
            focus=0,
            operation=question.operation,
            attribute=question.attribute,
            answer=number.get(question.answer_id),
            value=question.value,
            claim=question.distractors[0] if question.distractors else None,
        )
        return form, self.worder.word(form)

    def misstated(self, question: Question) -> str:
        """Why the question's text does not state its clues; "" where it does.

        A template's text is made again and has to be the same; a model's is read back by the rules.
        """
        if question.wording == "template":
            return "" if self.template(question)[1].text == question.text else "not what the clues say"
        return self.objection(question.text, question)

    def objection(self, text: str, question: Question) -> str:
        """Why a text is no wording of the question, in a word; "" where it is one."""
        form, template = self.template(question)
        pack, rules = self.worder.pack, get_rewording(self.worder.language)
        checks: tuple[tuple[str, Callable[[], bool]], ...] = (
            ("empty", lambda: not text.strip() or len(text) > 4 * len(template.text) + 80),
            ("no_question", lambda: pack.question_mark not in text and "?" not in text),
            ("language", lambda: not pack.script_share(text) >= 0.5 * pack.script_share(template.text)),
            ("name_lost", lambda: any(not mentions(text, name, pack) for name in template.names)),
            ("name_added", lambda: bool(self._strangers(text, template))),
            ("numbers", lambda: numbers_in(text) != numbers_in(template.text)),
            ("letters", lambda: _labels(text, self.worder) != _labels(template.text, self.worder)),
            ("relation_lost", lambda: any(not _stated(phrase, text, pack, rules) for phrase in template.phrases)),
            ("amount", lambda: any(not _as_often(said, text, template, pack, rules) for said in template.amounts)),
            ("degree", lambda: _found(rules.degrees, text, pack) != _found(rules.degrees, template.text, pack)),
            ("asked", lambda: self._asks_otherwise(text, template, rules)),
            ("negation", lambda: bool(_negations(text, rules) - _negations(template.text, rules))),
            ("hearsay", lambda: form.claim is not None and not _found(rules.hedges, text, pack)),
            ("leak", lambda: self._witness.leak(form, text, self.worder) is not None),
        )
        return next((reason for reason, fails in checks if fails()), "")

    @cached_property
    def _labels_of_amounts(self) -> frozenset[str]:
        """Labels of all attributes that have one in this language."""
        found = set()
        for attribute in self._compact.columns:
            with suppress(InvalidInput):
                found.add(self.worder.measure(attribute).label)
        return frozenset(found)

    def _asks_otherwise(self, text: str, template: Wording, rules: RewordingRules) -> bool:
        """Whether the question itself misses the attribute or a letter, or the text names an attribute more.

        What amounts say of attributes is left out first: "has a running time of …" asks for none.
        """
        pack, labels = self.worder.pack, self._labels_of_amounts
        asked, wanted = _question_in(text), _question_in(template.text)
        rest, question = (_without(template.amounts, some, pack, rules) for some in (text, asked))
        added = {one for one in labels if _times(one, rest, pack)} - {
            one for one in labels if _times(one, template.text, pack)
        }
        lost = bool(template.asked) and not _times(template.asked, question, pack)
        return bool(added) or lost or not _labels(wanted, self.worder) <= _labels(asked, self.worder)

    def _strangers(self, text: str, template: Wording) -> list[str]:
        """Names of entities in the text that the template does not have, longest first."""
        pack = self.worder.pack
        known, words = f" {pack.normalise_answer(template.text)} ", pack.normalise_answer(text).split()
        found = []
        for size in range(_LONGEST_NAME, 0, -1):
            for start in range(len(words) - size + 1):
                phrase = " ".join(words[start : start + size])
                if (
                    phrase in self._names
                    and f" {phrase} " not in known
                    and (size > 1 or _is_proper(phrase, text, pack))
                ):
                    found.append(phrase)
        return found


def _is_proper(word: str, text: str, pack: LanguagePack) -> bool:
    """A single word counts as a name where it is capitalised within a sentence, or the script has no capitals."""
    if pack.code != "en":
        return True
    return re.search(rf"[a-z,;:]\s+{re.escape(word.capitalize())}\b", text) is not None


def _labels(text: str, worder: Worder) -> set[str]:
    """Letters that stand as labels."""
    letters = "".join(letter for letter in worder.grammar.letters if len(letter) == 1)
    if worder.language == "ar":
        return set(re.findall(r"\(([^()\s]{1,2})\)", text))
    return set(re.findall(rf"(?<![\w.])([{letters}])(?![\w])", text)) - {"A", "I"} | set(
        re.findall(r"\w ([AI])\b", text)
    )


def _stated(phrase: str, text: str, pack: LanguagePack, rules: RewordingRules) -> bool:
    """Whether a relation's phrase stands in the text, without its auxiliary verb, or paraphrased."""
    normal, bare = pack.normalise_answer(text), phrase
    for auxiliary in rules.auxiliaries:
        bare = bare.removeprefix(f"{auxiliary} ")
    ways = (phrase, bare, *rules.paraphrases.get(phrase, ()))
    return any(pack.normalise_answer(way) in normal for way in ways)


def _verbatim(text: str) -> str:
    """A text without case, marks, stretched letters, quotation marks, and with ASCII digits; signs and stops stay."""
    folded = unicodedata.normalize("NFKC", text).translate(EASTERN_DIGITS).casefold().replace("\u2212", "-")
    return " ".join(
        "".join(char for char in folded if char not in _NO_WORDS and not unicodedata.combining(char)).split()
    )


def _bare(said: str, rules: RewordingRules) -> str:
    """Without the auxiliary verb that it begins with."""
    first, _, rest = said.partition(" ")
    return rest if rest and first in rules.auxiliaries else said


def _pattern(said: str, pack: LanguagePack) -> str:
    """Finds words in a :func:`_verbatim` text, whole; in Arabic perhaps with clitics."""
    return rf"(?<![\w-]){_clitics(pack)}{re.escape(_verbatim(said))}(?![\w])"


def _clitics(pack: LanguagePack) -> str:
    """A pattern of what may be written onto the front of a word."""
    return "[وفبكل]?" if pack.code == "ar" else ""


def _times(said: str, text: str, pack: LanguagePack) -> int:
    return len(re.findall(_pattern(said, pack), _verbatim(text)))


def _as_often(said: str, text: str, template: Wording, pack: LanguagePack, rules: RewordingRules) -> bool:
    """Whether an amount stands in the text as often as in the template: two things may have the same one."""
    bare = _bare(said, rules)
    return _times(bare, text, pack) >= _times(bare, template.text, pack)


def _without(amounts: Sequence[str], text: str, pack: LanguagePack, rules: RewordingRules) -> str:
    left = _verbatim(text)
    for said in sorted(amounts, key=len, reverse=True):
        left = re.sub(_pattern(_bare(said, rules), pack), " … ", left)
    return left


def _question_in(text: str) -> str:
    """The sentences with a question mark."""
    return " ".join(sentence for sentence in re.split(r"(?<=[.!?؟])\s+", text) if "?" in sentence or "؟" in sentence)


def _found(words: Sequence[str], text: str, pack: LanguagePack) -> set[str]:
    """Words of a table that stand in the text, as words; in Arabic perhaps with a clitic."""
    plain = text.casefold()
    return {word for word in words if re.search(rf"(?<!\w){_clitics(pack)}{re.escape(word)}(?!\w)", plain)}


def _negations(text: str, rules: RewordingRules) -> set[str]:
    return set(re.findall(r"\w+", text.casefold().replace("n't", " not").replace("n’t", " not"))) & rules.negations


def misstated(questions: Sequence[Question], graph: GraphView) -> dict[str, str]:
    """Question id -> why its text does not state exactly its clues; {} where all do."""
    languages = sorted({question.language for question in questions})
    numbers = compact(graph, languages)
    checks = {language: WordingCheck(graph, numbers, language) for language in languages}
    found = {question.question_id: _misstated(checks[question.language], question) for question in questions}
    return {question_id: reason for question_id, reason in found.items() if reason}


def _misstated(check: WordingCheck, question: Question) -> str:
    try:
        return check.misstated(question)
    except (InvalidInput, NotFound) as error:  # a question of another graph
        return error.message


def prompt_of(question: Question) -> str:
    """What a model is asked, to word the question otherwise."""
    return get_rewording(question.language).prompt.format(text=question.text)


async def reword_all(questions: Sequence[Question], graph: GraphView, model: TextModel) -> Reworded:
    """Ask for every question; keep what passes. A call that fails leaves the template's wording, and is counted.

    After 16 failures in a row nothing more is asked: what was reworded until then stays.

    Raises:
        InvalidInput, NotFound: a question of another graph; before anything is asked.
        SindbadError: no call was answered at all.
    """
    numbers = compact(graph, sorted({question.language for question in questions}))
    checks = {language: WordingCheck(graph, numbers, language) for language in {q.language for q in questions}}
    for question in questions:
        checks[question.language].template(question)
    gate, refused = asyncio.Semaphore(_PARALLEL), Counter[str]()
    answered, failures = 0, list[SindbadError]()

    async def one(question: Question) -> Question:
        nonlocal answered
        prompt = prompt_of(question)
        try:
            async with gate:
                if len(failures) >= _PARALLEL:
                    refused["not_asked"] += 1
                    return question
                reply = await model.reply(prompt, max_tokens=64 + 2 * len(question.text))
        except SindbadError as error:
            failures.append(error)
            refused[error.reason] += 1
            return question
        failures.clear()
        answered += 1
        text = " ".join(reply.split()).strip('"“”«» ')
        objection = checks[question.language].objection(text, question)
        if objection:
            refused[objection] += 1
            return question
        return replace(question, text=text, wording="model")

    made = await asyncio.gather(*(one(question) for question in questions))
    if failures and not answered:
        raise failures[0]
    return Reworded(list(made), dict(sorted(refused.items())))


@asynccontextmanager
async def policy_model(addresses: Sequence[str], tokenizer: Path) -> AsyncIterator[TextModel]:
    """A policy service as the model; ``tokenizer`` is its model's folder, or the root of its weight store."""
    from sindbad.agent.policy_text import PolicyText
    from sindbad.agent.policy_tokenizer import TokenizerSource
    from sindbad.agent.prompts import load_prompts
    from sindbad.clients.policy import PolicyClient

    client = PolicyClient(list(addresses), deadline_seconds=120.0)
    try:
        yield PolicyText(client, TokenizerSource(tokenizer, load_prompts("demo")).get)
    finally:
        await client.close()
