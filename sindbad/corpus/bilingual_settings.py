"""Settings of the bilingual supervision (:mod:`sindbad.corpus.bilingual`): which rows, which candidates, which judge.

Recipes hold them, so nothing heavy is imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_serializer, model_validator

from sindbad.clients.openai import OpenAISettings
from sindbad.corpus.address import digest
from sindbad.corpus.duplicates import DuplicateSettings
from sindbad.corpus.filters import FilterSettings
from sindbad.corpus.silence import SILENT_ROWS
from sindbad.translation.judges import JUDGE_PROMPT
from sindbad.translation.prompts import PromptStyle
from sindbad.translation.settings import TranslatorSettings

TEACHER: Final = "teacher"
"""Origin of what a teacher translated."""


class JudgeConnection(BaseModel):
    """Which model judges pairs: one behind an endpoint, or one of ours."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: OpenAISettings | None = None
    """An OpenAI-compatible server."""
    model: Path | None = None
    """A model folder instead; with ``policy`` only its tokenizer and its name are used."""
    policy: tuple[str, ...] = ()
    """Addresses of policy services that serve ``model``; none loads it here."""
    in_flight: int = Field(default=64, ge=1)
    """Pairs at weights of ours at once; an endpoint has its own ``parallel``."""
    silent_pairs: int | None = Field(default=SILENT_ROWS, ge=1)
    """So many pairs in succession without any verdict (unparsable, empty, refused) end the run; null: never."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.endpoint is None) == (self.model is None):
            raise ValueError("name one judge: an endpoint, or a model folder (with policy: where it is served)")
        if self.policy and self.model is None:
            raise ValueError("a policy service needs the folder of its model, for the tokenizer")
        return self

    @property
    def name(self) -> str:
        """For people."""
        return self.endpoint.model if self.endpoint is not None else Path(str(self.model)).name

    @property
    def at_once(self) -> int:
        """Pairs at the judge at once: none waits in a queue of ours while its deadline runs."""
        return self.endpoint.parallel if self.endpoint is not None else self.in_flight

    def identity(self, source: str, target: str) -> str:
        """Changes with everything that decides a verdict: model, prompt, decoding, direction."""
        from sindbad.translation.described import model_name
        from sindbad.weights.folder import model_revision

        if self.endpoint is not None:
            return digest([model_name(self.endpoint, JUDGE_PROMPT), source, target])
        return digest([model_revision(Path(str(self.model))), JUDGE_PROMPT, source, target])


class RowsSettings(BaseModel):
    """Instruction rows that a translator is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: tuple[str, ...]
    """NAME, NAME=FILE or NAME=FOLDER, with @LICENCE behind it where it differs from the schema's."""
    source: str = "en"
    """Language of the rows."""
    target: str = "ar"
    """Language that they are translated into."""
    rows: int | None = Field(default=None, ge=1)
    """The first so many of each source; null: all."""
    unit: Literal["conversation", "message"] = "message"
    """What is translated at once."""
    translator: TranslatorSettings = TranslatorSettings(style=PromptStyle.TEACHER)
    """How the translator is asked."""
    filters: FilterSettings = FilterSettings()
    """What is kept of it."""
    duplicates: DuplicateSettings | None = None
    """What is dropped before it is paid for; null keeps all."""

    @field_serializer("translator")
    def _as_said(self, value: TranslatorSettings) -> dict[str, Any]:
        """Only what was said: "instruct" has other defaults for what was not."""
        return value.model_dump(mode="json", exclude_unset=True)

    def configuration(self) -> dict[str, Any]:
        """As the --config of ``sindbad corpus translate``."""
        return {
            "translator": {"settings": {**self._as_said(self.translator), "style": self.translator.style.value}},
            "filters": self.filters.model_dump(mode="json", exclude_unset=True),
            "duplicates": self.duplicates.model_dump(mode="json") if self.duplicates else None,
        }


class CandidatesSettings(BaseModel):
    """Parallel text that is judged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: tuple[str, ...]
    """opus100 (the Hub), opus100=FILE, or NAME=FILE@LICENCE: a TSV or JSONL with a column a language (en, ar)."""
    candidates: int | None = Field(default=None, ge=1)
    """The first so many of each source; null: all."""
    rules: bool = True
    """Ask the judge only about what the rules of the corpus keep; false asks it about every candidate."""
    filters: FilterSettings = FilterSettings()
    """Those rules' thresholds."""


class PairsSettings(BaseModel):
    """Both halves of the supervision."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = "en"
    """Language that is translated."""
    target: str = "ar"
    """Language that is wanted."""
    teacher: RowsSettings | None = None
    """Rows whose question and answer a teacher translates."""
    parallel: CandidatesSettings | None = None
    """Parallel text."""
    tests: tuple[str, ...] = ()
    """NAME=FILE, with a column a language; nothing of them is trained on."""
    style: PromptStyle = PromptStyle.LIGHT
    """Whose prompt stands in the training file."""
    judge: JudgeConnection | None = None
    """Who judges parallel text; null keeps what the rules keep."""
    cut: bool = True
    """Cut pairs into sentences where both sides have as many: as the translator is asked here."""

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if self.teacher is not None and (self.teacher.source, self.teacher.target) != self.languages:
            raise ValueError(
                f"the teacher translates {self.teacher.source}-{self.teacher.target} and the file is for "
                f"{self.source}-{self.target}; say teacher.source and teacher.target, too"
            )
        return self

    @property
    def languages(self) -> tuple[str, str]:
        """From which into which."""
        return self.source, self.target
