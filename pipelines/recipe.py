"""A run of the mission as one YAML: settings and a time budget for every stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import model_validator

from pipelines.digest import ROOT
from pipelines.encyclopedia import EncyclopediaSettings
from pipelines.judge_model import SCRATCH_SECONDS as JUDGE_SECONDS
from pipelines.judge_model import STAGE as JUDGE
from pipelines.judge_model import JudgeModel
from pipelines.plan import Budgeted, PipelineRecipe, parse_settings, read_recipe
from sindbad.errors import SindbadError
from sindbad.supervisor.spec import read_specs
from sindbad.weights.folder import check_model_folder

ENCYCLOPEDIA = "index"
"""The stage whose settings are the recipe's ``encyclopedia``; a recipe need not name it."""
COMPONENTS = {
    "index": "index",
    "teacher": "teacher", "compress": "compress", "pairs": "bilingual_pairs", "translator": "light_translator",
    "questions": "questions", "base": "base_agent", "cold_start": "cold_start", "corpus": "corpus", "sft": "sft",
    "merge": "merge", "curate": "curate", "rl_sim": "rl", "refresh": "curate", "rl_live": "rl",
    "evaluate_base": "evaluate", "evaluate_sft": "evaluate", "evaluate_merged": "evaluate",
    "evaluate_rl_sim": "evaluate", "evaluate_rl_live": "evaluate", "evaluate_react": "evaluate", "report": "report",
}  # fmt: skip
"""Stage -> the file in pipelines/stages, in the order in which the stages run."""
INDEX_SECONDS = 5.0
"""Budget of the stage `index` where a recipe names none: on a laptop there is nothing left to do."""


FROM_SCRATCH = (
    "stages.teacher.settings.from_scratch=true", "stages.base.settings.from_scratch=true", "judge.from_scratch=true",
)  # fmt: skip
"""Assignments that make a run train every model itself."""


class MissionRecipe(PipelineRecipe):
    """The whole mission. The stage `index`, which `encyclopedia` says everything about, may be left out."""

    PIPELINE: ClassVar[str] = "mission"
    COMPONENTS: ClassVar[Mapping[str, str]] = COMPONENTS

    encyclopedia: EncyclopediaSettings = EncyclopediaSettings()
    """The worlds."""
    judge: JudgeModel = JudgeModel()
    """The judge's model, where the run makes one of its own."""
    services: Path = Path("recipes/services.yaml")
    """What `sindbad up` starts, relative to the repository."""

    @model_validator(mode="after")
    def _index_says_nothing_else(self) -> MissionRecipe:
        if self.stages.get(ENCYCLOPEDIA, Budgeted()).settings:
            raise ValueError("stages.index has no settings of its own: set `encyclopedia`")
        return self

    def inputs(self, run: Path) -> dict[str, str]:
        """The folder of worlds."""
        return {"encyclopedia_uri": str((run / "worlds").resolve())}

    def covered(self, name: str) -> dict[str, Any]:
        """Worlds lie at the same place whatever is in them, so their settings are part of every step's digest."""
        return {"encyclopedia": self.encyclopedia.model_dump(mode="json")}

    def settings_of(self, name: str) -> dict[str, Any]:
        """As every recipe's; those of `index` are the worlds'."""
        return self.encyclopedia.model_dump(mode="json") if name == ENCYCLOPEDIA else super().settings_of(name)

    def faults(self) -> Iterator[str]:
        """Models, the services and their models."""
        yield from super().faults()
        try:
            specs = read_specs(ROOT / self.services)
        except SindbadError as error:
            yield f"services: {error.message}"
            return
        for spec in specs:
            folder = (spec.settings.get("model") or {}).get("directory")
            if spec.name == JUDGE and self.judge.from_scratch:
                continue
            if folder and "${" not in str(folder):  # what lies below the run is made by it
                try:
                    check_model_folder(ROOT / folder)
                except SindbadError as error:
                    key = f"services.{spec.name}.settings.model.directory"
                    yield f"{key}: {error.message}; name another folder in {self.services}"

    @property
    def budgets(self) -> dict[str, float]:
        """As every recipe's, and the judge's training where there is one."""
        return {JUDGE: JUDGE_SECONDS, **super().budgets} if self.judge.from_scratch else super().budgets


def load_recipe(path: str | Path, assignments: tuple[str, ...] = ()) -> MissionRecipe:
    """Read and check a recipe with assignments laid over it; raises as :func:`pipelines.plan.read_recipe`."""
    return read_recipe(
        MissionRecipe, path, assignments, implied={ENCYCLOPEDIA: {"budget_seconds": INDEX_SECONDS}}
    )  # fmt: skip


def checked_settings(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of one of the mission's stages with every default filled in."""
    return parse_settings(COMPONENTS, name, settings).model_dump(mode="json")
