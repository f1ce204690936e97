"""A recipe run as one: its stages in order, each command in a child process, resumed where it was stopped.

What is known of a stage lies in ``RUN/recipe/STAGE.json``, its words in ``STAGE.log``. A stage is finished when all its
commands ended well and what it makes is there; it stays finished while its digest is the same: its settings and further
words (but for where something is served, on what device, by how many workers), the content of the files that it reads
and that no stage makes, and the digests of the stages that it reads from. So a changed stage runs again with all that
depends on it, and nothing else does. A stage that was stopped runs its unfinished commands again, which go on by
themselves (corpus jobs, pairs, sft); where its digest changed meanwhile, its checkpoints are moved aside, because they
are another training's. Of files above 64 MiB the size and some samples count, not the whole. One run a folder.

Not covered: stages that need running services (grpo, evaluate); those are refused before anything starts.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from sindbad import atomic
from sindbad.corpus.address import digest
from sindbad.errors import EngineFailure, InvalidInput, NotFound, Overloaded, SindbadError
from sindbad.journal import NO_LOCKS
from sindbad.training.recipe import EvaluateStage, GRPOStage, MeasureStage, Recipe, SFTStage, Stage
from sindbad.training.recipe_commands import JUDGE, Places, Words

KNOWN: Final = "recipe"
"""Folder below the run's: stamps, logs, lock."""
WHERE: Final = frozenset({
    "--judge", "--endpoint", "--translator", "--judge-policy", "--workers", "--device", "--threads", "--batch",
    "--deadline", "--python", "--keep", "--storage",
})  # fmt: skip
"""Options with a value that decide where and how fast, not what."""
FLAGS: Final = frozenset({"--retry", "--no-retry"})
"""The same without a value."""
TOLD: Final[Any] = {
    "about": True, "stated": True, "stated_rows": True,
    "sft": {"threads", "token_budget", "checkpoint_every", "validate_every", "log_every"},
}  # fmt: skip
"""Settings that decide nothing of what a stage makes: what a paper says of it, and how a training goes about it."""
LARGE: Final = 64 << 20
SAMPLE: Final = 1 << 20
_FORMAT: Final = 1

Execute = Callable[[Words, Path], None]
"""Runs a command of ours to its end, its words behind those in a log. Raises EngineFailure where it failed."""


