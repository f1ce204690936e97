"""A recipe as the commands that run it, stage by stage, in order: what to type, where each result lies.

Covered: every kind of stage, with the paths that a stage's successors read. What has no command yet is a line that
begins with "#" and says so; addresses and public models that the user must supply are in capitals or by their name.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from sindbad.training.recipe import (
    BilingualStage,
    CompressStage,
    CorpusStage,
    EvaluateStage,
    GRPOStage,
    MeasureStage,
    MergeStage,
    Recipe,
    SFTStage,
    Stage,
)

JUDGE = "http://JUDGE:8000/v1"


def commands(recipe: Recipe, file: Path, stage: Stage) -> list[str]:
    """The command lines of one stage; ``file`` is where the recipe lies."""
    run, named = f"runs/{recipe.name}", ("--recipe", str(file), "--stage", stage.name)
    start = place_of(recipe, stage.model)
    match stage:
        case CompressStage():
            scheme = stage.scheme.replace("_", "-")
            return [_line("quantize", start, "--out", place_of(recipe, f"@{stage.name}"), "--scheme", scheme)]
        case BilingualStage():
            return [_line("corpus", "pairs", stage.out, *named, "--model", start, "--judge", JUDGE)]
        case CorpusStage():
            licences = _licence(recipe)
            return [
                _line("corpus", "run", stage.out, *named, "--model", start, "--licence", licences),
                _line("corpus", "export", stage.out, "--out", f"{stage.out}/dataset"),
            ]
        case SFTStage():
            return [_line("train", "sft", *named, "--model", start, "--data", stage.data, "--run", run)]
        case GRPOStage():
            return [_line("train", "grpo", *named, "--model", start, "--questions", stage.questions, "--run", run)]
        case MergeStage():
            places = (place_of(recipe, one) for one in (stage.base, stage.model, f"@{stage.name}"))
            return [_line("merge", *places, *named)]
        case EvaluateStage():
            return [_line("evaluate", "--questions", stage.questions, *named, "--run", run)]
        case MeasureStage():
            return _measuring(recipe, stage)


def place_of(recipe: Recipe, model: str) -> str:
    """Where the model lies that a stage names: an earlier stage's folder, or itself."""
    if not model.startswith("@"):
        return model
    run, made = f"runs/{recipe.name}", recipe.stage(model[1:])
    if isinstance(made, SFTStage):
        return f"{run}/models/{made.name}.folder"
    return f"{run}/{made.name}"


def _measuring(recipe: Recipe, stage: MeasureStage) -> list[str]:
    models = [place_of(recipe, one) for one in (stage.base, stage.model) if one]
    found = [
        _line("evaluate", "harness", benchmark, "--with", stage.harness, "--model", model)
        for model in models
        for benchmark in stage.benchmarks
    ]
    if stage.translation:
        both = [word for model in models for word in ("--model", model)]
        found.append(_line("evaluate", "translation", stage.translation, *both, "--prompt", "light"))
    return found


def _licence(recipe: Recipe) -> str:
    """What a translator inherits that was supervised by the recipe's own teacher."""
    owed = [stage.licence for stage in recipe.stages if isinstance(stage, BilingualStage)]
    return owed[-1] if owed else "unknown"


def _line(*words: str) -> str:
    return shlex.join(("sindbad", *words))
