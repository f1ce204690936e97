"""What the recipes of all our pipelines share: stages with settings and budgets, checked before anything is started."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from pipelines.digest import ROOT, code_digest
from pipelines.stage import Stage
from sindbad.configuration import input_faults, override, read_mapping, resolve
from sindbad.errors import InvalidInput

RecipeT = TypeVar("RecipeT", bound="PipelineRecipe")


class Budgeted(BaseModel):
    """One stage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    budget_seconds: float = Field(default=60.0, gt=0)
    """Printed beside the measured time; going over is reported, not punished. Changing it runs nothing again."""
    settings: dict[str, Any] = {}
    """The component's own settings (the pydantic model in its file)."""


class PipelineRecipe(BaseModel):
    """A run of one pipeline. A subclass names the pipeline, its stages, and what it needs beside them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    PIPELINE: ClassVar[str]
    """Its name in :data:`pipelines.local.PIPELINES`."""
    COMPONENTS: ClassVar[Mapping[str, str]]
    """Stage -> the file in pipelines/stages, in the order in which the stages run."""

    name: str
    """Shown in the report."""
    description: str = ""
    """One sentence."""
    shared: dict[str, Any] = {}
    """Not read, and not to be assigned to: a place for YAML anchors that stages refer to."""
    stages: dict[str, Budgeted]
    """Every stage of the pipeline by name."""

    @abstractmethod
    def inputs(self, run: Path) -> dict[str, str]:
        """The pipeline's arguments beside its stages."""

    @abstractmethod
    def covered(self, name: str) -> dict[str, Any]:
        """What a stage's digest covers beside its own code and settings: what it reads and no step of the run makes."""

    def settings_of(self, name: str) -> dict[str, Any]:
        """A stage's settings with every default filled in, so that the digest covers them."""
        return self.parsed(name).model_dump(mode="json")

    def parsed(self, name: str) -> BaseModel:
        """A stage's settings as the pydantic model of its file. Raises InvalidInput that names the nearest key."""
        return parse_settings(self.COMPONENTS, name, self.stages[name].settings)

    def stage(self, name: str, run: Path) -> Stage:
        """The stage as the pipeline carries it."""
        settings = self.settings_of(name)
        code = code_digest(f"pipelines.stages.{self.COMPONENTS[name]}")
        covered = json.dumps({**self.covered(name), "settings": settings}, sort_keys=True)
        digest = hashlib.sha256(f"{code}:{covered}".encode()).hexdigest()
        return Stage(name, str(run.resolve()), self.stages[name].budget_seconds, settings, digest)

    def arguments(self, run: Path) -> dict[str, str]:
        """All arguments of the pipeline."""
        return {**self.inputs(run), **{f"{name}_stage": self.stage(name, run).to_json() for name in self.COMPONENTS}}

    def check_inputs(self) -> None:
        """What the run reads and does not make itself is there.

        Raises InvalidInput naming every key at fault and what to do, before anything was started.
        """
        if faults := list(self.faults()):
            raise InvalidInput("; ".join(faults), reason="MISSING_INPUT")

    def faults(self) -> Iterator[str]:
        """One sentence for every input that is not as it should be."""
        for name in self.stages:
            yield from input_faults(self.parsed(name), f"stages.{name}.settings", ROOT)

    @property
    def budgets(self) -> dict[str, float]:
        """Seconds by stage; what is trained from scratch gets what that takes on top."""
        return {name: stage.budget_seconds + self._scratch_seconds(name) for name, stage in self.stages.items()}

    def _scratch_seconds(self, name: str) -> float:
        module = import_module(f"pipelines.stages.{self.COMPONENTS[name]}")
        return float(module.SCRATCH_SECONDS) if getattr(self.parsed(name), "from_scratch", False) else 0.0

    @property
    def budget_seconds(self) -> float:
        """All stages together."""
        return sum(self.budgets.values())


def parse_settings(components: Mapping[str, str], name: str, settings: Mapping[str, Any]) -> BaseModel:
    """The settings of a stage as the pydantic model of its file. Raises InvalidInput that names the nearest key."""
    model: type[BaseModel] = import_module(f"pipelines.stages.{components[name]}").SETTINGS
    return resolve(model, settings, source=f"stages.{name}")


def read_recipe(
    model: type[RecipeT],
    path: str | Path,
    assignments: tuple[str, ...] = (),
    *,
    implied: Mapping[str, Mapping[str, Any]] | None = None,
) -> RecipeT:
    """Read and check a recipe; ``stages.sft.settings.steps=100`` style assignments are laid over it.

    Args:
        implied: stages that a recipe may leave out.

    Raises:
        InvalidInput: names the fault, and the nearest key for a typo, down to every stage's own settings.
    """
    if vain := [text for text in assignments if text.startswith("shared.")]:
        raise InvalidInput(f"{vain[0]}: anchors are copied when the file is read; assign to the stages themselves")
    file = Path(path) if Path(path).exists() else ROOT / path
    values = override(read_mapping(file), assignments)
    if isinstance(values.get("stages"), dict):
        values["stages"] = {**(implied or {}), **values["stages"]}
    recipe = resolve(model, values, source=str(path))
    unknown = set(recipe.stages) ^ set(model.COMPONENTS)
    if unknown:
        raise InvalidInput(f"{path}: stages differ from the pipeline's in {', '.join(sorted(unknown))}")
    for name in recipe.stages:
        recipe.parsed(name)
    return recipe