class State(StrEnum):
    """What became of a stage in this run."""

    DONE = "done"
    KEPT = "finished before"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One stage. ``why``: of a skipped one."""

    stage: str
    state: State
    seconds: float = 0.0
    why: str = ""


@dataclass(slots=True)
class _Stamp:
    """What is known of a stage: ``finished`` commands of a digest, and whether that is all of them."""

    digest: str = ""
    commands: list[int] = field(default_factory=list)
    finished: bool = False
    seconds: float = 0.0

    @classmethod
    def read(cls, path: Path) -> _Stamp:
        """An empty one where there is none, or one that cannot be read: the stage runs again, and resumes."""
        try:
            found = json.loads(path.read_text("utf-8"))
            return cls(str(found["digest"]), list(found["commands"]), bool(found["finished"]), float(found["seconds"]))
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def write(self, path: Path, stage: str) -> None:
        known = {"digest": self.digest, "commands": self.commands, "finished": self.finished, "seconds": self.seconds}
        atomic.write_json(path, {"stage": stage, **known})


class RecipeRun:
    """One run of a recipe's stages.

    Args:
        chosen: names of the stages to run; the others are left as they are.
        say: told a line for people. execute: see :data:`Execute`.

    Raises:
        InvalidInput: a stage needs services, an address is missing, or an earlier stage that was not chosen has
            nothing to give.
    """

    def __init__(
        self, places: Places, chosen: Sequence[str], *, say: Callable[[str], object], execute: Execute
    ) -> None:
        self.places, self.chosen, self._say, self._execute = places, list(chosen), say, execute
        self.folder = places.run / KNOWN
        self._digests: dict[str, str] = {}
        self._skipped: dict[str, str] = {}
        for name in self.chosen:
            self._check(places.recipe.stage(name))

    def log(self, stage: str) -> Path:
        """Where the words of a stage's commands are."""
        return self.folder / f"{stage}.log"

    def run(self) -> list[Outcome]:
        """All chosen stages, in order. Raises Overloaded where another run has the folder, EngineFailure for the first
        stage that failed."""
        found: list[Outcome] = []
        with _alone(self.folder / "lock"):
            self._tell_missing()
            for name in (stage.name for stage in self.places.recipe.stages):
                if name in self.chosen:
                    number = self.chosen.index(name) + 1
                    found.append(self._stage(self.places.recipe.stage(name), f"[{number}/{len(self.chosen)}] {name}"))
        return found

    # -- one stage -------------------------------------------------------------------------------------------------

    def _stage(self, stage: Stage, title: str) -> Outcome:
        if why := self._why_not(stage):
            self._skipped[stage.name] = why
            self._say(f"{title}: skipped, {why}")
            return Outcome(stage.name, State.SKIPPED, why=why)
        mark, path = self._digest(stage), self._stamp(stage.name)
        self._digests[stage.name] = mark
        known = _Stamp.read(path)
        if _elsewhere(stage):
            self._say(f"{title}: made elsewhere, found at {self.places.made(stage)[0].parent}")
            return Outcome(stage.name, State.KEPT)
        if known.finished and known.digest == mark and self._there(stage):
            self._say(f"{title}: finished before ({known.seconds:.0f} s)")
            return Outcome(stage.name, State.KEPT, known.seconds)
        self._begin(stage, title, known, mark)
        self._run_commands(stage, title, known)
        self._say(f"{title}: done in {known.seconds:.1f} s")
        return Outcome(stage.name, State.DONE, known.seconds)

    def _begin(self, stage: Stage, title: str, known: _Stamp, mark: str) -> None:
        """A stamp of this digest, with what was done of it; says what happens."""
        self._check_addresses(stage)
        if known.digest == mark and not known.finished:
            said = f"goes on (command {len(known.commands) + 1})" if known.commands else "goes on"
        elif known.digest == mark:
            known.commands, known.finished, known.seconds = [], False, 0.0
            said = "runs again, what it made is gone"
        else:
            said = "runs again, it or what it reads has changed" if known.digest else "runs"
            if known.digest:
                self._set_aside(stage)
            known.digest, known.commands, known.finished, known.seconds = mark, [], False, 0.0
        known.write(self._stamp(stage.name), stage.name)
        self._say(f"{title} ({stage.kind}): {said}; its words are in {self.log(stage.name)}")

    def _run_commands(self, stage: Stage, title: str, known: _Stamp) -> None:
        """Those that are not done yet; the stamp tells after each."""
        commands, log, before, begun = self.places.words(stage), self.log(stage.name), known.seconds, time.monotonic()
        for number, words in enumerate(commands):
            if number in known.commands:
                continue
            line = f"  $ {shlex.join(('sindbad', *words))}"
            self._say(line)
            with log.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
            try:
                self._execute(words, log)
            except EngineFailure as error:
                first, *more = error.message.strip().splitlines()
                said = " ".join([first, *more[-1:]])
                raise EngineFailure(f"{title}: {said}\nits words are in {log}", reason="STAGE_FAILED") from error
            known.commands.append(number)
            known.seconds = before + time.monotonic() - begun
            known.finished = len(known.commands) == len(commands)
            known.write(self._stamp(stage.name), stage.name)

    def _set_aside(self, stage: Stage) -> None:
        """Checkpoints of other settings or other data would be gone on from."""
        if not isinstance(stage, SFTStage):
            return
        from sindbad.training.configuration import RunPaths

        paths, aside = RunPaths.under(self.places.run, stage.name), self.folder / "before" / stage.name
        if paths.checkpoints.exists():
            shutil.rmtree(aside, ignore_errors=True)
            aside.parent.mkdir(parents=True, exist_ok=True)
            os.replace(paths.checkpoints, aside)
            self._say(f"  checkpoints of its earlier settings are in {aside} now")

    def _there(self, stage: Stage) -> bool:
        return all(path.exists() for path in self.places.made(stage))

    def _stamp(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    # -- whether a stage can run -----------------------------------------------------------------------------------

    def _why_not(self, stage: Stage) -> str:
        """Why a stage is passed over; "" where it is not."""
        if _elsewhere(stage):
            return self._absent(stage)
        for name in self.places.needs(stage):
            if name in self._skipped:
                return f"it needs {name}"
            needed = self.places.recipe.stage(name)
            if _elsewhere(needed) and self._absent(needed):
                return f"it needs {name}, which is made elsewhere and is not here"
            if name not in self.chosen and not self._there(needed):
                raise InvalidInput(
                    f"stage {stage.name} needs what {name} makes, and {self.places.made(needed)[0]} is not there: run "
                    f"{name} too (--from {name})"
                )
        return ""

    def _absent(self, stage: Stage) -> str:
        from sindbad.weights.folder import check_model_folder

        folder = self.places.made(stage)[0].parent
        try:
            check_model_folder(folder)
        except SindbadError as error:
            return f"it is made elsewhere, and its folder is not here yet ({error.message})"
        return ""

    def _check(self, stage: Stage) -> None:
        """Raise InvalidInput for what could be known before the first stage has run for days."""
        if isinstance(stage, GRPOStage | EvaluateStage):
            raise InvalidInput(
                f"stage {stage.name} ({stage.kind}) needs running services and is started by hand: run the others with "
                "--only, and see `sindbad recipe FILE` for its command"
            )
        if not _Stamp.read(self._stamp(stage.name)).finished:
            self._check_addresses(stage)

    def _check_addresses(self, stage: Stage) -> None:
        if any(JUDGE in words for words in self.places.words(stage)):
            raise InvalidInput(
                f"say where {getattr(stage, 'judge', 'the judge')} judges: --add '{stage.name}=--judge URL', or "
                f"--add '{stage.name}=--judge-model FOLDER'"
            )

    def _tell_missing(self) -> None:
        """What a later stage will ask for and is not here: to be got while the others run."""
        missing: dict[str, list[str]] = {}
        for stage in map(self.places.recipe.stage, self.chosen):
            if not _Stamp.read(self._stamp(stage.name)).finished:
                for what in self._missing(stage):
                    missing.setdefault(what, []).append(stage.name)
        for what, stages in missing.items():
            self._say(f"not on this machine yet: {what}; for {', '.join(stages)}")

    def _missing(self, stage: Stage) -> Iterator[str]:
        words = [word for command in self.places.words(stage) for word in command]
        yield from (text for text in self.places.read(stage) if text in words and _found(text) is None)
        if isinstance(stage, MeasureStage) and stage.benchmarks:
            from sindbad.evaluation.harness.benchmarks import Harness
            from sindbad.evaluation.harness.environment import find_python

            try:
                find_python(Harness(stage.harness))
            except NotFound as error:
                yield error.message

    # -- digests ---------------------------------------------------------------------------------------------------

    def _digest(self, stage: Stage) -> str:
        """Of everything that decides what the stage makes; of one that is made elsewhere, of that."""
        if _elsewhere(stage):
            return digest([_FORMAT, fingerprint(str(self.places.made(stage)[0].parent))])
        nowhere = Places(self.places.recipe, Path("RECIPE"), Path("OUT"), self.places.added)
        words = [_what(command) for command in nowhere.words(stage)]
        settings = stage.model_dump(mode="json", exclude=TOLD)
        read = {text: fingerprint(text) for text in (*self.places.read(stage), *self._given(stage))}
        return digest([_FORMAT, settings, words, read, {name: self._of(name) for name in self.places.needs(stage)}])

    def _of(self, name: str) -> str:
        """The digest of a stage that is read from; of one that is left as it is, that of what it made."""
        if name not in self._digests:
            stage = self.places.recipe.stage(name)
            known = _Stamp.read(self._stamp(name))
            self._digests[name] = self._digest(stage) if _elsewhere(stage) else known.digest or "made by hand"
        return self._digests[name]

    def _given(self, stage: Stage) -> list[str]:
        """Files and folders among the words that the user added."""
        parts = [part for word in self.places.added.get(stage.name, ()) for part in (word, word.partition("=")[2])]
        return [part.rpartition("@")[0] or part for part in parts if _is_path(part.rpartition("@")[0] or part)]


def run_child(words: Words, log: Path, told: Callable[[bytes], object]) -> None:
    """An :data:`Execute`: ``sindbad WORDS`` in a child without a deadline, which ends when we do."""
    from sindbad.supervisor.command import run_command

    run_command(
        [sys.executable, "-m", "sindbad.cli.main", *words], what=f"sindbad {' '.join(words[:2])}", log=log,
        deadline_seconds=math.inf, append=True, told=told, environment={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def select(recipe: Recipe, begin: str | None, only: Sequence[str]) -> list[str]:
    """Names of the stages to run, in the recipe's order. Raises NotFound naming the nearest, InvalidInput."""
    names = [stage.name for stage in recipe.stages]
    if begin and only:
        raise InvalidInput("--from and --only are two choices of stages; give one")
    if only:
        wanted = {recipe.stage(name).name for name in only}
        return [name for name in names if name in wanted]
    return names[names.index(recipe.stage(begin).name) :] if begin else names


def fingerprint(text: str) -> str:
    """Of a file's or a folder's content; "absent" where there is none. Large files count by size and samples: their
    time would make a copied folder another one, and cost a training."""
    path = _found(text)
    if path is None:
        return "absent"
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    return digest([[str(one.relative_to(path)), _content(one)] for one in files])


def _content(file: Path) -> str:
    from sindbad.weights.manifest import file_sha256

    if (size := file.stat().st_size) <= LARGE:
        return file_sha256(file)
    with file.open("rb") as opened:
        found = [str(size)]
        for start in (0, (size - SAMPLE) // 2, size - SAMPLE):
            opened.seek(start)
            found.append(sha256(opened.read(SAMPLE)).hexdigest())
    return " ".join(found)


def _found(text: str) -> Path | None:
    """Here, or below SINDBAD_SHARED, as `sindbad train sft` looks for models and data."""
    shared = os.environ.get("SINDBAD_SHARED")
    places = (Path(text), *([Path(shared) / text] if shared else []))
    return next((path for path in places if path.exists()), None)


def _is_path(text: str) -> bool:
    return bool(text) and not text.startswith("-") and Path(text).exists()


def _what(command: Words) -> list[str]:
    """A command's words without those that say where and how fast."""
    kept: list[str] = []
    skip = False
    for word in command:
        if skip:
            skip = False
        elif word in WHERE:
            skip = True
        elif word not in FLAGS and word.partition("=")[0] not in WHERE:
            kept.append(word)
    return kept


def _elsewhere(stage: Any) -> bool:
    return isinstance(stage, SFTStage) and stage.elsewhere


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One run a folder; the lock goes with the process. Raises Overloaded where another has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Overloaded(
                f"another run works in {path.parent.parent}; wait for it, or give another folder (--out)"
            ) from None
        except OSError as error:  # a file system without locks is written without
            if error.errno not in NO_LOCKS:
                raise
        yield
