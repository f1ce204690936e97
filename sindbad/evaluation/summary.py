"""``runs/<name>/summary.json``: the machine-readable end of a run. Field for field what the report shows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sindbad.atomic import write_text
from sindbad.errors import Corrupt

StageName = Literal["base", "sft", "merged", "rl_sim", "rl_live"]
PARADIGMS = ("react", "resum")
Rate = Annotated[float, Field(ge=0, le=1)]


class StageSummary(BaseModel):
    """Success of one stage's model on held-out questions."""

    model_config = ConfigDict(extra="forbid")

    success: Rate
    """Share of questions answered correctly."""
    ci95: tuple[Rate, Rate]
    """Wilson interval over questions."""
    questions: int = Field(ge=0)
    """How many were asked, both languages together."""
    by_language: dict[str, Rate]
    """Success by language code."""

    @model_validator(mode="after")
    def _ordered(self) -> StageSummary:
        if not self.ci95[0] <= self.success <= self.ci95[1]:
            raise ValueError(f"success {self.success} lies outside its interval {self.ci95}")
        return self


class TranslationSummary(BaseModel):
    """The light translator on held-out sentences, 0 to 100."""

    model_config = ConfigDict(extra="forbid")

    chrf: float = Field(ge=0, le=100)
    """chrF++."""
    bleu: float = Field(ge=0, le=100)
    """BLEU."""
    chrf_signature: str = ""
    """Sacrebleu's, as of the next; empty in summaries of before."""
    bleu_signature: str = ""
    """It names the tokeniser."""


class ResourceSummary(BaseModel):
    """What the run took of the machine."""

    model_config = ConfigDict(extra="forbid")

    peak_rss_bytes: int = Field(ge=0)
    """Highest sum of the resident sizes of all its processes, over all attempts, up to the report."""
    disk_bytes: int = Field(ge=0)
    """Disk of the run's folder when the report was written."""


class Summary(BaseModel):
    """A whole run. Stages that were not reached are absent."""

    model_config = ConfigDict(extra="forbid")

    stages: dict[StageName, StageSummary] = Field(default_factory=dict)
    """By stage, in the order of the pipeline."""
    paradigms: dict[Literal["react", "resum"], dict[str, Rate]] = Field(default_factory=dict)
    """Success by paradigm and context limit (in tokens), the limits actually run."""
    translation: TranslationSummary | None = None
    """Absent when the translator was not evaluated."""
    wall_seconds: dict[str, float] = Field(default_factory=dict)
    """Wall time by stage, all attempts of a resumed stage added up."""
    resources: ResourceSummary | None = None
    """Absent where nobody watched, as in a cluster."""

    def write(self, path: Path) -> None:
        """Replace ``path`` atomically."""
        write_text(path, self.model_dump_json(indent=2, exclude_none=True) + "\n")

    @classmethod
    def read(cls, path: Path) -> Summary:
        """Raises Corrupt when the file does not fit the schema."""
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError as error:
            raise Corrupt(f"{path} is no run summary: {error}") from error
