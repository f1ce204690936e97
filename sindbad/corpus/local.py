"""Worker processes on one machine. The parent only starts them again: kill it, and they finish the round alone."""

from __future__ import annotations

import asyncio
import sys
import time

from sindbad.corpus.silence import NO_VERDICTS, SILENT_EXIT
from sindbad.errors import EngineFailure

SHORTEST = 2.0
"""A worker that dies sooner than this, seconds, counts as one that cannot start."""
MOST_FAILURES = 5


async def run_workers(url: str, round_number: int, workers: int, storage: str = "") -> None:
    """Return when the round is finished. Raises EngineFailure when workers keep dying at once, or when one found an
    examiner without a verdict (NO_VERDICTS): another worker would find the same."""
    await asyncio.gather(*(_kept_alive(url, round_number, storage) for _ in range(workers)))


async def _kept_alive(url: str, round_number: int, storage: str) -> None:
    failures = 0
    while True:
        started = time.monotonic()
        code = await _worker(url, round_number, storage)
        if code == 0:
            return
        if code == SILENT_EXIT:
            raise EngineFailure(f"a worker of {url} ended because an examiner has no verdicts; see above",
                                reason=NO_VERDICTS)  # fmt: skip
        failures = failures + 1 if time.monotonic() - started < SHORTEST else 0
        if failures >= MOST_FAILURES:
            raise EngineFailure(f"workers of {url} end with exit code {code} as soon as they start; see above")
        await asyncio.sleep(min(5.0, 0.5 * 2**failures))


async def _worker(url: str, round_number: int, storage: str) -> int:
    command = [sys.executable, "-m", "sindbad.cli.main", "corpus", "work", url, "--round", str(round_number)]
    process = await asyncio.create_subprocess_exec(
        *command, *(["--storage", storage] if storage else []), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
