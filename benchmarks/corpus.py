"""Corpus translation beside the bare engine, one request at a time, kill -9, and a ledger of a million rows.

    python benchmarks/corpus.py                 half an hour
    python benchmarks/corpus.py --quick         a miniature
    python benchmarks/corpus.py --part throughput --part costly

The translator service (the demo's teacher, one thread, no cache) is a process of its own in every arm.

* ``bare_tokens_per_second``: exactly the model's prompts of the workload, sent to the engine inside this process with
  64 in flight: nothing else happens. ``pipeline_…``: the whole job through the service: leases, masking, verification,
  retries, filters, ledger. Arms alternate; the ratio is the median over repetitions of two neighbours.
* ``pipeline_cpu_over_engine_ratio``: processor seconds a token of the whole pipeline (client and server) over those of
  the bare engine's process: 1.05 is what 0.95 above means where nothing overlaps. On busy cores it says more than wall
  time.
* ``costly_…``: the same beside the same teacher at the price of ``--teacher-cost`` parameters a token: the same tokens
  (``costly_differing_completions`` counts those that are not), more arithmetic, see corpus_teacher.py. The demo's
  teacher has 1.2 million parameters, so the first ratio is about Python beside an engine that costs next to nothing;
  this one is about a small real engine.
* ``naive_tokens_per_second``: one record after the other through the same service.
* ``kill_…``: two workers against a separate server, a random worker killed with -9 at fixed intervals for the whole run
  and the server twice. ``kill_rows_lost`` and ``kill_rows_doubled`` must be 0; ``kill_rows_paid_twice`` are
  answers of the engine beyond one a row, by receipts that the workers write first; ``kill_in_flight_lost_most`` how
  many there may be: what a worker has in flight and uncommitted, for each kill.
* ``ledger_…``: a million rows written as workers write them, then planned, asked, reported, streamed, in one process
  whose peak memory is ``ledger_peak_memory_mb``.

* With ``--peer-python``: the figures of corpus_peer.py, datatrove or NeMo-Curator on one workload beside ours.

Not measured: a GPU, object storage over a network.
"""

# The path must be put right before anything else is imported.
# ruff: noqa: E402
from __future__ import annotations

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
if __name__ == "__main__":
    # Beside this file lies platform.py, which would hide the standard library's module.
    sys.path[:] = [os.path.dirname(_HERE), *(entry for entry in sys.path if os.path.abspath(entry) != _HERE)]
os.environ["PYTHONPATH"] = os.path.dirname(_HERE)

from sindbad.engines.threads import calm_threads

calm_threads(1)

import asyncio
import json
import resource
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.corpus_room import MODEL, EngineServer, KillableWorkers, engine_server, job, records
from benchmarks.corpus_teacher import grown, parameters
from benchmarks.corpus_worker import SETTINGS
from benchmarks.figures import Figure, machine, parser, publish, ratio
from sindbad.clients.translator import TranslatorClient
from sindbad.corpus.records import InstructionRecord
from sindbad.corpus.translate import kept, report, translate_corpus
from sindbad.corpus.translators import ByMessage
from sindbad.corpus.worker import WorkerSettings, prepare
from sindbad.engines.protocol import Generator, SamplingParams, TokenChunk, complete
from sindbad.engines.transformers_engine import TransformersEngine, TransformersEngineSettings
from sindbad.translation.prompts import PromptStyle
from sindbad.translation.settings import TranslatorSettings
from sindbad.translation.translator import Translator

IN_FLIGHT = 64
PARTS = ("throughput", "costly", "kill", "ledger")
Prompts = list[tuple[tuple[int, ...], SamplingParams]]


class Recorder:
    """Notes what an engine is asked."""

    def __init__(self, engine: Generator) -> None:
        self._engine, self.prompts = engine, Prompts()

    async def generate(
        self, prompt_ids: Sequence[int], sampling: SamplingParams, *, min_version: int = 0
    ) -> AsyncIterator[TokenChunk]:
        """As the engine."""
        self.prompts.append((tuple(prompt_ids), sampling))
        async for chunk in self._engine.generate(prompt_ids, sampling, min_version=min_version):
            yield chunk


async def own_engine(model: Path = MODEL) -> TransformersEngine:
    """The server's engine, in this process."""
    engine = TransformersEngine(TransformersEngineSettings(threads=1))
    await engine.start()
    await engine.load(model, 1)
    return engine


async def recorded(engine: TransformersEngine, rows: Sequence[InstructionRecord]) -> Prompts:
    """Every prompt that the workload makes, retries included."""
    from transformers import AutoTokenizer

    recorder, tokenizer = Recorder(engine), AutoTokenizer.from_pretrained(str(MODEL), local_files_only=True)
    translator = ByMessage(Translator(recorder, tokenizer, TranslatorSettings(style=PromptStyle.TEACHER, cache_size=0)))
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def one(row: InstructionRecord) -> None:
        async with slots:
            await translator.translate(row, None, 0)

    await asyncio.gather(*map(one, rows))
    return recorder.prompts


