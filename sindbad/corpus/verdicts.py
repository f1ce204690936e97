"""A bilingual judge, wherever its model runs, and its verdicts on disk: no pair is asked about twice.

A verdict's key is a hash of the judge (model, prompt, decoding) and of both texts, so another judge is asked anew and a
killed run goes on. One verdict a pair; what can't be parsed is a rejection, and is kept as one, until too many follow
each other: then it was the wrong model (:mod:`sindbad.corpus.silence`), all of them are taken back, and the run ends. A
pair that the model's server refuses as a request (too long for it) is rejected without being written down: another
limit may let it through.
Covered: an OpenAI-compatible endpoint, a policy service, weights in this process. Memory: a line a pair.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sindbad.corpus.address import digest
from sindbad.corpus.bilingual_settings import JudgeConnection
from sindbad.corpus.silence import SILENT_ROWS, Silence
from sindbad.errors import EngineFailure, InvalidInput, Overloaded
from sindbad.journal import Journal, Place
from sindbad.translation.judges import PairJudge, PromptJudge, Verdict

if TYPE_CHECKING:
    from types import TracebackType

    from sindbad.engines.protocol import Generator

REFUSED = 16
"""So many pairs, refused without exception, are no pairs that are too long."""


@asynccontextmanager
async def judging(connection: JudgeConnection, *, source: str = "en", target: str = "ar") -> AsyncIterator[PairJudge]:
    """The judge for as long as the block runs. Raises NotFound, InvalidInput for a folder that holds no model."""
    if connection.endpoint is not None:
        from sindbad.clients.openai import ChatCompletions
        from sindbad.corpus.examiners import EndpointJudge

        async with ChatCompletions(connection.endpoint) as model:
            yield EndpointJudge(model, source=source, target=target)
        return
    from transformers import AutoTokenizer

    folder = Path(str(connection.model))
    if not connection.policy:
        from sindbad.weights.folder import check_model_folder

        check_model_folder(folder)
    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    async with _generator(connection, folder) as generator:
        yield PromptJudge(generator, tokenizer, source=source, target=target, concurrency=connection.in_flight)


@asynccontextmanager
async def _generator(connection: JudgeConnection, folder: Path) -> AsyncIterator[Generator]:
    if connection.policy:
        from sindbad.clients.policy import PolicyClient

        async with PolicyClient(list(connection.policy)) as client:
            yield client
        return
    from sindbad.engines.factory import create_engine
    from sindbad.engines.transformers_engine import TransformersEngineSettings

    engine = create_engine(TransformersEngineSettings())
    await engine.start()
    try:
        await engine.load(folder, 1)
        yield engine
    finally:
        await engine.close()


class VerdictBook:
    """The verdicts so far, in a journal.

    Args:
        identity: :meth:`JudgeConnection.identity`.
        judge: the judge's name, for people. silent: :attr:`JudgeConnection.silent_pairs`.

    Raises:
        Overloaded: another process writes it. Corrupt: the file is no such journal.
    """

    def __init__(
        self, path: Path, identity: str, *, judge: str = "the judge", silent: int | None = SILENT_ROWS
    ) -> None:
        self.identity = identity
        self.asked = 0
        """Verdicts that this process paid for."""
        self._known: dict[bytes, Verdict] = {}
        self._judge = judge
        self._silence = Silence(silent, setting="judge.silent_pairs", asked="pairs")
        self._doubted: dict[bytes, None] = {}  # unparsable, and no verdict since, also in an earlier run; in order
        busy = Overloaded(f"{path} is written by another process; wait for it, or use another folder")
        self._journal = Journal(path, self._take, busy=busy)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.close()

    def _take(self, record: dict[str, Any], place: Place) -> None:
        key = bytes.fromhex(record["key"])
        if record.get("taken_back"):
            del self._known[key]
            self._doubted.pop(key, None)
            return
        self._hold(key, Verdict(bool(record["accept"]), sys.intern(str(record["reason"]))))

    def _hold(self, key: bytes, verdict: Verdict) -> None:
        self._known[key] = verdict
        if verdict.unparsable:
            self._doubted[key] = None
        else:
            self._doubted.clear()

    def _key(self, pair: tuple[str, str]) -> bytes:
        return bytes.fromhex(digest([self.identity, *pair]))

    def _answered(self, key: bytes, verdict: Verdict) -> None:
        self._journal.append({"key": key.hex(), "accept": verdict.accept, "reason": verdict.reason})
        self.asked += 1
        self._hold(key, verdict)
        if verdict.unparsable:
            self._missed(verdict.reason)
        else:
            self._silence.heard(self._judge)

    def _missed(self, reply: str) -> None:
        """Raises EngineFailure/NO_VERDICTS when that was one too many; those before it are taken back."""
        try:
            self._silence.missed(self._judge, reply)
        except EngineFailure:
            for key in self._doubted:
                self._journal.append({"key": key.hex(), "taken_back": True})
                del self._known[key]
            self._doubted.clear()
            raise

    async def judge(self, judge: PairJudge, pairs: Sequence[tuple[str, str]], *, in_flight: int = 64) -> list[Verdict]:
        """One verdict a pair, in order; equal pairs are asked about once. Raises what the judge raises, and
        EngineFailure/NO_VERDICTS for one without verdicts; what was answered until then is kept."""
        keys = [self._key(pair) for pair in pairs]
        missing = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in self._known}
        refused: dict[bytes, Verdict] = {}
        left, last = iter(missing.items()), [InvalidInput("nothing was refused")]

        async def work() -> None:
            for key, pair in left:
                try:
                    (verdict,) = await judge.judge([pair])
                except InvalidInput as error:  # one pair that cannot be asked must not end a run
                    refused[key], last[0] = Verdict(False, f"refused: {error.message}"), error
                    self._missed(refused[key].reason)
                    continue
                self._answered(key, verdict)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(in_flight, len(missing))):
                    group.create_task(work())
        except ExceptionGroup as several:
            raise several.exceptions[0] from several
        if len(refused) == len(missing) >= REFUSED:  # not the pairs: the way of asking
            raise last[0]
        return [refused[key] if key in refused else self._known[key] for key in keys]


def reason_of(verdict: Verdict) -> str:
    """For counting: "" for a pair that is kept, else judge_reject, judge_unparsable or judge_refused."""
    if verdict.accept:
        return ""
    return f"judge_{verdict.reason.partition(':')[0].removeprefix('model_')}"
