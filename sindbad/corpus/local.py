"""Worker processes on one machine. The parent only starts them again: kill it, and they finish the round alone.

A worker that ends is started again, unless another one would find the same (its exit code says so), or so many ended
in succession without a row that whatever ends them is not chance. What a worker has committed stands in the job's
folder under its name, also of one that was killed.
"""

from __future__ import annotations

import asyncio
import glob
import json
import sys
from typing import Final

from sindbad.corpus.silence import NO_VERDICTS, SILENT_EXIT
from sindbad.corpus.store import JobStore
from sindbad.corpus.worker import worker_name
from sindbad.errors import EngineFailure, Side, SindbadError

LASTING_EXIT: Final = 4
"""Exit code of a worker process that ended by what the user has to mend: a refused key, a job that is not there."""
MOST_FAILURES: Final = 5
"""Workers in succession, one started for another, that ended without having committed a row."""
_LONGEST_PAUSE = 5.0
_GRACE_SECONDS = 30.0
"""For a worker that is told to end to commit what it holds."""


def exit_code(error: SindbadError) -> int:
    """What a worker process ends with: 1 where another one may get further."""
    if error.reason == NO_VERDICTS:
        return SILENT_EXIT
    return LASTING_EXIT if error.side is Side.USER else 1


async def run_workers(url: str, round_number: int, workers: int, storage: str = "") -> None:
    """Return when the round is finished. Raises EngineFailure when workers keep ending without a row, and at once when
    one ended by what another would find, too: an examiner without a verdict (NO_VERDICTS), or the user's mistake."""
    await asyncio.gather(*(_kept_alive(url, round_number, storage) for _ in range(workers)))


async def _kept_alive(url: str, round_number: int, storage: str) -> None:
    failures, store = 0, JobStore(url, json.loads(storage or "{}"))
    while True:
        name = worker_name()
        code = await _worker(url, round_number, storage, name)
        if code == 0:
            return
        if code == SILENT_EXIT:
            raise EngineFailure(f"a worker of {url} ended because an examiner has no verdicts; see above",
                                reason=NO_VERDICTS)  # fmt: skip
        if code == LASTING_EXIT:
            raise EngineFailure(f"a worker of {url} ended by what no other could do better; see above")
        done = await asyncio.to_thread(_committed, store, round_number, name)
        failures = 0 if done else failures + 1
        if failures >= MOST_FAILURES:
            raise EngineFailure(f"workers of {url} end with exit code {code} before they have done a row; see above")
        await asyncio.sleep(min(_LONGEST_PAUSE, 0.5 * 2**failures))


def _committed(store: JobStore, round_number: int, name: str) -> bool:
    return bool(store.glob(f"parts/{round_number:04d}/*/*-{glob.escape(name)}-*.parquet"))


async def _worker(url: str, round_number: int, storage: str, name: str) -> int:
    command = [sys.executable, "-m", "sindbad.cli.main", "corpus", "work", url, "--round", str(round_number),
               "--name", name, *(["--storage", storage] if storage else [])]  # fmt: skip
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _GRACE_SECONDS)
            except TimeoutError:  # it holds leases, which run out, and has committed what it could
                process.kill()
                await process.wait()
