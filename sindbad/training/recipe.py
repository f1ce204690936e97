"""Recipes: one YAML a published method, resolved to one printable configuration.

A recipe is a list of stages; a stage's ``model`` is a public model id, a folder, or ``@name`` of an earlier stage.
Whatever a paper does not state is listed under ``our_choices`` by its path (``rl.grpo.rollout.group_size``), so that a
reader, and a test, can tell a fact from a decision. A typo is an error that names the nearest key.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from sindbad.agent.config import AgentConfig
from sindbad.agent.trajectory import EnvironmentKind
from sindbad.configuration import read_mapping, resolve
from sindbad.corpus.bilingual_settings import PairsSettings, RowsSettings
from sindbad.curation.background import BackgroundConfig
from sindbad.curation.graph_synthesis import GraphSynthesisConfig
from sindbad.curation.state import CuratorConfig
from sindbad.errors import InvalidInput, NotFound, SindbadError
from sindbad.evaluation.agent import EvaluationConfig
from sindbad.training.configuration import GRPOConfig, MergeConfig, SFTConfig


class _Stage(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    """Unique in the recipe; names folders and ids."""
    model: str
    """Where the weights start: a public model id, a folder, or @stage."""
    about: str = ""
    """Where the paper says so."""


class CompressStage(_Stage):
    """Quantise the weights of every Linear but the head."""

    kind: Literal["compress"]
    scheme: Literal["fp8_dynamic"] = "fp8_dynamic"
    """float8_e4m3, one static scale an output channel, activation scales per token at run time."""


class SFTStage(_Stage):
    """Supervised fine-tuning."""

    kind: Literal["sft"]
    data: str
    """A public data-set id, or a path: trajectory shards, an exported corpus, or a JSONL of pairs or messages."""
    sft: SFTConfig = SFTConfig()
    """The training run."""
    elsewhere: bool = False
    """Trained by another program, with these settings: its folder is used once it is here, and never made here."""


class MergeStage(_Stage):
    """SLERP of ``model`` (tuned) with its base."""

    kind: Literal["merge"]
    base: str
    """The model at t = 0."""
    merge: MergeConfig = MergeConfig()
    """The interpolation."""


class GRPOStage(_Stage):
    """Reinforcement learning with verifiable answers."""

    kind: Literal["grpo"]
    questions: str
    """A public data-set id, or a JSONL of questions."""
    environment: EnvironmentKind = EnvironmentKind.SIMULATED
    """Where tool calls go."""
    tools: tuple[str, ...] = ("search", "visit")
    """Offered to the policy."""
    prompts: str = "full"
    """Prompt set: a name or a file."""
    agent: AgentConfig = AgentConfig()
    """Limits and paradigm of an attempt."""
    grpo: GRPOConfig = GRPOConfig()
    """The learner."""
    curator: CuratorConfig | None = None
    """The data-policy feedback loop; null trains on a fixed set."""
    profile_attempts: int = Field(default=4, ge=2)
    """Rollouts a question with the starting weights, from which the curator takes its first active set."""
    background: BackgroundConfig | None = None
    """Sample all of D with intermediate checkpoints beside training; needs a curator."""
    synthesis: GraphSynthesisConfig | None = None
    """At every refresh, ask the generator for more of what fails; needs a curator, and a background to measure it."""


class SupervisionSizes(BaseModel):
    """What a paper says of its supervision. The numbers must add up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    teacher_rows: int = Field(ge=0)
    """Instruction rows that the teacher translates."""
    teacher_pairs: int = Field(ge=0)
    """Two of each: question and answer count separately."""
    candidates: int = Field(ge=0)
    """Parallel pairs that the judge sees."""
    judged_pairs: int = Field(ge=0)
    """Those that it accepts."""
    pairs: int = Field(ge=1)
    """Both halves together."""
    rounded: int = Field(ge=1)
    """The sum as the paper writes it; it may be off by one per cent."""

    @model_validator(mode="after")
    def _add_up(self) -> SupervisionSizes:
        if self.teacher_pairs != 2 * self.teacher_rows:
            raise ValueError(
                f"{self.teacher_rows:,} rows give {2 * self.teacher_rows:,} pairs, not {self.teacher_pairs:,}"
            )
        if self.judged_pairs > self.candidates:
            raise ValueError(f"{self.judged_pairs:,} of {self.candidates:,} candidates cannot be accepted")
        if self.pairs != self.teacher_pairs + self.judged_pairs:
            raise ValueError(
                f"{self.teacher_pairs:,} and {self.judged_pairs:,} pairs are "
                f"{self.teacher_pairs + self.judged_pairs:,}, not {self.pairs:,}"
            )
        if abs(self.rounded - self.pairs) > 0.01 * self.pairs:
            raise ValueError(f"{self.rounded:,} is no rounding of {self.pairs:,}")
        return self


def _here(text: str) -> str:
    if "://" in text:
        raise ValueError(f"{text} must be a folder of this machine: later stages read it; rows on other storage are "
                         "`sindbad corpus run URL` and `sindbad corpus export` by hand")  # fmt: skip
    return text


Folder = Annotated[str, AfterValidator(_here)]


class BilingualStage(_Stage):
    """What the light translator is supervised with: a teacher's (``model``) translations, and judged parallel text."""

    kind: Literal["bilingual"]
    licence: str
    """Of the teacher; inherited by all that it writes."""
    judge: str = ""
    """The model that judges: a folder here, or the name of one whose place is said on the command line; empty: rules
    alone."""
    pairs: PairsSettings
    """Both halves."""
    out: Folder
    """Folder of pairs.jsonl."""
    stated: SupervisionSizes | None = None
    """The paper's own numbers; null where there is none."""

    @model_validator(mode="after")
    def _as_stated(self) -> BilingualStage:
        if self.stated is None:
            return self
        asked = (
            self.pairs.teacher.rows if self.pairs.teacher else 0,
            self.pairs.parallel.candidates if self.pairs.parallel else 0,
        )
        if asked != (self.stated.teacher_rows, self.stated.candidates):
            raise ValueError(f"stage {self.name} asks for {asked} rows and candidates; stated are others")
        return self


