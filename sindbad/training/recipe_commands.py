"""A recipe as the commands that run it, stage by stage, in order: what to type, where each result lies.

Covered: every kind of stage, with the paths that a stage's successors read. What is made lies below ``runs/NAME`` and
where the stages' ``out`` say; with ``out``, all of it below one folder. Addresses that the user must supply are in
capitals; models and data that no stage makes are named as the recipe names them.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sindbad.corpus.bilingual_settings import RowsSettings
from sindbad.errors import InvalidInput
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
    references,
)

JUDGE: Final = "http://JUDGE:8000/v1"
MODEL_OPTIONS: Final = ("--endpoint", "--translator")
"""Each names a translator in another way than --model does."""
JUDGE_OPTIONS: Final = ("--judge-model", "--judge-policy")
"""Each names a judge in another way than --judge does."""
Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Places:
    """Where a recipe's results lie.

    Attributes:
        out: one folder for all of them; None as the recipe says.
        added: stage -> further words of its command; an option there takes the place of the recipe's own.
    """

    recipe: Recipe
    file: Path
    out: Path | None = None
    added: Mapping[str, Words] = field(default_factory=dict)

    @property
    def _own(self) -> Path:
        return Path("runs") / self.recipe.name

    @property
    def run(self) -> Path:
        """Models, checkpoints, figures, and what is known of the run."""
        return self.out if self.out is not None else self._own

    def model(self, model: str) -> str:
        """Where the model lies that a stage names: an earlier stage's folder (a reinforced one's weight store), or
        itself."""
        if not model.startswith("@"):
            return model
        made = self.recipe.stage(model[1:])
        if isinstance(made, SFTStage):
            return str(self.run / "models" / f"{made.name}.folder")
        return str(self.run / "models" / made.name if isinstance(made, GRPOStage) else self.run / made.name)

    def path(self, text: str) -> str:
        """A file or folder that a stage names: below ``out`` where a stage makes it, else as it is named."""
        if self.out is None or self.maker(text) is None:
            return text
        return str(self.out / (Path(text).relative_to(self._own) if Path(text).is_relative_to(self._own) else text))

    def maker(self, text: str) -> str | None:
        """The stage that makes the file or folder; None where none does."""
        for stage in self.recipe.stages:
            if isinstance(stage, BilingualStage | CorpusStage) and Path(text).is_relative_to(stage.out):
                return stage.name
        return None

    def needs(self, stage: Stage) -> list[str]:
        """The earlier stages that it reads from; not the one that makes a translator, where another is served."""
        served = set(self.added.get(stage.name, ())) & set(MODEL_OPTIONS)
        named = [one for one in references(stage) if not served or f"@{one}" != stage.model]
        makers = (self.maker(text) for text in _texts(stage))
        return list(dict.fromkeys([*named, *(one for one in makers if one and one != stage.name)]))

    def made(self, stage: Stage) -> list[Path]:
        """What is there when the stage is finished."""
        match stage:
            case BilingualStage():
                return [Path(self.path(stage.out)) / name for name in ("pairs.jsonl", "counts.json")]
            case CorpusStage():
                return [Path(self.path(stage.out)) / "dataset" / "lineage.json"]
            case CompressStage() | SFTStage() | MergeStage():
                return [Path(self.model(f"@{stage.name}")) / "config.json"]
            case MeasureStage():
                return [Path(words[words.index("--json") + 1]) for words in self.words(stage)]
        return []

    def read(self, stage: Stage) -> list[str]:
        """Models, files and folders that the stage reads and that no stage makes."""
        models = [stage.model, getattr(stage, "base", ""), getattr(stage, "judge", "")]
        return list(dict.fromkeys(
            one for one in (*models, *_texts(stage)) if one and not one.startswith("@") and self.maker(one) is None
        ))  # fmt: skip

    def words(self, stage: Stage) -> list[Words]:
        """The commands of one stage, without the program's name."""
        plain, added = list(self._plain(stage)), self.added.get(stage.name, ())
        kind = [_kind(words) for words in plain]
        return [with_added(words, added) if kind[at] == kind[0] else words for at, words in enumerate(plain)]

    def _plain(self, stage: Stage) -> Iterator[Words]:
        run, named = str(self.run), ("--recipe", str(self.file), "--stage", stage.name)
        start = self.model(stage.model)
        match stage:
            case CompressStage():
                scheme = stage.scheme.replace("_", "-")
                yield ("quantize", start, "--out", self.model(f"@{stage.name}"), "--scheme", scheme)
            case BilingualStage():
                yield ("corpus", "pairs", self.path(stage.out), *named, "--model", start, *_judge(stage))
            case CorpusStage():
                out, reuse = self.path(stage.out), self._taken(stage)
                licence = ("--licence", _licence(self.recipe))
                yield ("corpus", "run", out, *named, "--model", start, *licence, *reuse)
                yield ("corpus", "export", out, "--out", f"{out}/dataset")
            case SFTStage():
                begin = ("train", "sft", *named)
                yield (*begin, "--dry-run") if stage.elsewhere else (
                    *begin, "--model", start, "--data", self.path(stage.data), "--run", run
                )  # fmt: skip
            case GRPOStage():
                yield ("train", "grpo", *named, "--model", start, "--questions", stage.questions, "--run", run)
            case MergeStage():
                yield ("merge", *(self.model(one) for one in (stage.base, stage.model, f"@{stage.name}")), *named)
            case EvaluateStage():
                yield ("evaluate", "--questions", stage.questions, *named, "--run", run)
            case MeasureStage():
                yield from self._measuring(stage)

    def _taken(self, stage: CorpusStage) -> Words:
        if not stage.teacher:
            return ()
        teacher = self.recipe.stage(stage.teacher[1:])
        assert isinstance(teacher, BilingualStage)
        return ("--reuse", f"{self.path(teacher.out)}/teacher")

    def _measuring(self, stage: MeasureStage) -> Iterator[Words]:
        models = [(side, self.model(one)) for side, one in (("base", stage.base), ("model", stage.model)) if one]
        figures = self.run / stage.name
        for side, model in models:
            for benchmark in stage.benchmarks:
                json = ("--json", str(figures / f"{benchmark}-{side}.json"))
                yield ("evaluate", "harness", benchmark, "--with", stage.harness, "--model", model, *json)
        if stage.translation:
            both = [word for _, model in models for word in ("--model", model)]
            json = ("--json", str(figures / "translation.json"))
            yield ("evaluate", "translation", self.path(stage.translation), *both, *_asked(self.recipe), *json)


