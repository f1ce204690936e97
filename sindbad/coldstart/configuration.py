"""Settings of a cold-start set. What a filter or a check refuses by default is what the papers say, or off."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, field_validator


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FilterSettings(_Settings):
    """Rejection sampling. WebSailor: correct, at most 32k tokens, more than five tool calls (papers.md §2a)."""

    correct: bool = True
    """Only what the judge accepted (papers.md test 15). There is no other set to be had: the card says of every filter
    what it would refuse alone."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of the longest context, prompt included."""
    max_total_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of all contexts of an attempt together."""
    more_calls_than: int = Field(default=-1, ge=-1)
    """An attempt must make more tool calls than this; -1 asks for none."""
    well_formed: bool = True
    """No malformed turn anywhere, also none that the attempt recovered from."""
    max_repeats: int | None = Field(default=None, ge=0)
    """Most calls that repeat an earlier one which had been answered; a retry after a fault repeats nothing."""
    max_faults: int | None = Field(default=None, ge=0)
    """Most calls answered by a tool error."""
    good_end: bool = False
    """The last tool answer before the final one was no error: nobody learns to give up and guess."""
    answer_observed: bool = False
    """The answer stands in something that was read. For questions whose answer is a name, not a count."""
    native_thoughts: bool = False
    """Thoughts are in the question's language."""

    @field_validator("correct")
    @classmethod
    def _wrong_answers_never_pass(cls, correct: bool) -> bool:
        if not correct:
            raise ValueError(
                "wrong answers never pass; the card says what every filter refuses, and would refuse alone"
            )
        return correct


class ThoughtWriterKind(StrEnum):
    """Who writes the short thoughts."""

    KEEP = "keep"
    TEMPLATE = "template"
    MODEL = "model"


class ThoughtSettings(_Settings):
    """Thoughts rewritten short from history, action and observation (WebSailor's reconstruction)."""

    writer: ThoughtWriterKind = ThoughtWriterKind.KEEP
    """keep leaves the teacher's thoughts alone (checked nevertheless where ``check`` says so), template is a rule."""
    check: bool = False
    """Also check thoughts that are kept; rewritten ones always are."""
    max_tokens: int = Field(default=120, ge=1)
    """Longest thought."""
    tries: int = Field(default=2, ge=1)
    """How often a model is asked for one thought before the template steps in."""
    temperature: float = Field(default=0.6, ge=0)
    """Of a model's thoughts."""


class OnOverlap(StrEnum):
    """What happens to training data that overlaps the test set."""

    REMOVE = "remove"
    REFUSE = "refuse"


class DecontaminationSettings(_Settings):
    """Training data that says something about the test set goes, with the reason and an example."""

    on_overlap: OnOverlap = OnOverlap.REMOVE
    """remove leaves it out; refuse stops with the first examples."""
    entities: bool = True
    """No entity of a question (named, hidden on the way, or the answer) may be one of a test question of the same world
    or graph."""
    ngram: int = Field(default=13, ge=0)
    """No run of this many words may be shared with a test question; 0 asks for none."""
    common: int = Field(default=10, ge=1)
    """A run that stands in more questions of the two sets than this, or whose every word does, is wording."""
    similarity: float = Field(default=0.8, ge=0, le=1)
    """No question may be this similar to a test question: overlap of words, each weighted by its rarity. 1 is off."""
    answers: bool = True
    """No question may have the answer *and* the subgraph (or the normalised wording) of a test question."""
    trajectories: bool = True
    """No thought or observation may contain a test question's wording (a page that quotes a benchmark)."""
    examples: int = Field(default=5, ge=0)
    """Shown a reason."""


class ColdStartSettings(_Settings):
    """How a cold-start set is made."""

    attempts: int = Field(default=2, ge=1)
    """Attempts at a question, at most."""
    keep: int = Field(default=1, ge=1)
    """Trajectories kept a question; attempts stop there."""
    in_flight: int = Field(default=32, ge=1)
    """Questions at once; the attempts at one follow each other."""
    seed: int = 0
    """Of the attempts."""
    filters: FilterSettings = FilterSettings()
    """Rejection sampling."""
    thoughts: ThoughtSettings = ThoughtSettings()
    """Rewriting."""
    decontamination: DecontaminationSettings = DecontaminationSettings()
    """Against the test questions."""