@dataclass(frozen=True, slots=True)
class Bare:
    """What the engine did alone. ``said``: the tokens of each completion."""

    said: tuple[tuple[int, ...], ...]
    seconds: float
    cpu_seconds: float

    @property
    def tokens(self) -> int:
        """Output tokens."""
        return sum(map(len, self.said))


async def bare(engine: TransformersEngine, prompts: Prompts) -> Bare:
    """The engine alone, with as many prompts in flight as its batch holds."""
    slots, own, started = asyncio.Semaphore(IN_FLIGHT), _cpu(), time.monotonic()

    async def one(prompt: tuple[int, ...], sampling: SamplingParams) -> tuple[int, ...]:
        async with slots:
            return (await complete(engine, prompt, sampling)).token_ids

    said = await asyncio.gather(*(one(*prompt) for prompt in prompts))
    return Bare(tuple(said), time.monotonic() - started, _cpu() - own)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def piped(server: EngineServer, rows: Sequence[InstructionRecord]) -> dict[str, float]:
    """The whole job through the service."""
    with tempfile.TemporaryDirectory(prefix="sindbad-corpus-benchmark-") as folder:
        made = job(folder)
        engine_before, own_before, started = server.cpu_seconds(), _cpu(), time.monotonic()
        async with TranslatorClient(server.address) as client:
            done = await translate_corpus(
                made, rows, ByMessage(client), settings=WorkerSettings(in_flight=IN_FLIGHT, poll_seconds=0.05)
            )
        seconds = time.monotonic() - started
        engine_used, own_used = server.cpu_seconds() - engine_before, _cpu() - own_before
    return {
        "tokens": done.tally.output_tokens / seconds,
        "accepted_per_hour": done.kept / seconds * 3600,
        "accepted": done.kept,
        "engine_share": engine_used / (engine_used + own_used),
        "cpu_a_token": (engine_used + own_used) / max(1, done.tally.output_tokens),
    }


async def naive(server: EngineServer, rows: Sequence[InstructionRecord]) -> float:
    """One record after the other; nothing is judged or kept."""
    tokens, started = 0, time.monotonic()
    async with TranslatorClient(server.address) as client:
        for row in rows:
            said = await ByMessage(client).translate(row, None, 0)
            tokens += said.output_tokens
    return tokens / (time.monotonic() - started)


async def beside(
    model: Path,
    engine: TransformersEngine,
    server: EngineServer,
    count: int,
    repetitions: int,
    recorder: TransformersEngine,
) -> dict[str, Figure]:
    """Bare engine and pipeline in turn on the same rows; ``recorder`` is the engine that says what is asked."""
    pairs, prices, alone, arms, differing = list[float](), list[float](), list[float](), list[dict[str, float]](), 0
    for repetition in range(repetitions):
        rows = records(count, repetition)
        prompts = await recorded(recorder, rows)
        before = await bare(engine, prompts) if repetition % 2 == 0 else None
        arm = await piped(server, rows)
        plain = before or await bare(engine, prompts)
        if recorder is not engine:
            known = await bare(recorder, prompts)
            differing += sum(one != other for one, other in zip(plain.said, known.said, strict=True))
        alone.append(plain.tokens / plain.seconds)
        pairs.append(ratio(arm["tokens"], alone[-1]))
        prices.append(ratio(arm["cpu_a_token"], plain.cpu_seconds / plain.tokens))
        arms.append(arm)
    same = {"differing_completions": differing} if recorder is not engine else {}
    return {
        "teacher_parameters": parameters(model),
        "rows": count * repetitions,
        "accepted_rows": int(sum(arm["accepted"] for arm in arms)),
        "accepted_rows_per_hour": median(arm["accepted_per_hour"] for arm in arms),
        "bare_tokens_per_second": median(alone),
        "pipeline_tokens_per_second": median(arm["tokens"] for arm in arms),
        "pipeline_over_engine_tokens_ratio": median(pairs),
        "pipeline_over_engine_tokens_lowest_ratio": min(pairs),
        "pipeline_cpu_over_engine_ratio": median(prices),
        "pipeline_engine_share_of_cpu_ratio": median(arm["engine_share"] for arm in arms),
        **same,
    }