def commands(recipe: Recipe, file: Path, stage: Stage, *, out: Path | None = None) -> list[str]:
    """The command lines of one stage; ``file`` is where the recipe lies."""
    return [shlex.join(("sindbad", *words)) for words in Places(recipe, file, out).words(stage)]


def with_added(words: Words, added: Words) -> Words:
    """A command with further words; an option that they hold replaces the command's own, and another way of naming
    the translator or the judge replaces the one that is there."""
    given = {word.partition("=")[0] for word in added if word.startswith("--")}
    gone = given | ({"--model"} if given & set(MODEL_OPTIONS) else set())
    gone |= {"--judge"} if given & set(JUDGE_OPTIONS) else set()
    kept, skip = [], False
    for word in words:
        if skip or word in gone:
            skip = not skip
        else:
            kept.append(word)
    return (*kept, *added)


def parse_added(texts: Sequence[str], recipe: Recipe) -> dict[str, Words]:
    """``STAGE=WORDS`` of the command line. Raises InvalidInput, NotFound for a stage that is not there."""
    found: dict[str, Words] = {}
    for text in texts:
        name, marked, words = text.partition("=")
        if not marked or not words.strip():
            raise InvalidInput(f"--add {text!r} is not STAGE=WORDS, as in --add 'corpus=--workers 4'")
        try:
            split = tuple(shlex.split(words))
        except ValueError as error:
            raise InvalidInput(f"--add {text!r}: {error}") from error
        found[recipe.stage(name).name] = (*found.get(name, ()), *split)
    return found


def _kind(words: Words) -> Words:
    return words[:2]


def _texts(stage: Stage) -> Iterator[str]:
    """Files and folders that a stage names in its fields and in its sources."""
    yield from (found for name in ("data", "translation", "questions") if (found := getattr(stage, name, "")))
    if isinstance(stage, CorpusStage):
        yield from _sources(stage.rows)
    if isinstance(stage, BilingualStage):
        pairs = stage.pairs
        yield from _sources(pairs.teacher) if pairs.teacher is not None else ()
        named = (*(pairs.parallel.sources if pairs.parallel is not None else ()), *pairs.tests)
        yield from _paths(named)


def _sources(rows: RowsSettings) -> Iterator[str]:
    yield from _paths(rows.sources)


def _paths(sources: Sequence[str]) -> Iterator[str]:
    from sindbad.corpus.sources import path_in

    yield from (path for text in sources if (path := path_in(text)))


def _judge(stage: BilingualStage) -> Words:
    if stage.pairs.parallel is None or not stage.judge:
        return ()
    return ("--judge-model", stage.judge) if Path(stage.judge).is_dir() else ("--judge", JUDGE)


def _asked(recipe: Recipe) -> Words:
    """How the recipe's translator is asked: in the prompt and the direction of its supervision."""
    pairs = next((stage.pairs for stage in reversed(recipe.stages) if isinstance(stage, BilingualStage)), None)
    if pairs is None:
        return ("--prompt", "light")
    columns = ("--source-column", pairs.source, "--target-column", pairs.target)
    return ("--prompt", pairs.style.value, *(columns if (pairs.source, pairs.target) != ("en", "ar") else ()))


def _licence(recipe: Recipe) -> str:
    """What a translator inherits that was supervised by the recipe's own teacher."""
    owed = [stage.licence for stage in recipe.stages if isinstance(stage, BilingualStage)]
    return owed[-1] if owed else "unknown"
