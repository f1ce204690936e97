"""A job from its files to its folder: questions in, journal kept, set written. Run again after kill -9: it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sindbad import atomic
from sindbad.coldstart.dataset import LINEAGE, Lineage, digest_of_path, write_dataset
from sindbad.coldstart.job import ColdStartJob, selected, workshop
from sindbad.coldstart.journal import AttemptJournal
from sindbad.coldstart.make import JOURNAL, Counts, make
from sindbad.errors import InvalidInput, NotFound
from sindbad.evaluation.sets import read_question_set
from sindbad.questions.store import load_questions

DATASET = "dataset"


@dataclass(frozen=True, slots=True)
class Finished:
    """``folder`` holds the set."""

    folder: Path
    counts: Counts


async def run_job(job: ColdStartJob, out: Path, progress: Callable[[int, int, Counts], None] | None = None) -> Finished:
    """Make the set below ``out``: the journal beside it, so that the same call goes on after a kill.

    Raises:
        NotFound, InvalidInput: a file, the overlap of train and test, another run's journal, or nothing was kept.
        SindbadError: the platform failed; run it again.
    """
    atomic.check_replaceable(out / DATASET, LINEAGE)
    questions = selected(job, load_questions(_there(job.questions)))
    if not questions:
        raise InvalidInput(f"{job.questions} holds no question that was asked for; see `language`")
    sets = [read_question_set(path) for path in job.tests]
    tests = [question for one in sets for question in one.questions]
    hidden = frozenset(question.question_id for one in sets if one.protected for question in one.questions)
    lineage_digests = {role: digest_of_path(path) for role, path in job.lineage_files().items()}
    async with workshop(job, progress) as shop:
        with AttemptJournal(out / JOURNAL, shop.journal_key()) as journal:
            made = await make(questions, tests, shop, journal, protected=hidden)
            settings = json.loads(job.settings.model_dump_json())
            lineage = Lineage(job.name, shop.teacher.identity(), lineage_digests, settings)
            folder = write_dataset(out / DATASET, made.trajectories(), made.counts, lineage, shop.tokenizer, shop.tools)
    return Finished(folder, made.counts)


def _there(path: Path) -> Path:
    if not path.is_file():
        raise NotFound(f"{path} is not there; name a JSONL file of questions")
    return path
