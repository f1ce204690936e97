"""A run of translate-and-tune as one YAML, and the folder of data that it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from pipelines.plan import PipelineRecipe, read_recipe
from sindbad.corpus.parallel import ParallelFile
from sindbad.weights.manifest import file_sha256

COMPONENTS = {
    "parallel": "parallel_text", "translator": "text_translator", "corpus": "instruction_corpus",
    "base": "small_base", "sft": "sft", "merge": "merge", "evaluate": "tuned_models", "report": "tune_report",
}  # fmt: skip
"""Stage -> the file in pipelines/stages, in the order in which the stages run."""
FROM_HUB = (
    "stages.parallel.settings.from_hub=true", "stages.parallel.settings.tests={}",
    "stages.corpus.settings.from_hub=true",
    "stages.evaluate.settings.texts={}", "stages.evaluate.settings.choice={}",
)  # fmt: skip
"""Assignments that make a run read the recipe's public data sets and no file."""


class TuneRecipe(PipelineRecipe):
    """HALA on real data."""

    PIPELINE: ClassVar[str] = "translate_and_tune"
    COMPONENTS: ClassVar[Mapping[str, str]] = COMPONENTS

    data: Path | None = None
    """The folder that the stages' paths start from; null where all training data is public."""
    our_choices: dict[str, str] = Field(default_factory=dict)
    """What the paper leaves open -> what we chose, and why."""

    def inputs(self, run: Path) -> dict[str, str]:
        """The folder of data; an empty one of the run where none is given."""
        folder = self.data or run / "no-data"
        if self.data is None:
            folder.mkdir(parents=True, exist_ok=True)
        return {"data_uri": str(folder.resolve())}

    def covered(self) -> dict[str, Any]:
        """The files that are read, by content: a changed file runs what depends on it again."""
        return {"data": {name: file_sha256(file) for name, file in self._files() if file.is_file()}}

    def faults(self) -> Iterator[str]:
        """Models, and every file of the data."""
        yield from super().faults()
        if self.data is not None and not self.data.is_dir():
            yield f"data: {self.data} is no folder; give the one that holds your files with --data"
            return
        if missing := [f"{file} ({name})" for name, file in self._files() if not file.exists()]:
            yield f"there is no {', '.join(missing)}; give the folder that holds them with --data, or change the recipe"

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Key and path of everything that the stages read below the data."""
        root = self.data or Path()
        chosen = {name: self.parsed(name).model_dump() for name in ("parallel", "corpus", "evaluate")}
        groups: list[tuple[str, dict[str, Any]]] = [
            *([] if chosen["parallel"]["from_hub"] else [("parallel.settings.train", chosen["parallel"]["train"])]),
            ("parallel.settings.tests", chosen["parallel"]["tests"]),
            ("evaluate.settings.texts", chosen["evaluate"]["texts"]),
            ("evaluate.settings.choice", chosen["evaluate"]["choice"]),
        ]
        for key, files in groups:
            for name, file in files.items():
                path = ParallelFile.model_validate(file).path if isinstance(file, dict) else file
                yield f"stages.{key}.{name}", root / path
        if not chosen["corpus"]["from_hub"]:
            for text in chosen["corpus"]["sources"]:
                path = text.partition("@")[0].partition("=")[2]
                yield "stages.corpus.settings.sources", root / path


def load_tune_recipe(path: str | Path, assignments: tuple[str, ...] = ()) -> TuneRecipe:
    """Read and check a recipe with assignments laid over it; raises as :func:`pipelines.plan.read_recipe`."""
    return read_recipe(TuneRecipe, path, assignments)