async def throughput(count: int, repetitions: int) -> dict[str, Figure]:
    """The demo's teacher: bare, piped, and one record after the other."""
    engine = await own_engine()
    async with engine_server() as server:
        await piped(server, records(4, 1000))  # what is loaded once (the language identifier, DuckDB) is loaded
        found = await beside(MODEL, engine, server, count, repetitions, engine)
        slow = await naive(server, records(max(8, count // 8)))
    await engine.close()
    piped_tokens = found["pipeline_tokens_per_second"]
    assert isinstance(piped_tokens, float)
    return {**found, "naive_tokens_per_second": slow, "pipeline_over_naive_tokens_ratio": ratio(piped_tokens, slow)}


async def costly(price: int, count: int, repetitions: int) -> dict[str, Figure]:
    """The same teacher at the price of ``price`` parameters."""
    with tempfile.TemporaryDirectory(prefix="sindbad-corpus-benchmark-") as folder:
        model = await asyncio.to_thread(grown, MODEL, Path(folder) / "teacher", price)
        small, engine = await own_engine(), await own_engine(model)
        async with engine_server(model) as server:
            await piped(server, records(2, 1000))
            found = await beside(model, engine, server, count, repetitions, small)
        await engine.close()
        await small.close()
    return {f"costly_{name}": value for name, value in found.items()}


async def killing(count: int, interval: float, engine_kills: int) -> dict[str, Figure]:
    """kill -9 for a whole run, then count rows."""
    with tempfile.TemporaryDirectory(prefix="sindbad-corpus-benchmark-") as outer:
        folder = os.path.join(outer, "job")
        made, rows = job(folder), records(count, 99)
        current = await prepare(made, lambda: rows)
        assert current is not None
        server, started = EngineServer(), time.monotonic()
        await server.start()
        workers = KillableWorkers(folder, current.number, 2, seed=7)
        await workers.start(server.address)
        finished = asyncio.ensure_future(workers.wait())
        kills = 0
        try:
            while not made.finished(current):
                await asyncio.wait({finished}, timeout=interval)
                if made.finished(current):
                    break
                await workers.kill_one()
                if kills < engine_kills:
                    kills += 1
                    await server.kill()
                    await server.start()
                finished.cancel()
                finished = asyncio.ensure_future(workers.wait())
            await finished
        finally:
            await workers.stop()
            await server.kill()
        answered = [line for file in Path(outer).glob("job.receipts-*") for line in file.read_text("ascii").split()]
        out, found = [row.row for row in kept(made)], report(made)
    dropped = sum(found.dropped.values())
    return {
        "kill_rows": count,
        "kill_seconds": time.monotonic() - started,
        "kill_workers_killed": workers.killed,
        "kill_engine_killed": kills,
        "kill_rows_lost": count - len(out) - dropped + found.dropped.get("not_attempted", 0),
        "kill_rows_doubled": len(out) - len(set(out)),
        "kill_rows_paid_twice": len(answered) - len(set(answered)),
        "kill_in_flight_lost_most": (SETTINGS.in_flight + 2 * SETTINGS.part_rows) * (workers.killed + kills),
        "kill_rows_kept": len(out),
    }


def ledger(count: int) -> dict[str, Figure]:
    """In a process of its own, so that its peak memory is its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.corpus_ledger", str(count)], capture_output=True, text=True, check=True,
        cwd=os.path.dirname(_HERE),
    )  # fmt: skip
    return {f"ledger_{name}": value for name, value in json.loads(done.stdout.splitlines()[-1]).items()}


def main() -> None:
    """Measure and publish."""
    options = parser(__doc__)
    options.add_argument("--ledger-rows", type=int, default=0, help="rows of the ledger (default 1,000,000)")
    options.add_argument("--teacher-cost", type=int, default=0, metavar="N", help="parameters (default 30,000,000)")
    options.add_argument("--part", action="append", choices=PARTS, default=[], help="only this; may be repeated")
    options.add_argument("--peer-python", action="append", default=[], metavar="PATH", help="see corpus_peer.py")
    chosen = options.parse_args()
    quick, found, parts = chosen.quick, dict(machine()), chosen.part or PARTS
    if "throughput" in parts:
        found |= asyncio.run(throughput(24 if quick else 400, 1 if quick else 5))
    if "costly" in parts:
        price = chosen.teacher_cost or (3_000_000 if quick else 30_000_000)
        found |= asyncio.run(costly(price, 6 if quick else 200, 1 if quick else 5))
    if "kill" in parts:
        found |= asyncio.run(killing(32, 2.0, 0) if quick else killing(2_500, 10.0, 2))
    if "ledger" in parts:
        found |= ledger(chosen.ledger_rows or (4_000 if quick else 1_000_000))
    if chosen.peer_python:
        from benchmarks.corpus_peer import beside as beside_peers

        found |= asyncio.run(beside_peers(chosen.peer_python, 64 if quick else 2_000))
    publish(found, quick=quick, file=chosen.json)


if __name__ == "__main__":
    main()
