"""A run of translate-and-tune as one YAML, and the folder of data that it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from pipelines.plan import PipelineRecipe, read_recipe
from sindbad.corpus.address import digest
from sindbad.corpus.sources import HELD_OUT, data_files, path_in
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

_TRAINED_ON = (
    "stages.parallel.settings.train.", "stages.parallel.settings.teacher.", "stages.corpus.settings.sources.",
)  # fmt: skip


class TuneRecipe(PipelineRecipe):
    """HALA on real data."""

    PIPELINE: ClassVar[str] = "translate_and_tune"
    COMPONENTS: ClassVar[Mapping[str, str]] = COMPONENTS

    data: Path | None = None
    """The folder that the stages' paths start from; null where all training data is public."""
    our_choices: dict[str, str] = Field(default_factory=dict)
    """What the paper leaves open -> what we chose, and why."""

    def inputs(self, run: Path) -> dict[str, str]:
        """The folder of data; one that nothing is read from where none is given."""
        return {"data_uri": str((self.data or run / "no-data").resolve())}

    def covered(self, name: str) -> dict[str, Any]:
        """The files that the stage reads, by content: a changed file runs the stage again, and what depends on it."""
        return {"data": {key: _digest(path) for key, path in self._files(name) if path.exists()}}

    def faults(self) -> Iterator[str]:
        """Models, and every file of the data."""
        yield from super().faults()
        if self.data is not None and not self.data.is_dir():
            yield f"data: {self.data} is no folder; give the one that holds your files with --data"
            return
        files = [(key, path) for name in self.stages for key, path in self._files(name)]
        if missing := [f"{path} ({key})" for key, path in files if not path.exists()]:
            yield f"there is no {', '.join(missing)}; give the folder that holds them with --data, or change the recipe"
        for key, path in files:
            if HELD_OUT in path.name and key.startswith(_TRAINED_ON):
                yield f"{key}: {path} is marked {HELD_OUT}: it measures models and must not be trained on"

    def _files(self, name: str) -> Iterator[tuple[str, Path]]:
        """Key and path of everything that a stage reads below the data."""
        root, settings = self.data or Path(), self.settings_of(name)
        if name == "parallel":
            groups = ("tests",) if settings["from_hub"] else ("train", "tests")
            found = [(f"{group}.{key}", file["path"]) for group in groups for key, file in settings[group].items()]
            taught = enumerate(settings["teacher"]["sources"] if settings["teacher"] else ())
            found += [(f"teacher.sources.{number}", path) for number, text in taught if (path := path_in(text))]
        elif name == "corpus" and not settings["from_hub"]:
            texts = enumerate(settings["sources"])
            found = [(f"sources.{number}", path_in(text)) for number, text in texts]
        elif name == "evaluate":
            found = [(f"texts.{key}", file["path"]) for key, file in settings["texts"].items()]
            found += [(f"choice.{key}", path) for key, path in settings["choice"].items()]
        else:
            found = []
        yield from ((f"stages.{name}.settings.{key}", root / path) for key, path in found)


def _digest(path: Path) -> str:
    """Content of a file, or of a folder's data files with their names."""
    if path.is_file():
        return file_sha256(path)
    return digest([[file.name, file_sha256(file)] for file in data_files(path)])


def load_tune_recipe(path: str | Path, assignments: tuple[str, ...] = ()) -> TuneRecipe:
    """Read and check a recipe with assignments laid over it; raises as :func:`pipelines.plan.read_recipe`."""
    return read_recipe(TuneRecipe, path, assignments)