class CorpusStage(_Stage):
    """Instruction rows through the light translator (``model``) and the filters."""

    kind: Literal["corpus"]
    rows: RowsSettings
    """Which rows, and how they are asked."""
    out: Folder
    """Folder of the job, and of the data set below it."""
    teacher: str = ""
    """@stage of a bilingual stage: what its teacher translated of these rows is taken over, not translated again."""
    stated_rows: int | None = Field(default=None, ge=1)
    """About so many samples, as the paper writes it."""


class MeasureStage(_Stage):
    """A model through a benchmark harness, and as a translator."""

    kind: Literal["measure"]
    base: str = ""
    """Measured beside it."""
    benchmarks: tuple[str, ...] = ()
    """Names of ``sindbad evaluate harness``."""
    harness: Literal["lm-eval", "lighteval"] = "lighteval"
    """Which harness asks."""
    translation: str = ""
    """Data of source sentences and references, for BLEU and chrF++; empty measures none."""

    @model_validator(mode="after")
    def _known(self) -> MeasureStage:
        from sindbad.evaluation.harness.benchmarks import Harness, find_benchmark

        try:
            for name in self.benchmarks:
                find_benchmark(name).tasks(Harness(self.harness))
        except SindbadError as error:
            raise ValueError(error.message) from error
        return self


class EvaluateStage(_Stage):
    """Ask held-out questions."""

    kind: Literal["evaluate"]
    questions: str
    """A public data-set id, or a JSONL of questions."""
    environment: EnvironmentKind = EnvironmentKind.LIVE
    """Where tool calls go."""
    tools: tuple[str, ...] = ("search", "visit")
    """Offered to the policy."""
    prompts: str = "full"
    """Prompt set: a name or a file."""
    agent: AgentConfig = AgentConfig()
    """Limits and paradigm of an attempt."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Attempts and seeds."""


Stage = Annotated[
    CompressStage | BilingualStage | SFTStage | CorpusStage | MergeStage | GRPOStage | EvaluateStage | MeasureStage,
    Field(discriminator="kind"),
]


class Recipe(BaseModel):
    """A method, stage by stage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """Short name."""
    source: str
    """The paper, with its identifier."""
    stages: tuple[Stage, ...] = Field(min_length=1)
    """In order."""
    our_choices: dict[str, str] = Field(default_factory=dict)
    """Path of every value that the paper does not state -> why we chose it."""

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        seen: set[str] = set()
        for stage in self.stages:
            for reference in references(stage):
                if reference not in seen:
                    raise ValueError(f"stage {stage.name} starts from @{reference}, which no earlier stage makes")
            if isinstance(stage, CorpusStage) and stage.teacher:
                self._check_teacher(stage)
            if stage.name in seen:
                raise ValueError(f"two stages are called {stage.name}")
            seen.add(stage.name)
        for path in self.our_choices:
            self.value_at(path)
        return self

    def _check_teacher(self, stage: CorpusStage) -> None:
        named = {one.name: one for one in self.stages}.get(stage.teacher.removeprefix("@"))
        if not stage.teacher.startswith("@") or not isinstance(named, BilingualStage) or named.pairs.teacher is None:
            raise ValueError(
                f"stage {stage.name} takes over what {stage.teacher} translated: that is no bilingual stage with a "
                "teacher (write @NAME)"
            )

    def stage(self, name: str) -> Stage:
        """The stage of that name. Raises NotFound naming the nearest."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise NotFound(f"recipe {self.name} has no stage {name!r}{_nearest(name, [s.name for s in self.stages])}")

    def only(self, kind: str, name: str | None) -> Any:
        """The stage named, or the only one of its kind. Raises NotFound or InvalidInput."""
        found = [stage for stage in self.stages if stage.kind == kind and name in (None, stage.name)]
        if name is not None and not found:
            self.stage(name)
        if len(found) != 1:
            names = ", ".join(stage.name for stage in self.stages if stage.kind == kind) or "none"
            raise InvalidInput(f"choose one {kind} stage of recipe {self.name} with --stage: {names}")
        return found[0]

    def value_at(self, path: str) -> Any:
        """The resolved value at ``stage.field.field``. Raises ValueError when there is none."""
        first, *rest = path.split(".")
        holder: Any = next((stage for stage in self.stages if stage.name == first), None)
        for part in rest:
            if part not in getattr(type(holder), "model_fields", {}):
                raise ValueError(f"our_choices names {path}, which is no value of this recipe")
            holder = getattr(holder, part)
        if holder is None and not rest:
            raise ValueError(f"our_choices names {path}, which is no stage of this recipe")
        return holder


def references(stage: Stage) -> list[str]:
    """Names of the earlier stages whose results a stage names with "@"."""
    named = (stage.model, getattr(stage, "base", ""), getattr(stage, "teacher", ""))
    return list(dict.fromkeys(one[1:] for one in named if one.startswith("@")))


def load_recipe(path: Path) -> Recipe:
    """Read and resolve a recipe. Raises NotFound, or InvalidInput that names the key and the nearest one."""
    if not path.is_file():
        raise NotFound(f"there is no recipe {path}")
    return resolve(Recipe, read_mapping(path), source=str(path))


def dump_recipe(recipe: BaseModel) -> str:
    """The resolved configuration as YAML: what --dry-run prints."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"
